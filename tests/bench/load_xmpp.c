/*
 * load_xmpp.c: the client side of XMPP (RFC 6120, 6121; XEP-0045).
 *
 * Called from load_conn.c and load_sched.c; calls load_conn.c and
 * load_check.c. Plain TCP, SASL PLAIN, password = user name. XMPP does not
 * acknowledge an archived message, so there are no acks in pairs; in a room
 * the echo is the sender's ack.
 */

#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>

#include "load_stat.h"

enum {
    XMPP_FEATURES, XMPP_AUTH, XMPP_FEATURES_AGAIN, XMPP_BIND, XMPP_PRESENT,
    XMPP_JOIN, XMPP_DONE
};

static size_t load_xmpp_unit(const uint8_t *data, size_t len);
static void load_xmpp_stanza(load_conn_t *c, uint8_t *data, size_t len);
static void load_xmpp_step(load_conn_t *c, const uint8_t *data, size_t len);
static void load_xmpp_message(load_conn_t *c, uint8_t *data, size_t len);


static int
load_has(const uint8_t *data, size_t len, const char *word)
{
    return memmem(data, len, word, strlen(word)) != NULL;
}


static void
load_xmpp_open(load_conn_t *c)
{
    int   n;
    char  buf[256];

    n = snprintf(buf, sizeof(buf),
                 "<?xml version='1.0'?><stream:stream to='%s' "
                 "xmlns='jabber:client' version='1.0' "
                 "xmlns:stream='http://etherx.jabber.org/streams'>",
                 c->load->opt->domain);
    load_conn_write(c, buf, (size_t) n);
}


static int
load_xmpp_input(load_conn_t *c, uint8_t *data, size_t len)
{
    size_t  pos, n;

    pos = 0;
    while (pos < len) {
        if (data[pos] == ' ' || data[pos] == '\n') {
            pos++;
            continue;
        }
        n = load_xmpp_unit(data + pos, len - pos);
        if (n == 0) {
            break;
        }
        load_xmpp_stanza(c, data + pos, n);
        if (c->state == LOAD_CLOSED) {
            return -1;
        }
        pos += n;
    }
    return (int) pos;
}


/* The length of the declaration, the stream's opening or closing tag, or one
 * whole stanza; 0 when more bytes are needed. Attributes contain no '>', since
 * servers write &gt;. */
static size_t
load_xmpp_unit(const uint8_t *data, size_t len)
{
    int             depth;
    const uint8_t  *p, *lt, *gt, *end;

    end = data + len;
    p = data;
    depth = 0;
    do {
        lt = memchr(p, '<', (size_t) (end - p));
        if (lt == NULL || lt + 1 == end) {
            return 0;
        }
        gt = memchr(lt, '>', (size_t) (end - lt));
        if (gt == NULL) {
            return 0;
        }
        p = gt + 1;
        if (lt[1] == '?'
            || (depth == 0 && (size_t) (gt - lt) >= 14
                && memcmp(lt, "<stream:stream", 14) == 0))
        {
            continue;
        }
        if (lt[1] == '/') {
            depth--;
        } else if (gt[-1] != '/') {
            depth++;
        }
    } while (depth > 0);
    return (size_t) (p - data);
}


static void
load_xmpp_stanza(load_conn_t *c, uint8_t *data, size_t len)
{
    if (c->step == XMPP_DONE) {
        if (len > 8 && memcmp(data, "<message", 8) == 0) {
            load_xmpp_message(c, data, len);
            return;
        }
    } else {
        load_xmpp_step(c, data, len);
    }
    if (load_has(data, len, "<stream:error")) {
        load_conn_close(c, "stream error");
        return;
    }
    if (load_has(data, len, "type='error'")
        && !load_has(data, len, "id='here'"))
    {
        load_on_refused(c, "stanza error", 12);
    }
}


