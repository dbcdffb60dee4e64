/*
 * fanout_marker.c: deletes the clean-disconnect markers of absent devices.
 *
 * Called from fanout_publish.c and fanout_connection.c; hands to
 * workers/redis/. A marker, the field "-<device>" of route:{user}, says that
 * the device has missed nothing, so that its next connection needs no database
 * query. The first entry that the device misses deletes the marker.
 * docs/internals.md says why that is safe.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chat_keys.h"
#include "fanout_private.h"

static void fanout_marker_delete(fanout_t *f, const fanout_removed_t *absent);


/* The devices of the route's markers miss an entry of this publication. */

void
fanout_marker_remove(fanout_t *f, fanout_route_t *route)
{
    fanout_removed_t  *absent;

    WORKER_GROW(f->removed, f->nremoved, f->removed_max);
    absent = &f->removed[f->nremoved++];

    absent->user = route->user;
    absent->markers = route->markers;
    absent->n = route->nmarkers;

    route->markers = NULL;
    route->nmarkers = 0;
}


/* After the PUBLISHes, in the same pipeline. The route is tracked until the HDEL:
 * a session that closes before the PUBLISH causes an invalidation, and a session
 * that closes after it receives the entry before the reply to its barrier. */

void
fanout_marker_send(fanout_t *f)
{
    size_t  i;

    for (i = 0; i < f->nremoved; i++) {
        fanout_marker_delete(f, &f->removed[i]);
    }
}


/* A user has ten devices, but markers of revoked ones may remain. */

static void
fanout_marker_delete(fanout_t *f, const fanout_removed_t *absent)
{
    char          key[REDIS_KEY_SIZE], (*fields)[24];
    size_t        k, *lengths;
    const char  **argv;

    fields = worker_calloc(absent->n, sizeof(*fields));
    lengths = worker_calloc(absent->n + 2u, sizeof(*lengths));
    argv = worker_calloc(absent->n + 2u, sizeof(*argv));

    argv[0] = "HDEL";
    lengths[0] = 4;
    argv[1] = key;
    lengths[1] = strlen(redis_key(key, CHAT_KEY_ROUTE, absent->user));

    for (k = 0; k < absent->n; k++) {
        argv[2 + k] = fields[k];
        lengths[2 + k] = (size_t) sprintf(fields[k], "-%" PRIu64,
                                          absent->markers[k]);
    }

    redis_append_argv(f->redis, key, absent->n + 2, argv, lengths);

    free(fields);
    free(lengths);
    free(argv);
}


/* A marker that was not there any more was used by its device, which asked no
 * database and was not in the cached route: that route is stale. The invalidation
 * says so too, but may arrive after this reply. -1: Redis was lost or refuses. */

int
fanout_marker_read_replies(fanout_t *f)
{
    int             rc;
    size_t          i;
    int64_t         deleted;
    const char     *error;
    redis_reply_t  *reply;

    for (rc = 0, i = 0; i < f->nremoved; i++) {
        reply = redis_read(f->redis);

        if (reply == NULL) {
            return -1;
        }

        if (redis_reply_integer(reply, &deleted) != 0) {
            error = redis_reply_error(reply);
            worker_log(WORKER_WARN, "redis refuses to delete a marker: %s",
                       error ? error : "unexpected reply");
            rc = -1;

        } else if (deleted < f->removed[i].n) {
            f->stale = 1;
        }

        redis_reply_free(reply);
    }

    return rc;
}


/* Called when the invalidations made before have been read: Redis sends none for
 * keys that this connection has changed (NOLOOP). */

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
