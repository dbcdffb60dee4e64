/*
 * load_tls.c: the same functions for connections with and without TLS.
 *
 * Called from load_conn.c; calls OpenSSL or the socket functions.
 */

#include <errno.h>
#include <sys/socket.h>

#include "load_stat.h"

static SSL_CTX  *load_tls_ctx;


/* The server runs on loopback, so its certificate is not checked. */
int
load_tls_init(const load_opt_t *opt)
{
    if (!opt->tls) {
        return 0;
    }
    load_tls_ctx = SSL_CTX_new(TLS_client_method());
    if (load_tls_ctx == NULL) {
        return -1;
    }
    SSL_CTX_set_verify(load_tls_ctx, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_mode(load_tls_ctx, SSL_MODE_ENABLE_PARTIAL_WRITE
                               | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER
                               | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(load_tls_ctx, SSL_SESS_CACHE_CLIENT
                                   | SSL_SESS_CACHE_NO_INTERNAL);
    return 0;
}


int
load_tls_begin(load_conn_t *c)
{
    c->ssl = SSL_new(load_tls_ctx);
    if (c->ssl == NULL || SSL_set_fd(c->ssl, c->fd) != 1) {
        load_conn_close(c, "SSL_new");
        return -1;
    }
    if (c->session != NULL) {
        SSL_set_session(c->ssl, c->session);
    }
    return 0;
}


void
load_tls_handshake(load_conn_t *c)
{
    int  rc;

    rc = SSL_connect(c->ssl);
    if (rc == 1) {
        load_add(c->load, tls_resumed, (uint64_t) SSL_session_reused(c->ssl));
        load_conn_want(c, 0);
        c->state = LOAD_LOGIN;
        c->proto->open(c);
        return;
    }
    switch (SSL_get_error(c->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
        load_conn_want(c, 0);
        return;
    case SSL_ERROR_WANT_WRITE:
        load_conn_want(c, 1);
        return;
    default:
        load_conn_close(c, "TLS handshake");
    }
}


/* Without close_notify, as a client that loses its connection. */
void
load_tls_end(load_conn_t *c)
{
    if (c->ssl == NULL) {
        return;
    }
    if (c->load->opt->tls_resume && c->state == LOAD_READY) {
        SSL_SESSION_free(c->session);
        c->session = SSL_get1_session(c->ssl);
    }
    SSL_set_shutdown(c->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(c->ssl);
    c->ssl = NULL;
}


/* Returns like recv(): -1 with EAGAIN, 0 at the end. */
ssize_t
load_tls_recv(load_conn_t *c, uint8_t *buf, size_t len)
{
    int  n;

    if (c->ssl == NULL) {
        return recv(c->fd, buf, len, 0);
    }
    n = SSL_read(c->ssl, buf, (int) len);
    if (n > 0) {
        return n;
    }
    switch (SSL_get_error(c->ssl, n)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        errno = EAGAIN;
        return -1;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    default:
        errno = EPROTO;
        return -1;
    }
}


ssize_t
load_tls_send(load_conn_t *c, const uint8_t *data, size_t len)
{
    int  n;

    if (c->ssl == NULL) {
        return send(c->fd, data, len, MSG_NOSIGNAL);
    }
    n = SSL_write(c->ssl, data, (int) len);
    if (n > 0) {
        return n;
    }
    n = SSL_get_error(c->ssl, n);
    errno = (n == SSL_ERROR_WANT_READ || n == SSL_ERROR_WANT_WRITE)
            ? EAGAIN : EPROTO;
    return -1;
}
