/*
 * load_check.c: counts lost, doubled and disordered messages.
 *
 * Called from the protocols with parsed messages; updates the figures
 * (load_stat.h). Tracks the numbers 1, 2, 3 ... of each sender and, where the
 * protocol has one, the `seq` of the chat, which must have no gaps on any
 * connection.
 */

#include <stdio.h>
#include <string.h>

#include "load_stat.h"


/* Recognizes duplicates among the 64 numbers below the highest; an older
 * number never counts as new. */
load_track_e
load_track(load_track_t *t, uint32_t n)
{
    uint32_t  ahead, behind;

    if (n > t->high) {
        ahead = n - t->high;
        if (t->high == 0) {
            t->seen = 0;
        } else if (ahead > 64) {
            t->seen = 0;
        } else {
            t->seen = (ahead == 64 ? 0 : t->seen << ahead)
                      | (1ull << (ahead - 1));
        }
        t->high = n;
        return LOAD_NEW;
    }
    if (n == t->high) {
        return LOAD_DOUBLE;
    }
    behind = t->high - n - 1;
    if (behind >= 64 || t->seen & (1ull << behind)) {
        return LOAD_DOUBLE;
    }
    t->seen |= 1ull << behind;
    return LOAD_LATE;
}


static char *
load_hex(char *dst, uint64_t v, int digits)
{
    int  i;

    for (i = digits - 1; i >= 0; i--) {
        dst[i] = "0123456789abcdef"[v & 15];
        v >>= 4;
    }
    return dst + digits;
}


static int
load_unhex(const uint8_t *src, int digits, uint64_t *v_r)
{
    int       i;
    uint8_t   ch;
    uint64_t  v;

    v = 0;
    for (i = 0; i < digits; i++) {
        ch = src[i];
        if (ch >= '0' && ch <= '9') {
            v = v << 4 | (uint64_t) (ch - '0');
        } else if (ch >= 'a' && ch <= 'f') {
            v = v << 4 | (uint64_t) (ch - 'a' + 10);
        } else {
            return -1;
        }
    }
    *v_r = v;
    return 0;
}


void
load_payload_write(const load_payload_t *p, char *dst, int size)
{
    char  *d;

    d = dst;
    memcpy(d, LOAD_MARK, 3);
    d = load_hex(d + 3, load_shared->run, 8);
    d = load_hex(d, p->stream, 8);
    d = load_hex(d, p->n, 8);
    d = load_hex(d, (uint64_t) p->due, 16);
    if (size > LOAD_MARK_LEN) {
        memset(d, '.', (size_t) (size - LOAD_MARK_LEN));
    }
}


int
load_payload_find(const uint8_t *data, size_t len, load_payload_t *p_r)
{
    uint64_t        run, stream, n, due;
    const uint8_t  *p;

    p = memmem(data, len, LOAD_MARK, 3);
    if (p == NULL || (size_t) (data + len - p) < LOAD_MARK_LEN
        || load_unhex(p + 3, 8, &run) != 0 || run != load_shared->run
        || load_unhex(p + 11, 8, &stream) != 0
        || load_unhex(p + 19, 8, &n) != 0
        || load_unhex(p + 27, 16, &due) != 0)
    {
        return -1;
    }
    p_r->stream = (uint32_t) stream;
    p_r->n = (uint32_t) n;
    p_r->due = (int64_t) due;
    return 0;
}


void
load_on_ack(load_conn_t *c, load_slot_t *slot, uint32_t n, int64_t due)
{
    load_t  *l = c->load;

    switch (load_track(&slot->acks, n)) {
    case LOAD_DOUBLE:
        load_inc(l, ack_doubled);
        return;
    case LOAD_LATE:
        load_inc(l, ack_disordered);
        break;
    case LOAD_NEW:
        break;
    }
    if (load_counted(due)) {
        load_inc(l, acked);
        load_rec(l, ACK, load_ns() - due);
    }
}


/* data: the bytes that contain the payload. */
void
load_on_message(load_conn_t *c, load_slot_t *slot, const uint8_t *data,
    size_t len)
{
    load_t          *l = c->load;
    load_payload_t   p;

    if (load_payload_find(data, len, &p) != 0 || slot == NULL) {
        load_inc(l, stray);
        return;
    }
    if (p.stream == c->user) {
        return;             /* the echo of the client's own message */
    }
    if (slot->checked) {
        switch (load_track(&slot->in, p.n)) {
        case LOAD_DOUBLE:
            load_inc(l, doubled);
            return;
        case LOAD_LATE:
            load_inc(l, disordered);
            break;
        case LOAD_NEW:
            break;
        }
    }
    if (load_counted(p.due)) {
        load_inc(l, received);
        load_rec(l, DELIVERY, load_ns() - p.due);
    }
}


/* Every entry, or the ack of it, has the chat's next number. */
void
load_on_seq(load_conn_t *c, load_slot_t *slot, uint64_t seq)
{
    load_t  *l = c->load;

    load_inc(l, entries);
    if (slot->seq != 0) {
        if (seq <= slot->seq) {
            load_inc(l, seq_doubled);
            return;
        }
        if (seq != slot->seq + 1) {
            load_add(l, seq_gaps, seq - slot->seq - 1);
        }
    }
    slot->seq = seq;
    if (l->opt->workload == LOAD_CATCHUP) {
        load_inc(l, received);
    }
}


void
load_on_refused(load_conn_t *c, const char *why, size_t len)
{
    load_inc(c->load, refused);
    load_stat_why(c->load->stat, why, len);
}
