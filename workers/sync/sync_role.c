/*
 * sync_role.c: role `sync`: requests in, answers out.
 *
 * Called from worker_main.c; hands to sync_prefetch.c, sync_answer.c and
 * workers/redis/. Any number of these processes share the streams: each request
 * is read by one of them. Entries are not kept pending (NOACK), because the
 * edge retries. A process that dies before XDEL leaves entries that nobody
 * reads again; a periodic XTRIM removes them.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chat_keys.h"
#include "chat_proto.h"
#include "redis.h"
#include "sync.h"
#include "worker.h"

#define SYNC_READ_COUNT   64        /* requests per stream and read          */
#define SYNC_FLUSH_MS     20        /* answers are pipelined for so long     */
#define SYNC_THROTTLE_US  50000     /* longest throttle after a page         */
#define SYNC_TRIM_MS      60000     /* between two XTRIM                     */
#define SYNC_KEEP_MS      600000    /* older entries are trimmed             */
#define SYNC_CONNECT_MS   2000      /* longest wait between connects         */

typedef struct {
    const worker_conf_t  *conf;
    redis_t              *redis;    /* NULL while disconnected               */
    int                   redis_failures;
    store_sync_t         *store;
    int                   store_failures;
    int64_t               store_next;   /* earliest connect, monotonic ms    */
    int64_t               trimmed_at;   /* monotonic ms                      */
    size_t                outstanding;  /* replies not yet read              */
    int64_t               flushed_at;   /* monotonic ms                      */
    chat_buf_t            answer;
    chat_buf_t            items;        /* of lists, sync_prefetch.c         */
    chat_event_t         *events;       /* of the read                       */
    sync_request_t       *requests;     /* one per event                     */
    const char          **ids;          /* their entries, for the log        */
    size_t                n, max;
    char                  keys[CHAT_SYNC_SHARDS][32];
    redis_stream_t        streams[CHAT_SYNC_SHARDS];
} sync_t;

static int sync_run(worker_t *w);
static int sync_open(sync_t *s);
static int sync_groups(sync_t *s);
static int sync_read(sync_t *s);
static void sync_stream(sync_t *s, const char *key,
    const redis_reply_t *list);
static void sync_add(sync_t *s, const char *id, const redis_reply_t *entry);
static void sync_grow(sync_t *s);
static void sync_process(sync_t *s);
static void sync_answer_all(sync_t *s, uint8_t type);
static void sync_answer_one(sync_t *s, size_t i);
static store_sync_t *sync_store(sync_t *s);
static void sync_flush(sync_t *s);
static void sync_trim(sync_t *s);
static void sync_disconnect(sync_t *s, const char *why);

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
        s.streams[i].key = s.keys[i];
        s.streams[i].after = ">";
    }

    while (!worker_stopping) {
        if (sync_open(&s) != 0) {
            worker_sleep(worker_backoff(s.redis_failures++, 100,
                                        SYNC_CONNECT_MS));
            continue;
        }

        if (sync_read(&s) == 0) {
            s.redis_failures = 0;
            sync_trim(&s);
        }
    }

    redis_close(&s.redis);
    store_sync_free(&s.store);
    chat_buf_free(&s.answer);
    chat_buf_free(&s.items);
    free(s.events);
    free(s.requests);
    free(s.ids);

    return 0;
}


static int
sync_open(sync_t *s)
{
    if (s->redis != NULL) {
        return 0;
    }

    /* XREADGROUP replies after block_ms at the latest */
    s->redis = redis_connect(s->conf, s->conf->block_ms + 3000);
    if (s->redis == NULL) {
        return -1;
    }

    s->outstanding = 0;

    return sync_groups(s);
}


/* From id 0, so that requests from before the group count too. */

static int
sync_groups(sync_t *s)
{
    unsigned  i;

    for (i = 0; i < CHAT_SYNC_SHARDS; i++) {
        redis_append(s->redis, s->keys[i],
                     "XGROUP CREATE %s " CHAT_GROUP_SYNC " 0 MKSTREAM",
                     s->keys[i]);
        s->outstanding++;
    }

    sync_flush(s);

    return s->redis != NULL ? 0 : -1;
}


/* One read of all streams. -1 when the connection was lost. All processes are
 * one consumer: with NOACK nothing depends on which process has read what. */

static int
sync_read(sync_t *s)
{
    int                    lost;
    size_t                 i;
    const char            *error;
    redis_reply_t         *reply;
    redis_read_streams_t   read;

    memset(&read, 0, sizeof(read));
    read.streams = s->streams;
    read.n = CHAT_SYNC_SHARDS;
    read.count = SYNC_READ_COUNT;
    read.block_ms = s->conf->block_ms;
    read.group = CHAT_GROUP_SYNC;
    read.consumer = CHAT_GROUP_SYNC;
    read.noack = 1;

    reply = redis_streams_read(s->redis, &read);
    if (reply == NULL) {
        sync_disconnect(s, redis_error(s->redis));
        return -1;
    }

    s->flushed_at = worker_mono_ms();
    error = redis_reply_error(reply);

    if (redis_reply_is_array(reply)) {
        s->n = 0;

        for (i = 0; i < redis_reply_count(reply); i++) {
            sync_stream(s, redis_stream_key(reply, i),
                        redis_stream_entries(reply, i));
        }

        sync_process(s);

    } else if (error != NULL) {

        if (strncmp(error, "NOGROUP", 7) == 0) {
            worker_log(WORKER_INFO,
                       "redis was emptied, creating the groups again");
            sync_groups(s);

        } else {
            sync_disconnect(s, error);
        }
    }

    lost = s->redis == NULL;
    redis_reply_free(reply);

    return lost ? -1 : 0;
}


