/*
 * load_conn.c: one client connection: the socket, unparsed input and unwritten
 * output.
 *
 * Called from load_loop.c with events and from the protocols to write; passes
 * output to load_tls.c and input to the connection's protocol. A connection
 * has its own buffers only while data remains in them, so that 20,000 idle
 * connections need little memory.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "load_stat.h"

static int load_conn_bind(load_conn_t *c);
static void load_conn_opened(load_conn_t *c);
static void load_conn_readable(load_conn_t *c);
static int load_conn_flush(load_conn_t *c);


void
load_conn_open(load_conn_t *c)
{
    int                  one = 1;
    load_t              *l = c->load;
    struct epoll_event   ev;
    struct sockaddr_in   to;

    load_inc(l, opened);
    l->handshakes++;
    c->opened = load_ns();
    c->ping_due = c->opened;
    c->state = LOAD_CONNECTING;
    c->step = 0;
    c->want_write = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd == -1) {
        load_conn_close(c, "socket");
        return;
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (load_conn_bind(c) != 0) {
        load_conn_close(c, "bind");
        return;
    }

    memset(&to, 0, sizeof(to));
    to.sin_family = AF_INET;
    to.sin_port = htons((uint16_t) (c->proto == &load_proto_rest
                                    ? l->opt->rest_port : l->opt->port));
    inet_pton(AF_INET, l->opt->host, &to.sin_addr);
    if (connect(c->fd, (struct sockaddr *) &to, sizeof(to)) != 0
        && errno != EINPROGRESS)
    {
        load_conn_close(c, strerror(errno));
        return;
    }
    ev.events = EPOLLIN | EPOLLOUT;
    ev.data.ptr = c;
    if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->fd, &ev) != 0) {
        load_conn_close(c, "epoll_ctl");
    }
}


/* An address has 28,000 ports, so connections use several addresses. */
static int
load_conn_bind(load_conn_t *c)
{
    int                 one = 1;
    struct sockaddr_in  from;

    memset(&from, 0, sizeof(from));
    from.sin_family = AF_INET;
    from.sin_addr.s_addr = htonl(0x7f000002
                                 + load_random(c->load) % LOAD_SOURCES);
    setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one,
               sizeof(one));
    return bind(c->fd, (struct sockaddr *) &from, sizeof(from));
}


void
load_conn_close(load_conn_t *c, const char *why)
{
    load_t  *l = c->load;

    if (c->state == LOAD_CLOSED) {
        return;
    }
    if (why != NULL) {
        if (c->state == LOAD_READY) {
            load_inc(l, lost_connections);
        } else {
            load_inc(l, failed);
        }
        load_stat_why(l->stat, why, strlen(why));
    }
    load_tls_end(c);
    if (c->fd != -1) {
        close(c->fd);       /* removes it from epoll */
        c->fd = -1;
    }
    free(c->in);
    free(c->out);
    c->in = c->out = NULL;
    c->in_len = c->in_cap = 0;
    c->out_pos = c->out_len = c->out_cap = 0;
    c->mark_at = 0;
    load_loop_left(c);
    c->state = LOAD_CLOSED;
}


int
load_ring(load_conn_t *c)
{
    if (c->due == NULL) {
        c->due = calloc(LOAD_RING, sizeof(int64_t));
        c->due_n = calloc(LOAD_RING, sizeof(uint32_t));
        if (c->due == NULL || c->due_n == NULL) {
            load_conn_close(c, "out of memory");
            return -1;
        }
    }
    return 0;
}


void
load_conn_event(load_conn_t *c, unsigned events)
{
    if (c->state == LOAD_CLOSED) {
        return;             /* by an earlier event of this iteration */
    }
    if (c->state == LOAD_CONNECTING) {
        load_conn_opened(c);
        return;
    }
    if (c->state == LOAD_TLS) {
        load_tls_handshake(c);
        return;
    }
    if (events & EPOLLOUT && c->out_len > 0 && load_conn_flush(c) != 0) {
        return;
    }
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        load_conn_readable(c);
    }
}


static void
load_conn_opened(load_conn_t *c)
{
    int        err;
    socklen_t  len = sizeof(err);

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len) != 0 || err) {
        load_conn_close(c, strerror(err));
        return;
    }
    if (!c->load->opt->tls) {
        load_conn_want(c, 0);
        c->state = LOAD_LOGIN;
        c->proto->open(c);
        return;
    }
    c->state = LOAD_TLS;
    if (load_tls_begin(c) == 0) {
        load_tls_handshake(c);
    }
}


