/*
 * load_nchan.c: nchan: POST to publish, WebSocket to receive.
 *
 * Called from load_conn.c and load_sched.c; calls load_ws.c, load_http.c and
 * load_check.c. The channel of a user is u<index>, of a group g<number>. A
 * sender has a second connection for publishing, whose POSTs are answered in
 * order.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load_stat.h"
#include "ws_frame.h"


static void
load_nchan_open(load_conn_t *c)
{
    char  path[64];

    if (c->slot[0].kind == LOAD_IN_GROUP) {
        snprintf(path, sizeof(path), "/sub/%s", c->slot[0].chat);
    } else {
        snprintf(path, sizeof(path), "/sub/u%u", c->user);
    }
    load_ws_upgrade(c, path, NULL, NULL);
}


static int
load_nchan_input(load_conn_t *c, uint8_t *data, size_t len)
{
    int              rc, used;
    size_t           pos;
    load_ws_frame_t  f;

    pos = 0;
    if (c->step == 0) {
        used = load_ws_handshake(c, data, len);
        if (used <= 0) {
            return used;
        }
        pos = (size_t) used;
        c->step = 1;
        load_on_welcome(c);
        load_on_ready(c);
        if (c->state == LOAD_CLOSED) {
            return -1;
        }
    }
    while ((rc = load_ws_frame(data, len, &pos, &f)) == 1) {
        switch (f.op) {
        case WS_OP_TEXT:
        case WS_OP_BINARY:
            load_on_message(c, &c->slot[0], f.data, f.len);
            break;
        case WS_OP_PING:
            if (load_ws_write(c, WS_OP_PONG, f.data, f.len) != 0) {
                return -1;
            }
            break;
        case WS_OP_CLOSE:
            load_conn_close(c, "closed by nchan");
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
load_nchan_ping(load_conn_t *c)
{
    load_ws_write(c, WS_OP_PING, "", 0);
}


static void
load_nchan_name(const load_conn_t *c, load_slot_t *slot)
{
    snprintf(slot->chat, sizeof(slot->chat), "%c%u",
             slot->kind == LOAD_PAIR ? 'u' : 'g', slot->peer);
}


static void
load_nchan_pub_open(load_conn_t *c)
{
    if (load_ring(c) != 0) {
        return;
    }
    load_on_ready(c);
}


static int
load_nchan_pub_send(load_conn_t *c, load_slot_t *slot,
    const load_payload_t *p)
{
    int       n;
    char      buf[4096];
    unsigned  at;

    if (c->fifo == LOAD_RING) {
        return -1;
    }
    at = (c->due_head + c->fifo++) % LOAD_RING;
    c->due[at] = p->due;
    c->due_n[at] = p->n;
    n = snprintf(buf, sizeof(buf), "POST /pub/%s HTTP/1.1\r\nHost: %s\r\n"
                 "Content-Length: %d\r\n\r\n", slot->chat,
                 c->load->opt->host, c->load->opt->size);
    load_payload_write(p, buf + n, c->load->opt->size);
    return load_conn_write(c, buf, (size_t) (n + c->load->opt->size));
}


static int
load_nchan_pub_input(load_conn_t *c, uint8_t *data, size_t len)
{
    int          n;
    size_t       pos;
    unsigned     at;
    load_http_t  r;

    for (pos = 0; pos < len; pos += (size_t) n) {
        n = load_http_response(data + pos, len - pos, &r);
        if (n == 0) {
            break;
        }
        if (n < 0 || c->fifo == 0) {
            load_conn_close(c, "broken HTTP response");
            return -1;
        }
        at = c->due_head;
        c->due_head = (c->due_head + 1) % LOAD_RING;
        c->fifo--;
        if (r.status == 201 || r.status == 202) {
            load_on_ack(c, &c->slot[0], c->due_n[at], c->due[at]);
        } else {
            load_on_refused(c, "POST refused", 12);
        }
    }
    return (int) pos;
}


const load_proto_t  load_proto_nchan = {
    "nchan", load_nchan_open, load_nchan_input, NULL,
    NULL, load_nchan_ping, load_nchan_name
};

const load_proto_t  load_proto_nchan_pub = {
    "nchan-pub", load_nchan_pub_open, load_nchan_pub_input,
    load_nchan_pub_send, NULL, NULL, load_nchan_name
};