static void
sync_stream(sync_t *s, const char *key, const redis_reply_t *list)
{
    size_t       i;
    const char  *id;

    for (i = 0; i < redis_reply_count(list); i++) {
        id = redis_entry_id(redis_reply_at(list, i));

        if (key != NULL && id != NULL) {
            sync_add(s, id, redis_reply_at(list, i));
            redis_append(s->redis, key, "XDEL %s %s", key, id);
            s->outstanding++;
        }
    }
}


/* Adds an entry to the requests to be answered, unless it is malformed or too
 * old. `id` and `entry` are borrowed. */

static void
sync_add(sync_t *s, const char *id, const redis_reply_t *entry)
{
    chat_str_t     value;
    chat_event_t  *ev;

    sync_grow(s);
    ev = &s->events[s->n];

    if (redis_entry_field(entry, CHAT_EVENT_FIELD, &value) != 0
        || chat_event_decode((const uint8_t *) value.data, value.len, ev) != 0)
    {
        worker_log(WORKER_ERROR, "request=%s cannot be decoded, dropped", id);
        return;
    }

    if (worker_ms() - ev->received > SYNC_TOO_OLD_MS) {
        worker_log(WORKER_DEBUG, "request=%s too old", id);
        return;
    }

    memset(&s->requests[s->n], 0, sizeof(s->requests[s->n]));
    s->requests[s->n].ev = ev;
    s->ids[s->n++] = id;
}


static void
sync_grow(sync_t *s)
{
    size_t  i;

    if (s->n < s->max) {
        return;
    }

    s->max = s->max ? 2 * s->max : SYNC_READ_COUNT;
    s->events = worker_realloc(s->events, s->max * sizeof(*s->events));
    s->requests = worker_realloc(s->requests, s->max * sizeof(*s->requests));
    s->ids = worker_realloc(s->ids, s->max * sizeof(*s->ids));

    for (i = 0; i < s->n; i++) {
        s->requests[i].ev = &s->events[i];
    }
}


/* Answers the requests of one read. */

static void
sync_process(sync_t *s)
{
    store_sync_t  *store;

    chat_buf_reset(&s->items);
    store = sync_store(s);

    if (store != NULL) {
        sync_prefetch(store, s->requests, s->n, &s->items);
    }

    sync_answer_all(s, CHAT_EV_SYNC_LIST);
    sync_answer_all(s, CHAT_EV_SYNC_PAGE);
}


/* Lists are answered first, because connecting clients wait for them. Each page
 * is followed by a throttle of half its duration: a catch-up is not urgent, and
 * must not take the database, the edges and the cores from those who write. */

static void
sync_answer_all(sync_t *s, uint8_t type)
{
    size_t   i;
    int64_t  began, throttle;

    for (i = 0; i < s->n && s->redis != NULL; i++) {

        if (s->requests[i].ev->type != type) {
            continue;
        }

        began = worker_mono_us();
        sync_answer_one(s, i);

        if (type == CHAT_EV_SYNC_PAGE) {
            sync_flush(s);

            throttle = (worker_mono_us() - began) / 2;
            worker_sleep_us(throttle < SYNC_THROTTLE_US ? throttle
                                                        : SYNC_THROTTLE_US);
        }
    }

    if (s->redis != NULL) {
        sync_flush(s);
    }
}


static void
sync_answer_one(sync_t *s, size_t i)
{
    char                 channel[64];
    store_e              rc;
    const char          *id;
    const chat_event_t  *ev;

    ev = s->requests[i].ev;
    id = s->ids[i];

    chat_buf_reset(&s->answer);

    if (sync_answer(sync_store(s), &s->requests[i], &s->items, worker_ms(),
                    &s->answer, &rc)
        != 0)
    {
        worker_log(WORKER_ERROR, "request=%s is not a sync request, dropped",
                   id);
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
    redis_append(s->redis, channel, "PUBLISH %s %b", channel, s->answer.data,
                 s->answer.len);
    s->outstanding++;

    if (worker_mono_ms() - s->flushed_at >= SYNC_FLUSH_MS) {
        sync_flush(s);
    }
}


/* The connected store, or NULL. A failed connect is followed by a backoff: a
 * connect may take two seconds, in which all other requests would wait for a
 * "failed" that they can get at once. */

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
                    + worker_backoff(s->store_failures++, 200,
                                     SYNC_CONNECT_MS);

    return NULL;
}


/* Sends the pipeline and reads the replies. An error reply is ignored: a group
 * exists, or another process has trimmed an entry. */

static void
sync_flush(sync_t *s)
{
    redis_reply_t  *reply;

    for ( /* void */ ; s->outstanding > 0; s->outstanding--) {
        reply = redis_read(s->redis);
        if (reply == NULL) {
            sync_disconnect(s, redis_error(s->redis));
            return;
        }

        redis_reply_free(reply);
    }

    s->flushed_at = worker_mono_ms();
}


static void
sync_trim(sync_t *s)
{
    int64_t   now;
    unsigned  i;

    now = worker_mono_ms();

    if (s->trimmed_at != 0 && now - s->trimmed_at < SYNC_TRIM_MS) {
        return;
    }

    s->trimmed_at = now;

    for (i = 0; i < CHAT_SYNC_SHARDS; i++) {
        redis_append(s->redis, s->keys[i], "XTRIM %s MINID %lld", s->keys[i],
                     (long long) (worker_ms() - SYNC_KEEP_MS));
        s->outstanding++;
    }

    sync_flush(s);
}


static void
sync_disconnect(sync_t *s, const char *why)
{
    worker_log(WORKER_WARN, "redis lost: %s", why);

    redis_close(&s->redis);
    s->outstanding = 0;
}
