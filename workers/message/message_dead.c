/*
 * message_dead.c: an event that fails five times goes to the dead-letter stream.
 *
 * Called from message_batch.c; hands to workers/redis/. The event stays in
 * message.sent.dead with its error until an operator acts (chatctl dead); it is
 * never dropped.
 */

#include <stdio.h>
#include <string.h>

#include "chat_keys.h"
#include "message.h"


int
message_dead(message_t *m, const message_item_t *item, const char *error)
{
    char            stream[32], failures[16], at[32];
    int             rc;
    size_t          lengths[15];
    unsigned        i;
    const char     *refused, *argv[15];
    redis_reply_t  *reply;

    (void) snprintf(stream, sizeof(stream), CHAT_KEY_SENT, item->shard);
    (void) snprintf(failures, sizeof(failures), "%u", item->failures);
    (void) snprintf(at, sizeof(at), "%lld", (long long) worker_ms());

    i = 0;
    argv[i++] = "XADD";
    argv[i++] = CHAT_KEY_SENT_DEAD;
    argv[i++] = "*";
    argv[i++] = CHAT_EVENT_FIELD;
    argv[i++] = item->raw.data ? item->raw.data : "";
    argv[i++] = "stream";
    argv[i++] = stream;
    argv[i++] = "id";
    argv[i++] = item->id;
    argv[i++] = "error";
    argv[i++] = error;
    argv[i++] = "failures";
    argv[i++] = failures;
    argv[i++] = "at";
    argv[i++] = at;

    for (i = 0; i < 15; i++) {
        lengths[i] = strlen(argv[i]);
    }

    lengths[4] = item->raw.len;

    worker_log(WORKER_ERROR, "shard=%u id=%s event=%u failures=%u set aside: "
               "%s", item->shard, item->id, item->ev.type, item->failures,
               error);

    if (message_redis_drain(m) != 0) {
        return -1;
    }

    reply = redis_call_argv(m->redis, CHAT_KEY_SENT_DEAD, 15, argv, lengths);

    if (reply == NULL) {
        return message_redis_lost(m, "XADD");
    }

    /* an event that could not be stored must not be acknowledged */
    refused = redis_reply_error(reply);

    if (refused != NULL) {
        worker_log(WORKER_ERROR, "redis refuses XADD: %s", refused);
    }

    rc = refused != NULL ? -1 : 0;
    redis_reply_free(reply);

    return rc;
}
