/*
 * presence_publish.c: one batch per edge.
 *
 * Called from presence_round.c and presence_offline.c; hands to workers/redis/.
 * A batch contains the answers to the requesting sessions, and then one record
 * with the updates for all sessions that follow on that edge.
 */

#include <inttypes.h>
#include <string.h>

#include "presence.h"

static void presence_batch_open(presence_edge_t *e);


/* A user that the session may not know about looks offline, as a user that
 * does not exist does. */

void
presence_answer(presence_t *p, const presence_request_t *request)
{
    size_t            i, mark;
    chat_rec_t        rec;
    chat_presence_t   item;
    store_pair_t     *pair;
    presence_edge_t  *e;

    e = presence_edge_get(p, request->edge);
    presence_batch_open(e);

    memset(&rec, 0, sizeof(rec));
    rec.type = CHAT_REC_PRESENCE;
    rec.flags = request->requested ? CHAT_REC_F_REQUESTED : 0;
    rec.session = request->session;
    rec.timestamp = p->as_of;

    chat_batch_rec(&e->batch, &rec, &mark);

    for (i = 0; i < request->npairs; i++) {
        pair = &p->pairs[request->pairs + i];

        memset(&item, 0, sizeof(item));
        item.user = pair->user;

        if (pair->asker == pair->user) {
            item.flags = CHAT_PRESENCE_ONLINE | CHAT_PRESENCE_VISIBLE;

        } else if (p->shared[request->pairs + i]) {
            presence_user_item(presence_user(p, pair->user), &item);
            item.flags |= CHAT_PRESENCE_VISIBLE;
        }

        chat_batch_presence(&e->batch, &item);
    }

    if (chat_batch_end(&e->batch, mark) != 0) {
        worker_die("out of memory");
    }
}


store_e
presence_publish(presence_t *p)
{
    char              key[REDIS_KEY_SIZE];
    size_t            mark;
    store_e           rc;
    chat_rec_t        rec;
    presence_edge_t  *e, *next;

    HASH_ITER(hh, p->edges, e, next) {

        if (e->updates.len != 0) {
            presence_batch_open(e);

            memset(&rec, 0, sizeof(rec));
            rec.type = CHAT_REC_PRESENCE;
            rec.timestamp = p->as_of;
            rec.items = e->updates.data;
            rec.nitems = e->updates.len / CHAT_PRESENCE_SIZE;

            chat_batch_rec(&e->batch, &rec, &mark);

            if (chat_batch_end(&e->batch, mark) != 0) {
                worker_die("out of memory");
            }
        }

        if (e->batch.len != 0) {
            redis_key(key, CHAT_CHANNEL_EDGE, e->id);
            presence_append(p, key, "PUBLISH %s %b", key, e->batch.data,
                            e->batch.len);
        }
    }

    rc = presence_drain(p);
    presence_discard(p);

    return rc;
}


void
presence_discard(presence_t *p)
{
    presence_edge_t  *e, *next;

    HASH_ITER(hh, p->edges, e, next) {
        chat_buf_reset(&e->batch);
        chat_buf_reset(&e->updates);
    }
}


static void
presence_batch_open(presence_edge_t *e)
{
    if (e->batch.len == 0 && chat_batch_begin(&e->batch) != 0) {
        worker_die("out of memory");
    }
}
