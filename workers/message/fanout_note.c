/*
 * fanout_note.c: the notes of devices that left with everything.
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

static void fanout_note_delete(fanout_t *f, const fanout_taken_t *taken);


void
fanout_note_add(fanout_route_t *route, uint64_t device)
{
    route->notes = worker_realloc(route->notes, (route->nnotes + 1u)
                                                * sizeof(*route->notes));
    route->notes[route->nnotes++] = device;
}


/* These devices miss an entry of this publication. */

void
fanout_note_take(fanout_t *f, fanout_route_t *route)
{
    fanout_taken_t  *taken;

    FANOUT_GROW(f->taken, f->ntaken, f->taken_max)
    taken = &f->taken[f->ntaken++];

    taken->user = route->user;
    taken->notes = route->notes;
    taken->n = route->nnotes;

    route->notes = NULL;
    route->nnotes = 0;
}


/* Behind the PUBLISHes, in the same pipeline: until it is there the route is
 * tracked, so who leaves one of its sessions before the PUBLISH is told of,
 * and who leaves after it has the entry before the answer to its fence. */

void
fanout_note_send(fanout_t *f)
{
    size_t  i;

    for (i = 0; i < f->ntaken; i++) {
        fanout_note_delete(f, &f->taken[i]);
    }
}


/* A user has ten devices, but there may be notes of some that are revoked. */

static void
fanout_note_delete(fanout_t *f, const fanout_taken_t *taken)
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
                                          taken->notes[k]);
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
fanout_note_settle(fanout_t *f)
{
    int          rc;
    size_t       i;
    redisReply  *reply;

    for (rc = 0, i = 0; i < f->ntaken; i++) {

        if (redisGetReply(f->redis, (void **) &reply) != REDIS_OK) {
            return -1;
        }

        if (reply->type != REDIS_REPLY_INTEGER) {
            worker_log(WORKER_WARN, "redis: HDEL of a note: %s",
                       reply->type == REDIS_REPLY_ERROR ? reply->str : "?");
            rc = -1;

        } else if (reply->integer < f->taken[i].n) {
            f->untrue = 1;
        }

        freeReplyObject(reply);
    }

    return rc;
}


/* Once the invalidations have been read that were made before: Redis tells us
 * no more of what we have changed ourselves (NOLOOP). */

void
fanout_note_end(fanout_t *f)
{
    size_t  i;

    for (i = 0; i < f->ntaken; i++) {
        fanout_route_forget(f, f->taken[i].user);
        free(f->taken[i].notes);
    }

    f->ntaken = 0;
}
