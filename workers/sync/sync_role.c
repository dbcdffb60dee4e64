/*
 * sync_role.c: role `sync`: requests in, answers out.
 *
 * Called from worker_main.c; hands to sync_ahead.c and sync_answer.c. Any number of these
 * processes share the streams: each request is read by one of them. What is
 * read is not kept pending (NOACK), because the edge asks again; so a process
 * that dies in between leaves entries nobody will read, and now and then what
 * is long too old is trimmed.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "chat_keys.h"
#include "chat_proto.h"
#include "sync.h"
#include "worker.h"

#define SYNC_COUNT      64          /* requests a stream and read            */
#define SYNC_FLUSH_MS   20          /* answers wait for each other so long   */
#define SYNC_THROTTLE_US    50000       /* longest rest after a page             */
#define SYNC_TRIM_MS    60000
#define SYNC_KEEP_MS    600000      /* entries older than this are litter    */
#define SYNC_UNAVAILABLE_MS    2000        /* longest pause between tries           */

typedef struct {
    const worker_conf_t  *conf;
    redisContext         *redis;    /* NULL while away                       */
    int                   redis_failures;
    store_sync_t         *store;
    int                   store_failures;
    int64_t               store_next;   /* not before this, monotonic        */
    int64_t               trimmed;      /* monotonic                         */
    size_t                queued;       /* commands in the pipeline          */
    int64_t               flushed;      /* monotonic                         */
    chat_buf_t            answer;
    chat_buf_t            items;        /* of lists, sync_ahead.c            */
    chat_event_t         *events;       /* of the read                       */
    sync_request_t       *requests;
    const redisReply    **entries;      /* and where they came from          */
    size_t                n, max;
    char                  keys[CHAT_SYNC_SHARDS][32];
} sync_t;

static int sync_run(worker_t *w);
static int sync_open(sync_t *s);
static int sync_groups(sync_t *s);
static int sync_read(sync_t *s);
static void sync_stream(sync_t *s, const char *key, const redisReply *list);
static void sync_take(sync_t *s, const redisReply *entry);
static void sync_publish_all(sync_t *s, uint8_t type);
static void sync_publish(sync_t *s, size_t i);
static store_sync_t *sync_store(sync_t *s);
static void sync_queue(sync_t *s, const char *fmt, ...);
static void sync_flush(sync_t *s);
static void sync_trim(sync_t *s);
static void sync_lost(sync_t *s, const char *why);

const worker_role_t  worker_role_sync = { "sync", sync_run };


static int
sync_run(worker_t *w)
{
    unsigned  i;
    sync_t    s;

    memset(&s, 0, sizeof(s));
    s.conf = w->conf;
    s.store = store_sync_open(w->conf, "chat-worker sync");

    for (i = 0; i < CHAT_SYNC_SHARDS; i++) {
        snprintf(s.keys[i], sizeof(s.keys[i]), CHAT_KEY_SYNC, i);
    }

    while (!worker_stopping) {
        if (sync_open(&s) != 0) {
            worker_sleep(worker_backoff(s.redis_failures++, 100,
                                        SYNC_UNAVAILABLE_MS));
            continue;
        }

        if (sync_read(&s) == 0) {
            s.redis_failures = 0;
            sync_trim(&s);
        }
    }

    if (s.redis != NULL) {
        redisFree(s.redis);
    }

    store_sync_free(&s.store);
    chat_buf_free(&s.answer);
    chat_buf_free(&s.items);
    free(s.events);
    free(s.requests);
    free(s.entries);

    return 0;
}


static int
sync_open(sync_t *s)
{
    if (s->redis != NULL) {
        return 0;
    }

    /* a reply comes within block_ms, or Redis is not well */
    s->redis = worker_redis_connect(s->conf, s->conf->block_ms + 3000);
    if (s->redis == NULL) {
        return -1;
    }

    s->queued = 0;

    return sync_groups(s);
}


/* From the beginning: what was asked while no group was there counts too. */

static int
sync_groups(sync_t *s)
{
    unsigned  i;

    for (i = 0; i < CHAT_SYNC_SHARDS; i++) {
        sync_queue(s, "XGROUP CREATE %s " CHAT_GROUP_SYNC " 0 MKSTREAM",
                   s->keys[i]);
    }

    sync_flush(s);

    return s->redis != NULL ? 0 : -1;
}