static void
load_xmpp_step(load_conn_t *c, const uint8_t *data, size_t len)
{
    int      n;
    char     buf[512], plain[64], b64[96];

    n = 0;
    switch (c->step) {

    case XMPP_FEATURES:
        if (!load_has(data, len, "<stream:features")) {
            return;
        }
        n = snprintf(plain, sizeof(plain), "%cu%u%cu%u", 0, c->user, 0,
                     c->user);
        EVP_EncodeBlock((unsigned char *) b64, (unsigned char *) plain, n);
        n = snprintf(buf, sizeof(buf),
                     "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' "
                     "mechanism='PLAIN'>%s</auth>", b64);
        c->step = XMPP_AUTH;
        break;

    case XMPP_AUTH:
        if (!load_has(data, len, "<success")) {
            load_conn_close(c, "xmpp: not authorised");
            return;
        }
        c->step = XMPP_FEATURES_AGAIN;
        load_xmpp_open(c);
        return;

    case XMPP_FEATURES_AGAIN:
        if (!load_has(data, len, "<stream:features")) {
            return;
        }
        n = snprintf(buf, sizeof(buf), "<iq type='set' id='bind'><bind "
                     "xmlns='urn:ietf:params:xml:ns:xmpp-bind'>"
                     "<resource>l</resource></bind></iq>");
        c->step = XMPP_BIND;
        break;

    case XMPP_BIND:
        if (!load_has(data, len, "id='bind'")) {
            return;
        }
        load_on_welcome(c);
        n = snprintf(buf, sizeof(buf), "<presence/><iq type='get' id='here' "
                     "to='%s'><ping xmlns='urn:xmpp:ping'/></iq>",
                     c->load->opt->domain);
        c->step = XMPP_PRESENT;
        break;

    case XMPP_PRESENT:
        if (!load_has(data, len, "id='here'")) {
            return;
        }
        if (c->slot[0].kind != LOAD_IN_GROUP) {
            c->step = XMPP_DONE;
            load_on_ready(c);
            return;
        }
        n = snprintf(buf, sizeof(buf), "<presence to='%s/u%u'><x "
                     "xmlns='http://jabber.org/protocol/muc'>"
                     "<history maxstanzas='0'/></x></presence>",
                     c->slot[0].chat, c->user);
        c->step = XMPP_JOIN;
        break;

    case XMPP_JOIN:
        if (!load_has(data, len, "code='110'")
            && !load_has(data, len, "<subject"))
        {
            return;
        }
        c->step = XMPP_DONE;
        load_on_ready(c);
        return;
    }
    load_conn_write(c, buf, (size_t) n);
}


static void
load_xmpp_message(load_conn_t *c, uint8_t *data, size_t len)
{
    load_payload_t  p;

    if (load_payload_find(data, len, &p) == 0 && p.stream == c->user) {
        load_on_ack(c, &c->slot[0], p.n, p.due);
        return;
    }
    load_on_message(c, &c->slot[0], data, len);
}


static int
load_xmpp_send(load_conn_t *c, load_slot_t *slot, const load_payload_t *p)
{
    int    n;
    char   buf[4096];

    n = snprintf(buf, sizeof(buf), "<message to='%s' type='%s' id='m%u'>"
                 "<body>", slot->chat,
                 slot->kind == LOAD_PAIR ? "chat" : "groupchat", p->n);
    load_payload_write(p, buf + n, c->load->opt->size);
    n += c->load->opt->size;
    memcpy(buf + n, "</body></message>", 17);
    return load_conn_write(c, buf, (size_t) n + 17);
}


static void
load_xmpp_ping(load_conn_t *c)
{
    load_conn_write(c, " ", 1);
}


static void
load_xmpp_name(const load_conn_t *c, load_slot_t *slot)
{
    if (slot->kind == LOAD_PAIR) {
        snprintf(slot->chat, sizeof(slot->chat), "u%u@%.20s", slot->peer,
                 c->load->opt->domain);
    } else {
        /* a new room per run: the room of the previous run may be about to
         * close, and a user who joins it then would be alone */
        snprintf(slot->chat, sizeof(slot->chat), "g%u-%d@conference.%.16s",
                 slot->peer, c->load->opt->members, c->load->opt->domain);
    }
}


const load_proto_t  load_proto_xmpp = {
    "xmpp", load_xmpp_open, load_xmpp_input, load_xmpp_send,
    NULL, load_xmpp_ping, load_xmpp_name
};
