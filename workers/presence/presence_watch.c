/*
 * presence_watch.c: which edges are notified about which users.
 *
 * Called from presence_round.c and presence_offline.c; hands to workers/redis/.
 * A field of watch:{user} is an edge on which a permitted session follows that
 * user; its value is the time of the edge's last WATCH, by the edge's clock.
 * The edge is notified until it sends UNWATCH, dies, or has not renewed the
 * WATCH for CHAT_WATCH_TTL.
 */

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "presence.h"

/* Skipped when the edge has renewed the WATCH since. */
static const char  presence_unwatch_script[] =
    "local t=redis.call('HGET',KEYS[1],ARGV[1]) "
    "if t and tonumber(t)<tonumber(ARGV[2]) then "
    "return redis.call('HDEL',KEYS[1],ARGV[1]) end return 0";

/* one field of watch:{user} */
typedef struct {
    presence_user_t  *user;
    presence_edge_t  *edge;
    int64_t           since;        /* ms                                   */
} presence_watcher_t;

static int presence_watch_edge(const redis_reply_t *reply, uint64_t *edge_r);
static int64_t presence_watch_time(const redis_reply_t *reply);


/* Registers the edge for every pair of the round that shares a chat. The
 * routes are read after this, so a change of a route is either seen by this
 * round, or its own round finds the edge registered. */

store_e
presence_watch_add(presence_t *p)
{
    char                 key[REDIS_KEY_SIZE];
    size_t               i, k;
    presence_request_t  *request;

    for (i = 0; i < p->nrequests; i++) {
        request = &p->requests[i];

        for (k = request->pairs; k < request->pairs + request->npairs; k++) {

            /* the requesting user is online, there is nothing to watch */
            if (!p->shared[k] || p->pairs[k].asker == p->pairs[k].user) {
                continue;
            }

            redis_key(key, CHAT_KEY_WATCH, p->pairs[k].user);
            presence_append(p, key, "HSET %s %016" PRIx64 " %lld", key,
                            request->edge, (long long) request->received);
            presence_append(p, key, "EXPIRE %s %d", key, CHAT_WATCH_TTL);
        }
    }

    return presence_drain(p);
}


void
presence_watch_remove(presence_t *p, const presence_change_t *change)
{
    char  key[REDIS_KEY_SIZE];

    redis_key(key, CHAT_KEY_WATCH, change->user);
    presence_append(p, key, "EVAL %s 1 %s %016" PRIx64 " %lld",
                    presence_unwatch_script, key, change->edge,
                    (long long) change->received);
}


store_e
presence_watch_updates(presence_t *p, int64_t now)
{
    char                 key[REDIS_KEY_SIZE];
    size_t               i, n, max;
    store_e              rc;
    uint64_t             edge;
    redis_reply_t       *reply;
    chat_presence_t      item;
    presence_user_t     *u, *next;
    presence_watcher_t  *list, *w;

    HASH_ITER(hh, p->users, u, next) {
        if (u->notify) {
            redis_key(key, CHAT_KEY_WATCH, u->user);
            presence_append(p, key, "HGETALL %s", key);
        }
    }

    list = NULL;
    n = max = 0;
    rc = STORE_OK;

    HASH_ITER(hh, p->users, u, next) {

        if (!u->notify) {
            continue;
        }

        reply = presence_read(p);
        if (reply == NULL) {
            rc = STORE_UNAVAILABLE;
            goto done;
        }

        for (i = 0; i + 1 < redis_reply_count(reply); i += 2) {

            if (presence_watch_edge(redis_reply_at(reply, i), &edge) != 0) {
                continue;
            }

            WORKER_GROW(list, n, max);
            w = &list[n++];
            w->user = u;
            w->edge = presence_edge_get(p, edge);
            w->since = presence_watch_time(redis_reply_at(reply, i + 1));
            presence_edge_require(w->edge);
        }

        redis_reply_free(reply);
    }

    rc = presence_edges_check(p);
    if (rc != STORE_OK) {
        goto done;
    }

    for (i = 0; i < n; i++) {
        w = &list[i];

        if (!w->edge->alive || now - w->since > CHAT_WATCH_TTL * 1000) {
            redis_key(key, CHAT_KEY_WATCH, w->user->user);
            presence_append(p, key, "HDEL %s %016" PRIx64, key, w->edge->id);
            continue;
        }

        presence_user_item(w->user, &item);

        if (chat_batch_presence(&w->edge->updates, &item) != 0) {
            worker_die("out of memory");
        }
    }

    rc = presence_drain(p);

done:

    free(list);

    return rc;
}


static int
presence_watch_edge(const redis_reply_t *reply, uint64_t *edge_r)
{
    char        *end;
    chat_str_t   text;

    if (redis_reply_str(reply, &text) != 0 || text.len != 16) {
        return -1;
    }

    *edge_r = strtoull(text.data, &end, 16);

    return *end == '\0' ? 0 : -1;
}


static int64_t
presence_watch_time(const redis_reply_t *reply)
{
    const char  *text;

    text = redis_reply_text(reply);

    return text != NULL ? strtoll(text, NULL, 10) : 0;
}