/* Reads again while the buffer was filled completely, but at most four times,
 * because other connections wait. */
static void
load_conn_readable(load_conn_t *c)
{
    int       used, round;
    size_t    have, room;
    ssize_t   n;
    uint8_t  *buf, *in;
    load_t   *l = c->load;

    for (round = 0; round < 4; round++) {
        buf = l->buf;
        have = c->in_len;
        if (have > 0) {
            if (have >= LOAD_IN_MAX) {
                load_conn_close(c, "too much without an end");
                return;
            }
            memcpy(buf, c->in, have);
        }
        room = LOAD_BUF + LOAD_IN_MAX - have;
        if (room > LOAD_BUF) {
            room = LOAD_BUF;
        }
        n = load_tls_recv(c, buf + have, room);
        if (n <= 0) {
            if (n == 0) {
                load_conn_close(c, "closed by the server");
            } else if (errno != EAGAIN) {
                load_conn_close(c, strerror(errno));
            }
            return;
        }
        load_add(l, bytes_in, (uint64_t) n);
        have += (size_t) n;
        used = c->proto->input(c, buf, have);
        if (used < 0 || c->state == LOAD_CLOSED) {
            return;
        }
        have -= (size_t) used;
        if (have == 0) {
            free(c->in);
            c->in = NULL;
            c->in_cap = 0;
        } else {
            if (have > c->in_cap) {
                in = realloc(c->in, have + 1024);
                if (in == NULL) {
                    load_conn_close(c, "out of memory");
                    return;
                }
                c->in = in;
                c->in_cap = (uint32_t) have + 1024;
            }
            memcpy(c->in, buf + used, have);
        }
        c->in_len = (uint32_t) have;
        if ((size_t) n < room && c->ssl == NULL) {
            return;
        }
    }
}


int
load_conn_write(load_conn_t *c, const void *data, size_t len)
{
    size_t          need;
    ssize_t         n;
    uint8_t        *out;
    const uint8_t  *p = data;

    load_add(c->load, bytes_out, len);
    if (c->out_len == 0) {
        n = load_tls_send(c, p, len);
        if (n == -1 && errno != EAGAIN) {
            load_conn_close(c, strerror(errno));
            return -1;
        }
        if (n > 0) {
            p += n;
            len -= (size_t) n;
        }
        if (len == 0) {
            return 0;
        }
    }

    need = c->out_len + len;
    if (need > LOAD_OUT_MAX) {
        load_conn_close(c, "the server does not read");
        return -1;
    }
    if (c->out_pos > 0) {
        memmove(c->out, c->out + c->out_pos, c->out_len);
        c->out_pos = 0;
    }
    if (need > c->out_cap) {
        out = realloc(c->out, need * 2);
        if (out == NULL) {
            load_conn_close(c, "out of memory");
            return -1;
        }
        c->out = out;
        c->out_cap = (uint32_t) need * 2;
    }
    memcpy(c->out + c->out_len, p, len);
    c->out_len += (uint32_t) len;
    load_conn_want(c, 1);
    return 0;
}


static int
load_conn_flush(load_conn_t *c)
{
    ssize_t  n;

    n = load_tls_send(c, c->out + c->out_pos, c->out_len);
    if (n == -1) {
        if (errno == EAGAIN) {
            return 0;
        }
        load_conn_close(c, strerror(errno));
        return -1;
    }
    c->out_pos += (uint32_t) n;
    c->out_len -= (uint32_t) n;
    if (c->out_len == 0) {
        free(c->out);
        c->out = NULL;
        c->out_pos = c->out_cap = 0;
        load_conn_want(c, 0);
    }
    return 0;
}


void
load_conn_want(load_conn_t *c, int write)
{
    struct epoll_event  ev;

    if (c->want_write == write) {
        return;
    }
    c->want_write = (uint8_t) write;
    ev.events = EPOLLIN | (write ? EPOLLOUT : 0);
    ev.data.ptr = c;
    epoll_ctl(c->load->epoll, EPOLL_CTL_MOD, c->fd, &ev);
}
