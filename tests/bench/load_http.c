/*
 * load_http.c: HTTP/1.1 keep-alive: responses, and history pages.
 *
 * Called from load_conn.c, load_sched.c and load_nchan.c; calls
 * load_check.c. A page is correct when it has the requested entries: archives
 * have no gaps (load_setup.c), so the number of entries and the last seq are
 * known in advance.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "chat_id.h"
#include "chat_token.h"
#include "load_stat.h"

static int load_http_chunked(uint8_t *data, size_t len, load_http_t *r);
static int load_rest_request(load_conn_t *c, uint32_t before, int64_t due);
static void load_rest_page(load_conn_t *c, const load_http_t *r,
    uint32_t before, int64_t due);


int
load_http_response(uint8_t *data, size_t len, load_http_t *r)
{
    int       n;
    char     *p, *line, *next;
    size_t    head;
    uint8_t  *end;

    end = memmem(data, len, "\r\n\r\n", 4);
    if (end == NULL) {
        return len > 16384 ? -1 : 0;
    }
    if (len < 12 || memcmp(data, "HTTP/1.1 ", 9) != 0) {
        return -1;
    }
    r->status = atoi((char *) data + 9);
    head = (size_t) (end - data) + 4;
    r->body = data + head;
    r->body_len = 0;
    r->close = memmem(data, head, "Connection: close", 17) != NULL;

    for (line = (char *) data; line < (char *) end; line = next + 2) {
        next = memmem(line, (size_t) ((char *) end + 2 - line), "\r\n", 2);
        if (next == NULL) {
            break;
        }
        if (strncasecmp(line, "content-length:", 15) == 0) {
            r->body_len = strtoul(line + 15, &p, 10);
            if (r->body_len > LOAD_IN_MAX - head) {
                return -1;
            }
            return len - head < r->body_len ? 0
                                            : (int) (head + r->body_len);
        }
        if (strncasecmp(line, "transfer-encoding: chunked", 26) == 0) {
            n = load_http_chunked(r->body, len - head, r);
            return n <= 0 ? n : n + (int) head;
        }
    }
    return r->status == 204 || r->status == 304 ? (int) head : -1;
}


/* The chunks are not joined: a search for a key works unless a chunk border
 * splits the key, and these servers flush whole bodies. */
static int
load_http_chunked(uint8_t *data, size_t len, load_http_t *r)
{
    char           *after;
    size_t          pos;
    uint8_t        *eol;
    unsigned long   n;

    pos = 0;
    for ( ;; ) {
        eol = memmem(data + pos, len - pos, "\r\n", 2);
        if (eol == NULL) {
            return 0;
        }
        n = strtoul((char *) data + pos, &after, 16);
        if ((uint8_t *) after == data + pos || n > LOAD_IN_MAX) {
            return -1;
        }
        pos = (size_t) (eol - data) + 2 + n + 2;
        if (pos > len) {
            return 0;
        }
        if (n == 0) {
            r->body_len = pos;
            return (int) pos;
        }
    }
}


static void
load_rest_open(load_conn_t *c)
{
    unsigned  i, at;

    if (load_ring(c) != 0) {
        return;
    }
    load_on_ready(c);
    for (i = 0; i < c->fifo && c->state == LOAD_READY; i++) {
        at = (c->due_head + i) % LOAD_RING;
        load_rest_request(c, c->due_n[at], c->due[at]);
    }
}


int
load_http_get(load_conn_t *c, int64_t due)
{
    unsigned  at;
    uint32_t  before;

    if (c->fifo == LOAD_RING) {
        return -1;
    }
    before = 2 + (uint32_t) (load_random(c->load)
                             % (uint64_t) c->load->opt->depth);
    at = (c->due_head + c->fifo++) % LOAD_RING;
    c->due[at] = due;
    c->due_n[at] = before;
    return load_rest_request(c, before, due);
}


/* The two numbers in the ring determine the archive, so that the same page can
 * be requested again on a new connection. */
static int
load_rest_request(load_conn_t *c, uint32_t before, int64_t due)
{
    int                n;
    char               buf[2048], token[CHAT_TOKEN_MAX + 1];
    char               chat[CHAT_ID_TEXT + 1];
    uint64_t           h;
    uint32_t           archive;
    const load_opt_t  *opt = c->load->opt;

    h = ((uint64_t) due ^ before) * 0x9e3779b97f4a7c15ull;
    archive = (uint32_t) ((h >> 32) % (uint64_t) opt->archives);
    load_chat_archive(archive, chat);
    if (load_token(archive * 2, token) != 0) {
        return -1;
    }
    n = snprintf(buf, sizeof(buf),
                 "GET /api/v1/chats/%s/messages?before=%u&limit=%d HTTP/1.1"
                 "\r\nHost: %s:%d\r\nAuthorization: Bearer %s\r\n\r\n",
                 chat, before, opt->page, opt->host, opt->rest_port, token);
    return load_conn_write(c, buf, (size_t) n);
}


static int
load_rest_input(load_conn_t *c, uint8_t *data, size_t len)
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
        load_rest_page(c, &r, c->due_n[at], c->due[at]);
        if (r.close) {
            load_conn_close(c, NULL);   /* e.g. after 1,000 requests */
            c->again = 1;
            c->load->again++;
            return -1;
        }
    }
    return (int) pos;
}


static void
load_rest_page(load_conn_t *c, const load_http_t *r, uint32_t before,
    int64_t due)
{
    char      last[32], why[16];
    load_t   *l = c->load;
    size_t    left;
    uint8_t  *p;
    uint32_t  wanted, got;

    if (!load_counted(due)) {
        return;
    }
    if (r->status != 200) {
        snprintf(why, sizeof(why), "HTTP %d", r->status);
        load_inc(l, bad_pages);
        load_stat_why(l->stat, why, strlen(why));
        return;
    }
    wanted = before - 1 < (uint32_t) l->opt->page ? before - 1
                                                  : (uint32_t) l->opt->page;
    got = 0;
    p = r->body;
    left = r->body_len;
    while ((p = memmem(p, left, "\"seq\":", 6)) != NULL) {
        got++;
        p += 6;
        left = r->body_len - (size_t) (p - r->body);
    }
    snprintf(last, sizeof(last), "\"seq\":%u", before - 1);
    if (got != wanted
        || memmem(r->body, r->body_len, last, strlen(last)) == NULL)
    {
        load_inc(l, bad_pages);
        load_stat_why(l->stat, "wrong page", 10);
        return;
    }
    load_inc(l, pages);
    load_rec(l, READ, load_ns() - due);
}


const load_proto_t  load_proto_rest = {
    "rest", load_rest_open, load_rest_input, NULL, NULL, NULL, NULL
};
