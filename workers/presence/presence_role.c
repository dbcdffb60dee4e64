/*
 * presence_role.c: role `presence`: the stream user.presence.
 *
 * Called from worker_main.c; hands to presence_round.c and presence_gone.c. An
 * event is acknowledged and deleted after its round. What a worker has read and
 * not acknowledged, because it died or its database was away, is claimed by
 * whoever comes by ten seconds later. All processes are one consumer: what is
 * pending has an age, and needs no owner.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "presence.h"

#define PRESENCE_UNAVAILABLE_MS   2000     /* longest pause between tries          */
#define PRESENCE_SWEEP_MS  1000
#define PRESENCE_CLAIM_MS  2000
#define PRESENCE_IDLE      "10000"  /* ms until an event is claimed         */

static int presence_run(worker_t *w);
static int presence_open(presence_t *p);
static void presence_group(presence_t *p);
static void presence_read(presence_t *p);
static void presence_claim(presence_t *p);
static void presence_between(presence_t *p);
static void presence_events(presence_t *p, const redisReply *list);
static void presence_event(presence_t *p, const redisReply *entry);
static void presence_ack(presence_t *p, const redisReply *list);
static redisReply *presence_stream(presence_t *p);
static void presence_publish_one(const char *what, store_e rc);

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
                                        PRESENCE_UNAVAILABLE_MS));
            continue;
        }

        /* nothing can be answered: what is told meanwhile waits unread */
        if (presence_store(&p) == NULL) {
            worker_sleep(p.conf->block_ms);
            continue;
        }

        presence_read(&p);

        if (p.redis != NULL) {
            presence_between(&p);
        }

        if (p.redis != NULL) {
            p.redis_failures = 0;
        }
    }

    if (p.redis != NULL) {
        redisFree(p.redis);
    }

    presence_reset(&p);
    presence_edges_clear(&p);
    store_presence_free(&p.store);
    free(p.notes);
    free(p.asks);
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

    /* a reply comes within block_ms, or Redis is not well */
    p->redis = worker_redis_connect(p->conf, p->conf->block_ms + 3000);
    if (p->redis == NULL) {
        return -1;
    }

    p->queued = 0;
    presence_group(p);

    return p->redis != NULL ? 0 : -1;
}


/* From the beginning: what was told while no group was there counts too. That
 * it exists is no news. */

static void
presence_group(presence_t *p)
{
    redisReply  *reply;

    reply = redisCommand(p->redis, "XGROUP CREATE " CHAT_KEY_PRESENCE " "
                         CHAT_GROUP_PRESENCE " 0 MKSTREAM");

    if (reply == NULL) {
        presence_lost(p, p->redis->errstr);
        return;
    }

    freeReplyObject(reply);
}


/* [[key, events]], or nil after block_ms */

static void
presence_read(presence_t *p)
{
    redisReply  *reply;

    presence_queue(p, "XREADGROUP GROUP " CHAT_GROUP_PRESENCE " "
                   CHAT_GROUP_PRESENCE " COUNT %d BLOCK %d STREAMS "
                   CHAT_KEY_PRESENCE " >", PRESENCE_EVENTS,
                   p->conf->block_ms);

    reply = presence_stream(p);
    if (reply == NULL) {
        return;
    }

    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 1) {
        presence_events(p, reply->element[0]->element[1]);
    }

    freeReplyObject(reply);
}


/* [next, events, ids that are gone]; before version 7 an event that was cut
 * off the stream comes as nil */

static void
presence_claim(presence_t *p)
{
    size_t       n;
    redisReply  *reply;

    do {
        presence_queue(p, "XAUTOCLAIM " CHAT_KEY_PRESENCE " "
                       CHAT_GROUP_PRESENCE " " CHAT_GROUP_PRESENCE " "
                       PRESENCE_IDLE " 0 COUNT %d", PRESENCE_EVENTS);

        reply = presence_stream(p);
        if (reply == NULL) {
            return;
        }

        n = 0;

        if (reply->type == REDIS_REPLY_ARRAY && reply->elements >= 2) {
            n = reply->element[1]->elements;
            presence_events(p, reply->element[1]);
        }

        freeReplyObject(reply);

    } while (n == PRESENCE_EVENTS && p->redis != NULL && !worker_stopping);
}


