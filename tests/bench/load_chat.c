/*
 * load_chat.c: the client side of our own protocol.
 *
 * Called from load_conn.c with bytes and from load_sched.c with messages that
 * are due; calls load_ws.c and load_check.c. Searches the frames for keys
 * instead of parsing them: the server writes compact frames, and the tool must
 * use less CPU than the server.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chat_id.h"
#include "chat_proto.h"
#include "chat_token.h"
#include "load_stat.h"
#include "ws_frame.h"

enum { CHAT_STEP_UPGRADE, CHAT_STEP_FRAMES };

typedef struct {
    const char  *data;
    size_t       len;
} load_str_t;

static void load_chat_frame(load_conn_t *c, uint8_t *data, size_t len);
static void load_chat_entry(load_conn_t *c, uint8_t *data, size_t len,
    int is_ack);
static load_slot_t *load_chat_slot(load_conn_t *c, const uint8_t *data,
    size_t len);
static void load_chat_presence(load_conn_t *c);
static int load_json_value(const uint8_t *data, size_t len, const char *key,
    load_str_t *v_r);
static int load_is(const load_str_t *s, const char *word);


static void
load_chat_open(load_conn_t *c)
{
    char  token[CHAT_TOKEN_MAX + 1];

    if (load_token(c->user, token) != 0) {
        load_conn_close(c, "no token");
        return;
    }
    load_ws_upgrade(c, "/ws", CHAT_SUBPROTOCOL, token);
}


static int
load_chat_input(load_conn_t *c, uint8_t *data, size_t len)
{
    int              rc, used;
    char             why[48];
    size_t           pos;
    load_ws_frame_t  f;

    pos = 0;
    if (c->step == CHAT_STEP_UPGRADE) {
        used = load_ws_handshake(c, data, len);
        if (used <= 0) {
            return used;
        }
        pos = (size_t) used;
        c->step = CHAT_STEP_FRAMES;
    }
    while ((rc = load_ws_frame(data, len, &pos, &f)) == 1) {
        switch (f.op) {
        case WS_OP_TEXT:
            load_chat_frame(c, f.data, f.len);
            break;
        case WS_OP_PING:
            load_ws_write(c, WS_OP_PONG, f.data, f.len);
            break;
        case WS_OP_CLOSE:
            snprintf(why, sizeof(why), "closed with %d",
                     f.len >= 2 ? f.data[0] << 8 | f.data[1] : 1005);
            load_conn_close(c, why);
            return -1;
        }
        if (c->state == LOAD_CLOSED) {
            return -1;
        }
    }
    if (rc == -1) {
        load_conn_close(c, "broken frame");
        return -1;
    }
    return (int) pos;
}


static void
load_chat_frame(load_conn_t *c, uint8_t *data, size_t len)
{
    load_str_t  type, code;

    if (load_json_value(data, len, "\"type\":", &type) != 0) {
        load_conn_close(c, "frame without type");
        return;
    }
    if (load_is(&type, "new_message")) {
        load_chat_entry(c, data, len, 0);
        return;
    }
    if (load_is(&type, "message_ack")) {
        load_chat_entry(c, data, len, 1);
        return;
    }
    if (load_is(&type, "receipt")) {
        load_inc(c->load, receipts);
        return;
    }
    if (load_is(&type, "presence")) {
        load_inc(c->load, presences);
        return;
    }
    if (load_is(&type, "welcome")) {
        load_on_welcome(c);
        return;
    }
    if (load_is(&type, "sync_complete")) {
        load_on_ready(c);
        if (c->state == LOAD_READY && c->load->opt->workload == LOAD_MIX) {
            load_chat_presence(c);
        }
        return;
    }
    if (load_is(&type, "error")) {
        if (load_json_value(data, len, "\"code\":", &code) == 0) {
            load_on_refused(c, code.data, code.len);
        }
        return;
    }
    if (load_is(&type, "reconnect")) {
        load_stat_why(c->load->stat, "reconnect", 9);
    }
}


/* The connection that sent a message gets an ack instead of the entry, so acks
 * and entries are both part of the chat's order. */
static void
load_chat_entry(load_conn_t *c, uint8_t *data, size_t len, int is_ack)
{
    uint64_t         seq;
    load_str_t       v;
    load_slot_t     *slot;
    load_payload_t   p;

    slot = load_chat_slot(c, data, len);
    if (slot == NULL || load_json_value(data, len, "\"seq\":", &v) != 0) {
        load_inc(c->load, stray);
        return;
    }
    seq = strtoull(v.data, NULL, 10);
    load_on_seq(c, slot, seq);
    if (c->load->opt->workload == LOAD_CATCHUP) {
        load_mark_later(c);
        return;
    }
    if (c->load->opt->receipts && !is_ack) {
        load_mark_later(c);
    }
    if (load_payload_find(data, len, &p) != 0) {
        load_inc(c->load, stray);
        return;
    }
    if (is_ack) {
        load_on_ack(c, slot, p.n, p.due);
        return;
    }
    load_on_message(c, slot, data, len);
    if (load_json_value(data, len, "\"timestamp\":", &v) == 0) {
        load_on_stamp(c, p.due, v.data, v.len);
    }
}


