/*
 * fanout_marker.c: the notes of devices that left with everything.
 *
 * Called from fanout_publish.c and fanout_route.c; hands to Redis. A note,
 * "-<device>" in route:{user}, says that the device has missed nothing: the
 * edge that it comes back to asks no database. The first entry that it misses
 * takes it away. docs/internals.md says why that is safe.
 */

#include <stdio.h>
#include <stdlib.h>

#include <hiredis/hiredis.h>

#include "chat_keys.h"
#include "fanout_private.h"

static void fanout_marker_delete(fanout_t *f, const fanout_removed_t *taken);


/* These devices miss an entry of this publication. */

void
fanout_marker_remove(fanout_t *f, fanout_route_t *route)
{
    fanout_removed_t  *taken;

    FANOUT_GROW(f->removed, f->nremoved, f->removed_max)
    taken = &f->removed[f->nremoved++];

    taken->user = route->user;
    taken->markers = route->markers;
    taken->n = route->nmarkers;

    route->markers = NULL;
    route->nmarkers = 0;
}


/* Behind the PUBLISHes, in the same pipeline: until it is there the route is
 * tracked, so who leaves one of its sessions before the PUBLISH is told of,
 * and who leaves after it has the entry before the answer to its fence. */

void
fanout_marker_send(fanout_t *f)
{
    size_t  i;

    for (i = 0; i < f->nremoved; i++) {
        fanout_marker_delete(f, &f->removed[i]);
    }
}


/* A user has ten devices, but there may be notes of some that are revoked. */

static void
fanout_marker_delete(fanout_t *f, const fanout_removed_t *taken)
{
    char          key[40], (*fields)[24];
    size_t        k, *lengths;
    const char  **argv;

    fields = worker_calloc(taken->n, sizeof(*fields));
    lengths = worker_calloc(taken->n + 2u, sizeof(*lengths));
    argv = worker_calloc(taken->n + 2u, sizeof(*argv));

    argv[0] = "HDEL";
    lengths[0] = 4;
    argv[1] = key;
    lengths[1] = (size_t) sprintf(key, CHAT_KEY_ROUTE, taken->user);

    for (k = 0; k < taken->n; k++) {
        argv[2 + k] = fields[k];
        lengths[2 + k] = (size_t) sprintf(fields[k], "-%" PRIu64,
                                          taken->markers[k]);
    }

    (void) redisAppendCommandArgv(f->redis, taken->n + 2, argv, lengths);

    free(fields);
    free(lengths);
    free(argv);
}


/* The answers. A note that was not there any more has been taken by its device,
 * which asked no database and was not told: its route is untrue. An
 * invalidation says so too, but may be behind this answer. -1: Redis was lost,
 * or refuses. */

int
fanout_marker_read_replies(fanout_t *f)
{
    int          rc;
    size_t       i;
    redisReply  *reply;

    for (rc = 0, i = 0; i < f->nremoved; i++) {

        if (redisGetReply(f->redis, (void **) &reply) != REDIS_OK) {
            return -1;
        }

        if (reply->type != REDIS_REPLY_INTEGER) {
            worker_log(WORKER_WARN, "redis: HDEL of a note: %s",
                       reply->type == REDIS_REPLY_ERROR ? reply->str : "?");
            rc = -1;

        } else if (reply->integer < f->removed[i].n) {
            f->stale = 1;
        }

        freeReplyObject(reply);
    }

    return rc;
}


/* Once the invalidations have been read that were made before: Redis tells us
 * no more of what we have changed ourselves (NOLOOP). */

void
fanout_marker_end(fanout_t *f)
{
    size_t  i;

    for (i = 0; i < f->nremoved; i++) {
        fanout_route_evict(f, f->removed[i].user);
        free(f->removed[i].markers);
    }

    f->nremoved = 0;
}