/* What time brings. */

static void
presence_between(presence_t *p)
{
    size_t   n;
    int64_t  now;
    store_e  rc;

    do {
        rc = presence_gone(p, &n);

        if (p->redis == NULL) {
            return;
        }

        if (rc != STORE_OK) {
            presence_publish_one("users who have gone", rc);
            break;
        }

    } while (n == PRESENCE_GONE && !worker_stopping);

    now = worker_mono_ms();

    if (now - p->swept >= PRESENCE_SWEEP_MS) {
        p->swept = now;
        (void) presence_sweep(p);
        presence_edges_trim(p);
    }

    if (p->redis != NULL && now - p->claimed >= PRESENCE_CLAIM_MS) {
        p->claimed = now;
        presence_claim(p);
    }
}


/* One round. Acknowledged last; not at all when it is to be done again. */

static void
presence_events(presence_t *p, const redisReply *list)
{
    size_t   i;
    store_e  rc;

    for (i = 0; i < list->elements; i++) {
        presence_event(p, list->element[i]);
    }

    rc = presence_round(p);
    presence_reset(p);

    if (p->redis == NULL) {
        return;
    }

    if (rc != STORE_OK) {
        presence_publish_one("events", rc);
    }

    if (rc == STORE_OK || rc == STORE_FAILED) {
        presence_ack(p, list);
    }
}


static void
presence_event(presence_t *p, const redisReply *entry)
{
    size_t             i;
    const redisReply  *fields, *value;

    if (entry->type != REDIS_REPLY_ARRAY || entry->elements != 2) {
        return;
    }

    fields = entry->element[1];
    value = NULL;

    for (i = 0; i + 1 < fields->elements; i += 2) {
        if (strcmp(fields->element[i]->str, CHAT_EVENT_FIELD) == 0) {
            value = fields->element[i + 1];
        }
    }

    if (value == NULL
        || presence_take(p, (const uint8_t *) value->str,
                         (size_t) value->len, worker_ms()) != 0)
    {
        worker_log(WORKER_ERROR, "event=%s is none of ours, dropped",
                   entry->element[0]->str);
    }
}


static void
presence_ack(presence_t *p, const redisReply *list)
{
    size_t             i;
    const redisReply  *entry;

    for (i = 0; i < list->elements; i++) {
        entry = list->element[i];

        if (entry->type != REDIS_REPLY_ARRAY || entry->elements != 2) {
            continue;
        }

        presence_queue(p, "XACK " CHAT_KEY_PRESENCE " " CHAT_GROUP_PRESENCE
                       " %s", entry->element[0]->str);
        presence_queue(p, "XDEL " CHAT_KEY_PRESENCE " %s",
                       entry->element[0]->str);
    }

    (void) presence_drain(p);
}


/* The reply of a command on the group, which is made anew when Redis was
 * emptied. */

static redisReply *
presence_stream(presence_t *p)
{
    redisReply  *reply;

    if (redisGetReply(p->redis, (void **) &reply) != REDIS_OK) {
        presence_lost(p, p->redis->errstr);
        return NULL;
    }

    p->queued--;

    if (reply->type != REDIS_REPLY_ERROR) {
        return reply;
    }

    if (strncmp(reply->str, "NOGROUP", 7) == 0) {
        worker_log(WORKER_INFO, "redis was emptied, making the group anew");
        presence_group(p);

    } else {
        presence_lost(p, reply->str);
    }

    freeReplyObject(reply);

    return NULL;
}


static void
presence_publish_one(const char *what, store_e rc)
{
    if (rc == STORE_FAILED) {
        worker_log(WORKER_ERROR, "%s could not be handled, dropped", what);

    } else {
        worker_log(WORKER_DEBUG, "%s wait for the database", what);
    }
}
