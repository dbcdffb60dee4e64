/*
 * presence_role.c: role `presence`: the stream user.presence.
 *
 * Called from worker_main.c; hands to presence_round.c and presence_offline.c.
 * An event is acknowledged and deleted after its round. Events that a worker
 * has read and not acknowledged, because the worker died or its database was
 * unavailable, are claimed by any worker ten seconds later. All processes are
 * one consumer: a pending event needs an age, not an owner.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "presence.h"

#define PRESENCE_CONNECT_MS  2000   /* longest wait between connects        */
#define PRESENCE_SWEEP_MS    1000   /* between two sweeps                   */
#define PRESENCE_CLAIM_MS    2000   /* between two claims                   */
#define PRESENCE_CLAIM_IDLE  "10000"    /* ms until an event is claimed     */

static int presence_run(worker_t *w);
static int presence_open(presence_t *p);
static void presence_group(presence_t *p);
static void presence_read_events(presence_t *p);
static void presence_claim(presence_t *p);
static void presence_periodic(presence_t *p);
static void presence_events(presence_t *p, const redis_reply_t *list);
static void presence_event(presence_t *p, const redis_reply_t *entry);
static void presence_ack(presence_t *p, const redis_reply_t *list);
static redis_reply_t *presence_read_group(presence_t *p);
static void presence_log_failure(const char *what, store_e rc);

const worker_role_t  worker_role_presence = { "presence", presence_run };


static int
presence_run(worker_t *w)
{
    presence_t  p;

    memset(&p, 0, sizeof(p));
    p.conf = w->conf;
    p.store = store_presence_open(w->conf, "chat-worker presence");

    while (!worker_stopping) {

        if (presence_open(&p) != 0) {
            worker_sleep(worker_backoff(p.redis_failures++, 100,
                                        PRESENCE_CONNECT_MS));
            continue;
        }

        /* without the store nothing can be answered: events stay unread */
        if (presence_store(&p) == NULL) {
            worker_sleep(p.conf->block_ms);
            continue;
        }

        presence_read_events(&p);

        if (p.redis != NULL) {
            presence_periodic(&p);
        }

        if (p.redis != NULL) {
            p.redis_failures = 0;
        }
    }

    redis_close(&p.redis);
    presence_reset(&p);
    presence_edges_clear(&p);
    store_presence_free(&p.store);
    free(p.changes);
    free(p.requests);
    free(p.pairs);
    free(p.shared);
    free(p.routes);

    return 0;
}


static int
presence_open(presence_t *p)
{
    if (p->redis != NULL) {
        return 0;
    }

    /* XREADGROUP replies after block_ms at the latest */
    p->redis = redis_connect(p->conf, p->conf->block_ms + 3000);
    if (p->redis == NULL) {
        return -1;
    }

    p->outstanding = 0;
    presence_group(p);

    return p->redis != NULL ? 0 : -1;
}


/* From id 0, so that events from before the group count too. The error that the
 * group exists is ignored. */

static void
presence_group(presence_t *p)
{
    redis_reply_t  *reply;

    reply = redis_call(p->redis, CHAT_KEY_PRESENCE,
                       "XGROUP CREATE " CHAT_KEY_PRESENCE " "
                       CHAT_GROUP_PRESENCE " 0 MKSTREAM");

    if (reply == NULL) {
        presence_disconnect(p, redis_error(p->redis));
        return;
    }

    redis_reply_free(reply);
}


/* [[key, events]], or nil after block_ms */

static void
presence_read_events(presence_t *p)
{
    redis_reply_t         *reply;
    redis_stream_t         stream = { CHAT_KEY_PRESENCE, ">" };
    redis_read_streams_t   read;

    memset(&read, 0, sizeof(read));
    read.streams = &stream;
    read.n = 1;
    read.count = PRESENCE_EVENTS;
    read.block_ms = p->conf->block_ms;
    read.group = CHAT_GROUP_PRESENCE;
    read.consumer = CHAT_GROUP_PRESENCE;

    redis_streams_append(p->redis, &read);
    p->outstanding++;

    reply = presence_read_group(p);
    if (reply == NULL) {
        return;
    }

    if (redis_reply_count(reply) == 1) {
        presence_events(p, redis_stream_entries(reply, 0));
    }

    redis_reply_free(reply);
}


/* [next, events, deleted ids]; before Redis 7 an event that was trimmed from
 * the stream comes as nil */

