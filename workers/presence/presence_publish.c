/*
 * presence_publish.c: one batch an edge.
 *
 * Called from presence_round.c and presence_gone.c; hands to Redis. A batch has
 * the answers to the sessions that asked, and then one record with the news for
 * all who follow there.
 */

#include <inttypes.h>
#include <string.h>

#include "presence.h"

static void presence_open(presence_edge_t *e);


/* What the session may not know is offline, as what does not exist is. */

void
presence_answer(presence_t *p, const presence_ask_t *ask)
{
    size_t            i, mark;
    chat_rec_t        rec;
    chat_presence_t   item;
    store_pair_t     *pair;
    presence_edge_t  *e;

    e = presence_edge(p, ask->edge);
    presence_open(e);

    memset(&rec, 0, sizeof(rec));
    rec.type = CHAT_REC_PRESENCE;
    rec.flags = ask->asked ? CHAT_REC_F_REQUESTED : 0;
    rec.session = ask->session;
    rec.timestamp = p->as_of;

    chat_batch_rec(&e->batch, &rec, &mark);

    for (i = 0; i < ask->npairs; i++) {
        pair = &p->pairs[ask->pairs + i];

        memset(&item, 0, sizeof(item));
        item.user = pair->user;

        if (pair->asker == pair->user) {
            item.flags = CHAT_PRESENCE_ONLINE | CHAT_PRESENCE_VISIBLE;

        } else if (p->shared[ask->pairs + i]) {
            presence_user_show(presence_user(p, pair->user), &item);
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
    size_t            mark;
    store_e           rc;
    chat_rec_t        rec;
    presence_edge_t  *e, *next;

    HASH_ITER(hh, p->edges, e, next) {

        if (e->news.len != 0) {
            presence_open(e);

            memset(&rec, 0, sizeof(rec));
            rec.type = CHAT_REC_PRESENCE;
            rec.timestamp = p->as_of;
            rec.items = e->news.data;
            rec.nitems = e->news.len / CHAT_PRESENCE_SIZE;

            chat_batch_rec(&e->batch, &rec, &mark);

            if (chat_batch_end(&e->batch, mark) != 0) {
                worker_die("out of memory");
            }
        }

        if (e->batch.len != 0) {
            presence_queue(p, "PUBLISH " CHAT_CHANNEL_EDGE " %b", e->id,
                           e->batch.data, e->batch.len);
        }
    }

    rc = presence_drain(p);
    presence_unpublish(p);

    return rc;
}


void
presence_unpublish(presence_t *p)
{
    presence_edge_t  *e, *next;

    HASH_ITER(hh, p->edges, e, next) {
        chat_buf_reset(&e->batch);
        chat_buf_reset(&e->news);
    }
}


static void
presence_open(presence_edge_t *e)
{
    if (e->batch.len == 0 && chat_batch_begin(&e->batch) != 0) {
        worker_die("out of memory");
    }
}
