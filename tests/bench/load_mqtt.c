/*
 * load_mqtt.c: the client side of MQTT 3.1.1, with QoS 1 both ways.
 *
 * Called from load_conn.c and load_sched.c; calls load_conn.c and
 * load_check.c. The topic of a user is u/<index>, of a group g/<number>.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load_stat.h"

enum {
    MQTT_CONNECT = 1, MQTT_CONNACK, MQTT_PUBLISH, MQTT_PUBACK,
    MQTT_SUBSCRIBE = 8, MQTT_SUBACK = 9, MQTT_PINGREQ = 12
};

static void load_mqtt_subscribe(load_conn_t *c);
static void load_mqtt_publish(load_conn_t *c, uint8_t *data, size_t len);
static void load_mqtt_puback(load_conn_t *c, unsigned id);


static uint8_t *
load_mqtt_string(uint8_t *dst, const char *s)
{
    size_t  len = strlen(s);

    *dst++ = (uint8_t) (len >> 8);
    *dst++ = (uint8_t) len;
    memcpy(dst, s, len);
    return dst + len;
}


/* Writes type and length; bodies are shorter than 16,384 bytes here. */
static int
load_mqtt_write(load_conn_t *c, unsigned first, const uint8_t *body,
    size_t len)
{
    size_t   n;
    uint8_t  buf[4096];

    buf[0] = (uint8_t) first;
    n = 1;
    if (len < 128) {
        buf[n++] = (uint8_t) len;
    } else {
        buf[n++] = (uint8_t) (len & 0x7f) | 0x80;
        buf[n++] = (uint8_t) (len >> 7);
    }
    if (len > 0) {
        memcpy(buf + n, body, len);
    }
    return load_conn_write(c, buf, n + len);
}


static void
load_mqtt_open(load_conn_t *c)
{
    char      id[32];
    uint8_t   buf[64], *d;

    snprintf(id, sizeof(id), "l%08x%08x", load_shared->run, c->user);
    d = load_mqtt_string(buf, "MQTT");
    *d++ = 4;               /* 3.1.1 */
    *d++ = 0x02;            /* clean session */
    *d++ = 0;
    *d++ = 60;              /* keep alive, s */
    d = load_mqtt_string(d, id);
    load_mqtt_write(c, MQTT_CONNECT << 4, buf, (size_t) (d - buf));
}


static int
load_mqtt_input(load_conn_t *c, uint8_t *data, size_t len)
{
    int       nacks, i, shift;
    size_t    pos, head, n;
    uint8_t  *p, acks[4 * 256];

    pos = 0;
    nacks = 0;
    while (len - pos >= 2) {
        p = data + pos;
        n = 0;
        shift = 0;
        for (i = 1; i < 5; i++) {
            if (pos + (size_t) i >= len) {
                goto done;
            }
            n |= (size_t) (p[i] & 0x7f) << shift;
            shift += 7;
            if ((p[i] & 0x80) == 0) {
                break;
            }
        }
        head = (size_t) i + 1;
        if (i == 5 || n > LOAD_IN_MAX / 2) {
            load_conn_close(c, "mqtt: broken packet");
            return -1;
        }
        if (len - pos < head + n) {
            break;
        }
        p += head;
        switch (data[pos] >> 4) {
        case MQTT_CONNACK:
            if (n != 2 || p[1] != 0) {
                load_conn_close(c, "mqtt: refused");
                return -1;
            }
            load_on_welcome(c);
            load_mqtt_subscribe(c);
            break;
        case MQTT_SUBACK:
            load_on_ready(c);
            break;
        case MQTT_PUBACK:
            if (n >= 2) {
                load_mqtt_puback(c, (unsigned) (p[0] << 8 | p[1]));
            }
            break;
        case MQTT_PUBLISH:
            i = p[0] << 8 | p[1];
            if (data[pos] & 0x06 && (size_t) i + 4 <= n) {
                acks[nacks * 4] = MQTT_PUBACK << 4;
                acks[nacks * 4 + 1] = 2;
                memcpy(acks + nacks * 4 + 2, p + 2 + i, 2);
                if (++nacks == 256) {
                    load_conn_write(c, acks, 4 * 256);
                    nacks = 0;
                }
            }
            load_mqtt_publish(c, p, n);
            break;
        }
        if (c->state == LOAD_CLOSED) {
            return -1;
        }
        pos += head + n;
    }

done:

    if (nacks > 0 && load_conn_write(c, acks, (size_t) nacks * 4) != 0) {
        return -1;
    }
    return (int) pos;
}


static void
load_mqtt_subscribe(load_conn_t *c)
{
    int       i;
    char      topic[48];
    uint8_t   buf[256], *d;

    d = buf;
    *d++ = 0;
    *d++ = 1;               /* packet id */
    snprintf(topic, sizeof(topic), "u/%u", c->user);
    d = load_mqtt_string(d, topic);
    *d++ = 1;               /* QoS */
    for (i = 0; i < LOAD_SLOTS; i++) {
        if (c->slot[i].kind == LOAD_IN_GROUP) {
            d = load_mqtt_string(d, c->slot[i].chat);
            *d++ = 1;
        }
    }
    load_mqtt_write(c, MQTT_SUBSCRIBE << 4 | 2, buf, (size_t) (d - buf));
}


static void
load_mqtt_publish(load_conn_t *c, uint8_t *data, size_t len)
{
    int  i, kind;

    kind = len > 2 && data[2] == 'g' ? LOAD_IN_GROUP : LOAD_PAIR;
    for (i = 0; i < LOAD_SLOTS; i++) {
        if (c->slot[i].kind == kind) {
            load_on_message(c, &c->slot[i], data, len);
            return;
        }
    }
    load_inc(c->load, stray);
}


/* A packet id is in use until its PUBACK; the ring has its message. */
static int
load_mqtt_send(load_conn_t *c, load_slot_t *slot, const load_payload_t *p)
{
    unsigned  id, at;
    uint8_t   buf[4000], *d;

    if (load_ring(c) != 0) {
        return -1;
    }
    id = p->n % 65535 + 1;
    at = id % LOAD_RING;
    c->due[at] = p->due;
    c->due_n[at] = p->n;
    d = load_mqtt_string(buf, slot->chat);
    *d++ = (uint8_t) (id >> 8);
    *d++ = (uint8_t) id;
    load_payload_write(p, (char *) d, c->load->opt->size);
    d += c->load->opt->size;
    return load_mqtt_write(c, MQTT_PUBLISH << 4 | 2, buf,
                           (size_t) (d - buf));
}


static void
load_mqtt_puback(load_conn_t *c, unsigned id)
{
    unsigned  at;

    at = id % LOAD_RING;
    if (c->due == NULL || c->due_n[at] % 65535 + 1 != id) {
        return;
    }
    load_on_ack(c, &c->slot[0], c->due_n[at], c->due[at]);
}


static void
load_mqtt_ping(load_conn_t *c)
{
    load_mqtt_write(c, MQTT_PINGREQ << 4, NULL, 0);
}


static void
load_mqtt_name(const load_conn_t *c, load_slot_t *slot)
{
    snprintf(slot->chat, sizeof(slot->chat), "%c/%u",
             slot->kind == LOAD_PAIR ? 'u' : 'g', slot->peer);
}


const load_proto_t  load_proto_mqtt = {
    "mqtt", load_mqtt_open, load_mqtt_input, load_mqtt_send,
    NULL, load_mqtt_ping, load_mqtt_name
};