/* One read of all streams. -1 when the connection was lost. All processes are
 * one consumer: with NOACK there is nothing to tell them apart for. */

static int
sync_read(sync_t *s)
{
    char          block[16], count[16];
    size_t        i, n;
    redisReply   *reply;
    store_sync_t *store;
    const char   *argv[11 + 2 * CHAT_SYNC_SHARDS];

    snprintf(count, sizeof(count), "%d", SYNC_COUNT);
    snprintf(block, sizeof(block), "%d", s->conf->block_ms);

    n = 0;
    argv[n++] = "XREADGROUP";
    argv[n++] = "GROUP";
    argv[n++] = CHAT_GROUP_SYNC;
    argv[n++] = CHAT_GROUP_SYNC;
    argv[n++] = "COUNT";
    argv[n++] = count;
    argv[n++] = "BLOCK";
    argv[n++] = block;
    argv[n++] = "NOACK";
    argv[n++] = "STREAMS";

    for (i = 0; i < CHAT_SYNC_SHARDS; i++) {
        argv[n + i] = s->keys[i];
        argv[n + CHAT_SYNC_SHARDS + i] = ">";
    }

    n += 2 * CHAT_SYNC_SHARDS;

    reply = redisCommandArgv(s->redis, (int) n, argv, NULL);
    if (reply == NULL) {
        sync_lost(s, s->redis->errstr);
        return -1;
    }

    s->flushed = worker_mono_ms();

    if (reply->type == REDIS_REPLY_ARRAY) {
        s->n = 0;

        for (i = 0; i < reply->elements; i++) {
            sync_stream(s, reply->element[i]->element[0]->str,
                        reply->element[i]->element[1]);
        }

        chat_buf_reset(&s->items);
        store = sync_store(s);

        if (store != NULL) {
            sync_ahead(store, s->requests, s->n, &s->items);
        }

        sync_publish_all(s, CHAT_EV_SYNC_LIST);
        sync_publish_all(s, CHAT_EV_SYNC_PAGE);

    } else if (reply->type == REDIS_REPLY_ERROR) {

        if (strncmp(reply->str, "NOGROUP", 7) == 0) {
            worker_log(WORKER_INFO, "redis was emptied, making groups anew");
            sync_groups(s);

        } else {
            sync_lost(s, reply->str);
        }
    }

    freeReplyObject(reply);

    return s->redis != NULL ? 0 : -1;
}


static void
sync_stream(sync_t *s, const char *key, const redisReply *list)
{
    size_t  i;

    for (i = 0; i < list->elements; i++) {
        sync_take(s, list->element[i]);
        sync_queue(s, "XDEL %s %s", key, list->element[i]->element[0]->str);
    }
}


/* Among what is to be answered, unless it is no event or too old. */

static void
sync_take(sync_t *s, const redisReply *entry)
{
    size_t             i;
    chat_event_t      *ev;
    const redisReply  *fields, *value;

    if (s->n == s->max) {
        s->max = s->max ? 2 * s->max : SYNC_COUNT;
        s->events = worker_realloc(s->events, s->max * sizeof(*s->events));
        s->requests = worker_realloc(s->requests,
                                     s->max * sizeof(*s->requests));
        s->entries = worker_realloc(s->entries, s->max * sizeof(*s->entries));

        for (i = 0; i < s->n; i++) {
            s->requests[i].ev = &s->events[i];
        }
    }

    fields = entry->element[1];
    value = NULL;

    for (i = 0; i + 1 < fields->elements; i += 2) {
        if (strcmp(fields->element[i]->str, CHAT_EVENT_FIELD) == 0) {
            value = fields->element[i + 1];
        }
    }

    ev = &s->events[s->n];

    if (value == NULL
        || chat_event_decode((const uint8_t *) value->str,
                             (size_t) value->len, ev) != 0)
    {
        worker_log(WORKER_ERROR, "request=%s cannot be decoded, dropped",
                   entry->element[0]->str);
        return;
    }

    if (worker_ms() - ev->received > SYNC_TOO_OLD_MS) {
        worker_log(WORKER_DEBUG, "request=%s too old", entry->element[0]->str);
        return;
    }

    memset(&s->requests[s->n], 0, sizeof(s->requests[s->n]));
    s->requests[s->n].ev = ev;
    s->entries[s->n++] = entry;
}


