/*
 * presence_watch.c: which edges are told of whom.
 *
 * Called from presence_round.c and presence_gone.c; hands to Redis. A field of
 * watch:{user} is an edge on which somebody follows that user and may know; its
 * value is when it said so last, by the edge's clock. It is told until it says
 * it wants no more, dies, or has not said so again for CHAT_WATCH_TTL.
 */

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "presence.h"

/* not when the edge has said so again since */
static const char  presence_unwatch_script[] =
    "local t=redis.call('HGET',KEYS[1],ARGV[1]) "
    "if t and tonumber(t)<tonumber(ARGV[2]) then "
    "return redis.call('HDEL',KEYS[1],ARGV[1]) end return 0";

/* what one HGETALL brought */
typedef struct {
    presence_user_t  *user;
    presence_edge_t  *edge;
    int64_t           since;        /* ms                                   */
} presence_watcher_t;

static int presence_watch_edge(const redisReply *reply, uint64_t *edge_r);


/* Every pair of the round that shares a chat. Queued only: what is read after
 * it comes after it, so a change is either seen by us or told to the edge. */

store_e
presence_watch_add(presence_t *p)
{
    size_t           i, k;
    presence_ask_t  *ask;

    for (i = 0; i < p->nasks; i++) {
        ask = &p->asks[i];

        for (k = ask->pairs; k < ask->pairs + ask->npairs; k++) {

            /* oneself is online as long as one can ask */
            if (!p->shared[k] || p->pairs[k].asker == p->pairs[k].user) {
                continue;
            }

            presence_queue(p, "HSET " CHAT_KEY_WATCH " %016" PRIx64 " %lld",
                           p->pairs[k].user, ask->edge,
                           (long long) ask->received);
            presence_queue(p, "EXPIRE " CHAT_KEY_WATCH " %d",
                           p->pairs[k].user, CHAT_WATCH_TTL);
        }
    }

    return presence_drain(p);
}


void
presence_watch_remove(presence_t *p, const presence_change_t *note)
{
    presence_queue(p, "EVAL %s 1 " CHAT_KEY_WATCH " %016" PRIx64 " %lld",
                   presence_unwatch_script, note->user, note->edge,
                   (long long) note->received);
}


store_e
presence_watch_updates(presence_t *p, int64_t now)
{
    size_t               i, n, max;
    store_e              rc;
    uint64_t             edge;
    redisReply          *reply;
    chat_presence_t      shown;
    presence_user_t     *u, *next;
    presence_watcher_t  *list, *w;

    HASH_ITER(hh, p->users, u, next) {
        if (u->news) {
            presence_queue(p, "HGETALL " CHAT_KEY_WATCH, u->user);
        }
    }

    list = NULL;
    n = max = 0;
    rc = STORE_OK;

    HASH_ITER(hh, p->users, u, next) {

        if (!u->news) {
            continue;
        }

        reply = presence_reply(p);
        if (reply == NULL) {
            rc = STORE_UNAVAILABLE;
            goto done;
        }

        for (i = 0; i + 1 < reply->elements; i += 2) {

            if (presence_watch_edge(reply->element[i], &edge) != 0) {
                continue;
            }

            PRESENCE_GROW(list, n, max)
            w = &list[n++];
            w->user = u;
            w->edge = presence_edge(p, edge);
            w->since = strtoll(reply->element[i + 1]->str, NULL, 10);
            presence_edge_want(w->edge);
        }

        freeReplyObject(reply);
    }

    rc = presence_edges_look(p);
    if (rc != STORE_OK) {
        goto done;
    }

    for (i = 0; i < n; i++) {
        w = &list[i];

        if (!w->edge->alive || now - w->since > CHAT_WATCH_TTL * 1000) {
            presence_queue(p, "HDEL " CHAT_KEY_WATCH " %016" PRIx64,
                           w->user->user, w->edge->id);
            continue;
        }

        presence_user_show(w->user, &shown);

        if (chat_batch_presence(&w->edge->news, &shown) != 0) {
            worker_die("out of memory");
        }
    }

    rc = presence_drain(p);

done:

    free(list);

    return rc;
}


static int
presence_watch_edge(const redisReply *reply, uint64_t *edge_r)
{
    char  *end;

    if (reply->len != 16) {
        return -1;
    }

    *edge_r = strtoull(reply->str, &end, 16);

    return *end == '\0' ? 0 : -1;
}