/* A chat that was not planned, from catch-up, gets a free slot. */
static load_slot_t *
load_chat_slot(load_conn_t *c, const uint8_t *data, size_t len)
{
    int          i;
    load_str_t   id;

    if (load_json_value(data, len, "\"chatId\":", &id) != 0
        || id.len != CHAT_ID_TEXT)
    {
        return NULL;
    }
    for (i = 0; i < LOAD_SLOTS; i++) {
        if (c->slot[i].kind == LOAD_NO_CHAT) {
            c->slot[i].kind = LOAD_ARCHIVE;
            memcpy(c->slot[i].chat, id.data, CHAT_ID_TEXT);
            return &c->slot[i];
        }
        if (memcmp(c->slot[i].chat, id.data, CHAT_ID_TEXT) == 0) {
            return &c->slot[i];
        }
    }
    return NULL;
}


static int
load_chat_send(load_conn_t *c, load_slot_t *slot, const load_payload_t *p)
{
    char  *d, buf[4096];
    int    n, size = c->load->opt->size;

    n = snprintf(buf, sizeof(buf), "{\"type\":\"send_message\","
                 "\"chatId\":\"%s\",\"messageId\":\"", slot->chat);
    d = buf + n;
    load_payload_write(p, d, LOAD_MARK_LEN);
    d += LOAD_MARK_LEN;
    memcpy(d, "\",\"content\":\"", 13);
    d += 13;
    load_payload_write(p, d, size);
    d += size;
    memcpy(d, "\"}", 2);
    d += 2;
    return load_ws_write(c, WS_OP_TEXT, buf, (size_t) (d - buf));
}


/* `read` implies `delivered`; in the mix half of the users send `read`. */
static void
load_chat_mark(load_conn_t *c, load_slot_t *slot)
{
    int   n;
    char  buf[256];

    n = snprintf(buf, sizeof(buf),
                 "{\"type\":\"%s\",\"chatId\":\"%s\",\"seq\":%llu}",
                 c->load->opt->workload == LOAD_MIX && c->user & 2
                     ? "read" : "delivered",
                 slot->chat, (unsigned long long) slot->seq);
    load_ws_write(c, WS_OP_TEXT, buf, (size_t) n);
}


static void
load_chat_presence(load_conn_t *c)
{
    int                i, n, watched;
    char               buf[4096];
    const load_pool_t *churn;

    churn = &c->load->pool[LOAD_POOL_CHURN];
    watched = c->load->opt->presence;
    if (churn->n == 0 || watched == 0 || c->role != LOAD_POOL_MAIN) {
        return;
    }
    n = snprintf(buf, sizeof(buf),
                 "{\"type\":\"presence_subscribe\",\"userIds\":[");
    for (i = 0; i < watched && n < 3900; i++) {
        n += snprintf(buf + n, sizeof(buf) - (size_t) n, "%s\"%llu\"",
                      i ? "," : "", (unsigned long long) load_user_id(
                          churn->conn[(c->user + (uint32_t) i)
                                      % churn->n].user));
        if ((uint32_t) i + 1 == churn->n) {
            break;
        }
    }
    n += snprintf(buf + n, sizeof(buf) - (size_t) n, "]}");
    load_ws_write(c, WS_OP_TEXT, buf, (size_t) n);
}


static void
load_chat_ping(load_conn_t *c)
{
    static const char  ping[] = "{\"type\":\"ping\"}";

    load_ws_write(c, WS_OP_TEXT, ping, sizeof(ping) - 1);
}


static void
load_chat_name(const load_conn_t *c, load_slot_t *slot)
{
    if (slot->kind == LOAD_PAIR) {
        load_chat_direct(c->user, slot->peer, slot->chat);
    } else {
        load_chat_group((uint32_t) c->load->opt->members, slot->peer,
                        slot->chat);
    }
}


/* The value of a key: a string without its quotes, or a number up to the next
 * comma or brace. Content is never mistaken for a key, since its quotes are
 * escaped. */
static int
load_json_value(const uint8_t *data, size_t len, const char *key,
    load_str_t *v_r)
{
    const uint8_t  *p, *end;

    end = data + len;
    p = memmem(data, len, key, strlen(key));
    if (p == NULL) {
        return -1;
    }
    p += strlen(key);
    while (p < end && *p == ' ') {
        p++;
    }
    if (p < end && *p == '"') {
        v_r->data = (const char *) ++p;
        p = memchr(p, '"', (size_t) (end - p));
        if (p == NULL) {
            return -1;
        }
    } else {
        v_r->data = (const char *) p;
        while (p < end && *p != ',' && *p != '}') {
            p++;
        }
        if (p == end) {
            return -1;
        }
    }
    v_r->len = (size_t) ((const char *) p - v_r->data);
    return 0;
}


static int
load_is(const load_str_t *s, const char *word)
{
    return s->len == strlen(word) && memcmp(s->data, word, s->len) == 0;
}


const load_proto_t  load_proto_chat = {
    "chat", load_chat_open, load_chat_input, load_chat_send,
    load_chat_mark, load_chat_ping, load_chat_name
};