/*
 * Lists first, they are what a connect waits for. Then pages, and after each a
 * rest half as long as it took: who catches up has time, and the database, the
 * edges and the cores are for those who write as well.
 */

static void
sync_publish_all(sync_t *s, uint8_t type)
{
    size_t   i;
    int64_t  began, rest;

    for (i = 0; i < s->n && s->redis != NULL; i++) {

        if (s->requests[i].ev->type != type) {
            continue;
        }

        began = worker_mono_us();
        sync_publish(s, i);

        if (type == CHAT_EV_SYNC_PAGE) {
            sync_flush(s);

            rest = (worker_mono_us() - began) / 2;
            worker_sleep_us(rest < SYNC_THROTTLE_US ? rest : SYNC_THROTTLE_US);
        }
    }

    if (s->redis != NULL) {
        sync_flush(s);
    }
}


static void
sync_publish(sync_t *s, size_t i)
{
    char                 channel[64];
    store_e              rc;
    const char          *id;
    const chat_event_t  *ev;

    ev = s->requests[i].ev;
    id = s->entries[i]->element[0]->str;

    chat_buf_reset(&s->answer);

    if (sync_answer(sync_store(s), &s->requests[i], &s->items, worker_ms(),
                    &s->answer, &rc)
        != 0)
    {
        worker_log(WORKER_ERROR, "request=%s is none, dropped", id);
        return;
    }

    if (s->answer.failed) {
        worker_die("out of memory");
    }

    if (rc == STORE_FAILED) {
        worker_log(WORKER_ERROR, "request=%s user=%llu failed", id,
                   (unsigned long long) ev->user);
    }

    snprintf(channel, sizeof(channel), CHAT_CHANNEL_EDGE, ev->edge);
    sync_queue(s, "PUBLISH %s %b", channel, s->answer.data, s->answer.len);

    if (worker_mono_ms() - s->flushed >= SYNC_FLUSH_MS) {
        sync_flush(s);
    }
}


/* The store when it is there, NULL while it is away. Tried again after a
 * pause, and not for every request: a try may cost two seconds, in which all
 * the others would wait for a "failed" they could have at once. */

static store_sync_t *
sync_store(sync_t *s)
{
    int64_t  now;

    now = worker_mono_ms();

    if (now < s->store_next) {
        return NULL;
    }

    if (store_sync_connect(s->store) == STORE_OK) {
        s->store_failures = 0;
        s->store_next = 0;
        return s->store;
    }

    s->store_next = worker_mono_ms()
                    + worker_backoff(s->store_failures++, 200, SYNC_UNAVAILABLE_MS);

    return NULL;
}


static void
sync_queue(sync_t *s, const char *fmt, ...)
{
    int      rc;
    va_list  args;

    va_start(args, fmt);
    rc = redisvAppendCommand(s->redis, fmt, args);
    va_end(args);

    if (rc != REDIS_OK) {
        worker_die("redis command: %s", s->redis->errstr);
    }

    s->queued++;
}


/* Sends the pipeline and takes the replies. An error among them is no news: a
 * group that exists, an entry that another process has trimmed. */

static void
sync_flush(sync_t *s)
{
    redisReply  *reply;

    for ( /* void */ ; s->queued > 0; s->queued--) {
        if (redisGetReply(s->redis, (void **) &reply) != REDIS_OK) {
            sync_lost(s, s->redis->errstr);
            return;
        }

        freeReplyObject(reply);
    }

    s->flushed = worker_mono_ms();
}


static void
sync_trim(sync_t *s)
{
    int64_t   now;
    unsigned  i;

    now = worker_mono_ms();

    if (s->trimmed != 0 && now - s->trimmed < SYNC_TRIM_MS) {
        return;
    }

    s->trimmed = now;

    for (i = 0; i < CHAT_SYNC_SHARDS; i++) {
        sync_queue(s, "XTRIM %s MINID %lld", s->keys[i],
                   (long long) (worker_ms() - SYNC_KEEP_MS));
    }

    sync_flush(s);
}


static void
sync_lost(sync_t *s, const char *why)
{
    worker_log(WORKER_WARN, "redis lost: %s", why);

    redisFree(s->redis);
    s->redis = NULL;
    s->queued = 0;
}
