/*
 * request_key.c: a POST with an Idempotency-Key is executed once.
 *
 * Called from on_chat_create.c and on_members_add.c; hands to
 * store_chat_key.c. A key belongs to a user and a route. A second request with
 * the same body gets the stored answer, one with another body is refused.
 */

#include <string.h>

#include "reply.h"
#include "request.h"

static uint64_t request_key_digest(const message_item_t *it);


store_e
request_key_take(message_t *m, message_item_t *it, const char *route,
    int *answered_r)
{
    store_e      rc;
    uint64_t     digest;
    chat_buf_t  *buf;
    store_key_t  key;

    *answered_r = 0;

    if (it->ev.idempotency_key.data == NULL) {
        return STORE_OK;
    }

    digest = request_key_digest(it);

    rc = store_chat_key_take(m->store, it->ev.user, route,
                             &it->ev.idempotency_key, digest, &key);
    if (rc != STORE_NOT_FOUND) {
        return rc;
    }

    *answered_r = 1;

    if (key.digest != digest) {
        reply_refuse(m, it, CHAT_E_IDEMPOTENCY_KEY_REUSED,
                     "This Idempotency-Key was used for another request.");
        return STORE_OK;
    }

    buf = reply_buf(m);
    (void) chat_buf_add(buf, key.body.data, key.body.len);
    reply_http(m, it, key.status, buf);

    return STORE_OK;
}


store_e
request_key_answer(message_t *m, message_item_t *it, const char *route,
    unsigned status, const chat_buf_t *json)
{
    chat_str_t  body;

    reply_http(m, it, status, json);

    if (it->ev.idempotency_key.data == NULL) {
        return STORE_OK;
    }

    body.data = (const char *) json->data;
    body.len = json->len;

    return store_chat_key_fill(m->store, it->ev.user, route,
                               &it->ev.idempotency_key, status, &body);
}


/* The digest of an entry whose content is the body. */

static uint64_t
request_key_digest(const message_item_t *it)
{
    chat_entry_t  e;

    memset(&e, 0, sizeof(e));
    e.content = it->ev.body;

    return chat_entry_digest(&e);
}