static void
presence_claim(presence_t *p)
{
    size_t          n;
    redis_reply_t  *reply;

    do {
        presence_append(p, CHAT_KEY_PRESENCE,
                        "XAUTOCLAIM " CHAT_KEY_PRESENCE " "
                        CHAT_GROUP_PRESENCE " " CHAT_GROUP_PRESENCE " "
                        PRESENCE_CLAIM_IDLE " 0 COUNT %d", PRESENCE_EVENTS);

        reply = presence_read_group(p);
        if (reply == NULL) {
            return;
        }

        n = 0;

        if (redis_reply_count(reply) >= 2) {
            n = redis_reply_count(redis_reply_at(reply, 1));
            presence_events(p, redis_reply_at(reply, 1));
        }

        redis_reply_free(reply);

    } while (n == PRESENCE_EVENTS && p->redis != NULL && !worker_stopping);
}


/* Periodic work. */

static void
presence_periodic(presence_t *p)
{
    size_t   n;
    int64_t  now;
    store_e  rc;

    do {
        rc = presence_offline(p, &n);

        if (p->redis == NULL) {
            return;
        }

        if (rc != STORE_OK) {
            presence_log_failure("departed users", rc);
            break;
        }

    } while (n == PRESENCE_OFFLINE_MAX && !worker_stopping);

    now = worker_mono_ms();

    if (now - p->swept_at >= PRESENCE_SWEEP_MS) {
        p->swept_at = now;
        (void) presence_sweep(p);
        presence_edges_trim(p);
    }

    if (p->redis != NULL && now - p->claimed_at >= PRESENCE_CLAIM_MS) {
        p->claimed_at = now;
        presence_claim(p);
    }
}


/* One round. Events are acknowledged last, and not at all when the round is to
 * be repeated. */

static void
presence_events(presence_t *p, const redis_reply_t *list)
{
    size_t   i;
    store_e  rc;

    for (i = 0; i < redis_reply_count(list); i++) {
        presence_event(p, redis_reply_at(list, i));
    }

    rc = presence_round(p);
    presence_reset(p);

    if (p->redis == NULL) {
        return;
    }

    if (rc != STORE_OK) {
        presence_log_failure("events", rc);
    }

    if (rc == STORE_OK || rc == STORE_FAILED) {
        presence_ack(p, list);
    }
}


static void
presence_event(presence_t *p, const redis_reply_t *entry)
{
    chat_str_t   value;
    const char  *id;

    id = redis_entry_id(entry);
    if (id == NULL) {
        return;
    }

    if (redis_entry_field(entry, CHAT_EVENT_FIELD, &value) != 0
        || presence_add_event(p, (const uint8_t *) value.data, value.len,
                              worker_ms()) != 0)
    {
        worker_log(WORKER_ERROR, "event=%s is not a presence event, dropped",
                   id);
    }
}


static void
presence_ack(presence_t *p, const redis_reply_t *list)
{
    size_t       i;
    const char  *id;

    for (i = 0; i < redis_reply_count(list); i++) {
        id = redis_entry_id(redis_reply_at(list, i));

        if (id == NULL) {
            continue;
        }

        presence_append(p, CHAT_KEY_PRESENCE, "XACK " CHAT_KEY_PRESENCE " "
                        CHAT_GROUP_PRESENCE " %s", id);
        presence_append(p, CHAT_KEY_PRESENCE, "XDEL " CHAT_KEY_PRESENCE " %s",
                        id);
    }

    (void) presence_drain(p);
}


/* The reply of a command on the group, which is created again when Redis was
 * emptied. NULL when there is nothing to process. */

static redis_reply_t *
presence_read_group(presence_t *p)
{
    const char     *error;
    redis_reply_t  *reply;

    reply = redis_read(p->redis);
    if (reply == NULL) {
        presence_disconnect(p, redis_error(p->redis));
        return NULL;
    }

    p->outstanding--;

    error = redis_reply_error(reply);
    if (error == NULL) {
        return reply;
    }

    if (strncmp(error, "NOGROUP", 7) == 0) {
        worker_log(WORKER_INFO, "redis was emptied, creating the group again");
        presence_group(p);

    } else {
        presence_disconnect(p, error);
    }

    redis_reply_free(reply);

    return NULL;
}


static void
presence_log_failure(const char *what, store_e rc)
{
    if (rc == STORE_FAILED) {
        worker_log(WORKER_ERROR, "%s could not be processed, dropped", what);

    } else {
        worker_log(WORKER_DEBUG, "%s wait for the database", what);
    }
}
