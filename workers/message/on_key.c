/*
 * on_key.c: a POST with an Idempotency-Key is done once.
 *
 * Called from on_chat_create.c and on_members_add.c; hands to
 * store_chat_key.c. Per user, route and key: the same answer again for the
 * same body, for another one a refusal.
 */

#include <string.h>

#include "on.h"

static uint64_t on_key_digest(const message_item_t *it);


store_e
on_key_take(message_t *m, message_item_t *it, const char *route)
{
    store_e      rc;
    uint64_t     digest;
    chat_buf_t  *buf;
    store_key_t  key;

    if (it->ev.idempotency_key.data == NULL) {
        return STORE_OK;
    }

    digest = on_key_digest(it);

    rc = store_chat_key_take(m->store, it->ev.user, route,
                             &it->ev.idempotency_key, digest, &key);
    if (rc != STORE_NOT_FOUND) {
        return rc;
    }

    if (key.digest != digest) {
        on_refuse(m, it, CHAT_E_IDEMPOTENCY_KEY_REUSED,
                  "This Idempotency-Key was used for another request.");
        return STORE_NOT_FOUND;
    }

    buf = on_text(m);
    (void) chat_buf_add(buf, key.body.data, key.body.len);
    on_http(m, it, key.status, buf);

    return STORE_NOT_FOUND;
}


store_e
on_key_fill(message_t *m, message_item_t *it, const char *route,
    unsigned status, const chat_buf_t *json)
{
    chat_str_t  body;

    if (it->ev.idempotency_key.data == NULL) {
        return STORE_OK;
    }

    body.data = (const char *) json->data;
    body.len = json->len;

    return store_chat_key_fill(m->store, it->ev.user, route,
                               &it->ev.idempotency_key, status, &body);
}


/* The digest of an entry serves for a body too. */

static uint64_t
on_key_digest(const message_item_t *it)
{
    chat_entry_t  e;

    memset(&e, 0, sizeof(e));
    e.content = it->ev.body;

    return chat_entry_digest(&e);
}
