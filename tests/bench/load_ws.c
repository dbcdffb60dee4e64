/*
 * load_ws.c: the client side of WebSocket (RFC 6455): upgrade, frames.
 *
 * Called from load_chat.c and load_nchan.c; calls load_conn.c. Frames are
 * processed when they are complete. A fragmented message is an error, because
 * no server has a reason to send one.
 */

#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/sha.h>

#include "load_stat.h"
#include "ws_frame.h"

static void load_ws_accept(const load_conn_t *c, char *key, char *accept);


int
load_ws_upgrade(load_conn_t *c, const char *path, const char *protocol,
    const char *token)
{
    int   n;
    char  buf[2048], key[32], accept[WS_ACCEPT_LEN + 1];

    load_ws_accept(c, key, accept);
    n = snprintf(buf, sizeof(buf),
                 "GET %s HTTP/1.1\r\nHost: %s:%d\r\n"
                 "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                 "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n"
                 "%s%s%s%s%s%s\r\n", path, c->load->opt->host,
                 c->load->opt->port, key,
                 protocol ? "Sec-WebSocket-Protocol: " : "",
                 protocol ? protocol : "", protocol ? "\r\n" : "",
                 token ? "Authorization: Bearer " : "",
                 token ? token : "", token ? "\r\n" : "");
    return load_conn_write(c, buf, (size_t) n);
}


/* A key is a nonce (section 4.1). This key is computed from the user and the
 * run, so that it need not be stored until the answer. */
static void
load_ws_accept(const load_conn_t *c, char *key, char *accept)
{
    char     joined[24 + sizeof(WS_GUID)];
    uint8_t  nonce[16], sha1[20];

    memset(nonce, 0, sizeof(nonce));
    memcpy(nonce, &c->user, 4);
    memcpy(nonce + 4, &load_shared->run, 4);
    memcpy(nonce + 8, &c->opened, 8);
    EVP_EncodeBlock((unsigned char *) key, nonce, sizeof(nonce));
    memcpy(joined, key, 24);
    memcpy(joined + 24, WS_GUID, sizeof(WS_GUID));
    SHA1((unsigned char *) joined, strlen(joined), sha1);
    ws_accept(sha1, accept);
    accept[WS_ACCEPT_LEN] = '\0';
}


int
load_ws_handshake(load_conn_t *c, uint8_t *data, size_t len)
{
    char      key[32], accept[WS_ACCEPT_LEN + 1], why[32];
    uint8_t  *end;

    end = memmem(data, len, "\r\n\r\n", 4);
    if (end == NULL) {
        if (len > 8192) {
            load_conn_close(c, "upgrade: endless head");
            return -1;
        }
        return 0;
    }
    if (len < 12 || memcmp(data, "HTTP/1.1 101", 12) != 0) {
        snprintf(why, sizeof(why), "upgrade: %.12s", (char *) data);
        load_conn_close(c, why);
        return -1;
    }
    load_ws_accept(c, key, accept);
    if (memmem(data, (size_t) (end - data), accept, WS_ACCEPT_LEN) == NULL) {
        load_conn_close(c, "upgrade: wrong Sec-WebSocket-Accept");
        return -1;
    }
    return (int) (end + 4 - data);
}


int
load_ws_frame(uint8_t *data, size_t len, size_t *pos, load_ws_frame_t *f)
{
    int       i;
    size_t    left, head;
    uint8_t  *p;
    uint64_t  n;

    p = data + *pos;
    left = len - *pos;
    if (left < 2) {
        return 0;
    }
    if ((p[0] & 0x80) == 0 || p[0] & 0x70 || p[1] & 0x80) {
        return -1;      /* fragmented, reserved bits, masked by a server */
    }
    n = p[1];
    head = 2;
    if (n == 126) {
        head = 4;
        if (left < head) {
            return 0;
        }
        n = (uint64_t) p[2] << 8 | p[3];
    } else if (n == 127) {
        head = 10;
        if (left < head) {
            return 0;
        }
        for (n = 0, i = 2; i < 10; i++) {
            n = n << 8 | p[i];
        }
    }
    if (n > LOAD_IN_MAX - 16) {
        return -1;
    }
    if (left < head + n) {
        return 0;
    }
    f->op = p[0] & 0x0f;
    f->data = p + head;
    f->len = (size_t) n;
    *pos += head + (size_t) n;
    return 1;
}


int
load_ws_write(load_conn_t *c, int op, const void *data, size_t len)
{
    size_t          i, head;
    uint8_t         buf[4096 + 16];
    uint32_t        mask;
    const uint8_t  *src = data;
    uint8_t        *dst, key[4];

    if (len > sizeof(buf) - 16) {
        load_conn_close(c, "frame too long for this tool");
        return -1;
    }
    mask = (uint32_t) load_random(c->load);
    memcpy(key, &mask, 4);
    buf[0] = (uint8_t) (0x80 | op);
    if (len < 126) {
        buf[1] = (uint8_t) (0x80 | len);
        head = 2;
    } else {
        buf[1] = 0x80 | 126;
        buf[2] = (uint8_t) (len >> 8);
        buf[3] = (uint8_t) len;
        head = 4;
    }
    memcpy(buf + head, key, 4);
    dst = buf + head + 4;
    for (i = 0; i < len; i++) {
        dst[i] = src[i] ^ key[i & 3];
    }
    return load_conn_write(c, buf, head + 4 + len);
}
