/*
 * api_server.c: the API worker: a unix socket, libmicrohttpd, start and drain.
 *
 * Called from worker_main.c as a role; hands every whole request to
 * api_route.c. One thread a connection: nginx keeps a few open, and a request
 * that waits for the database or for argon2id delays no other. The socket is
 * bound under another name and renamed over the old one, so a new process
 * takes over from an old one with no moment in between; the old one serves what
 * it has accepted, answers with "Connection: close", and ends.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <curl/curl.h>
#include <sodium.h>

#include "api.h"

#define API_BACKLOG      511
#define API_CONNECTIONS  512        /* more wait in the backlog               */
#define API_IDLE         75         /* s; longer than nginx keeps one idle    */
#define API_STACK        (256 * 1024)
#define API_DRAIN_MS     2000       /* for requests under way                 */
#define API_DRAIN_MIN    200        /* for those that nginx is just sending   */
#define API_KEY_MAX      8192       /* bytes of token.jwk                     */

static int api_server_run(worker_t *w);
static int api_server_keys(api_t *api);
static int api_server_listen(const char *path);
static struct MHD_Daemon *api_server_start(api_t *api, int fd);
static int api_server_drain(api_t *api, struct MHD_Daemon *daemon);
static enum MHD_Result api_server_request(void *cls,
    struct MHD_Connection *conn, const char *url, const char *method,
    const char *version, const char *data, size_t *size, void **con_cls);
static void api_server_log(api_req_t *req);
static void api_server_done(void *cls, struct MHD_Connection *conn,
    void **con_cls, enum MHD_RequestTerminationCode why);
static size_t api_server_unescape(void *cls, struct MHD_Connection *conn,
    char *text);
static int api_server_hex(int c);
static void api_server_upstream_quiet(void *cls, const char *fmt, va_list ap);

const worker_role_t  worker_role_api = { "api", api_server_run };


static int
api_server_run(worker_t *w)
{
    int                 fd, rc;
    api_t               api;
    pthread_t           upkeep;
    sigset_t            set, old;
    struct MHD_Daemon  *daemon;

    memset(&api, 0, sizeof(api));
    api.conf = w->conf;
    api.dev_sender = strcmp(w->conf->code_sender, "dev") == 0;

    if (api_code_check_sender(w->conf) != 0 || api_server_keys(&api) != 0) {
        return 1;
    }

    curl_global_init(CURL_GLOBAL_DEFAULT);
    json_object_seed(0);

    api.db = api_db_new(w->conf);
    api.seen = api_identity_new();
    fanout_account_init(&api.redis, w->conf);

    fd = api_server_listen(w->conf->api_socket);
    if (fd < 0) {
        return 1;
    }

    /* Only this thread receives SIGTERM, which ends its sleep. */
    sigfillset(&set);
    pthread_sigmask(SIG_BLOCK, &set, &old);

    daemon = api_server_start(&api, fd);

    if (daemon == NULL
        || pthread_create(&upkeep, NULL, api_upkeep, &api) != 0)
    {
        worker_log(WORKER_ERROR, "the HTTP server does not start");
        return 1;
    }

    pthread_sigmask(SIG_SETMASK, &old, NULL);

    worker_log(WORKER_INFO, "listening socket=%s connections=%d",
               w->conf->api_socket, w->conf->api_threads);

    while (!worker_stopping) {
        worker_sleep(1000);
    }

    rc = api_server_drain(&api, daemon);

    /* A running thread still uses these objects: leave them to exit(). */
    if (rc == 0) {
        pthread_join(upkeep, NULL);
        fanout_account_close(&api.redis);
        api_identity_free(&api.seen);
        api_db_free(&api.db);
        sodium_memzero(&api, sizeof(api));
        curl_global_cleanup();
        return 0;
    }

    worker_log(WORKER_WARN, "requests cut off n=%d",
               atomic_load(&api.active));
    _exit(0);
}


/* The signing key, and two keys made from it. */

static int
api_server_keys(api_t *api)
{
    int          fd;
    char         path[4096], text[API_KEY_MAX], err[128];
    size_t       i;
    ssize_t      n;

    static const char  code[] = "chat login code v1";
    static const char  limit[] = "chat limit subject v1";

    snprintf(path, sizeof(path), "%s/token.jwk", api->conf->keys_dir);

    fd = open(path, O_RDONLY|O_CLOEXEC);
    n = fd < 0 ? -1 : read(fd, text, sizeof(text));

    if (n < 0) {
        fprintf(stderr, "chat-worker api: %s: %s\n", path, strerror(errno));
        return -1;
    }

    close(fd);

    if (chat_token_keys_load(text, (size_t) n, &api->keys, err, sizeof(err))
        != 0)
    {
        fprintf(stderr, "chat-worker api: %s: %s\n", path, err);
        return -1;
    }

    sodium_memzero(text, sizeof(text));

    for (i = 0; i < api->keys.n; i++) {
        if (api->keys.keys[i].has_secret) {
            api->signer = &api->keys.keys[i];
            break;
        }
    }

    if (api->signer == NULL) {
        fprintf(stderr, "chat-worker api: %s: no secret key\n", path);
        return -1;
    }

    crypto_generichash(api->code_key, sizeof(api->code_key),
                       (const uint8_t *) code, sizeof(code) - 1,
                       api->signer->secret_key, 32);
    crypto_generichash(api->limit_key, sizeof(api->limit_key),
                       (const uint8_t *) limit, sizeof(limit) - 1,
                       api->signer->secret_key, 32);

    return 0;
}


/* A descriptor, or -1 after saying why. */

static int
api_server_listen(const char *path)
{
    int                  fd;
    char                 temp[sizeof(((struct sockaddr_un *) 0)->sun_path)];
    struct sockaddr_un   sun;

    if (snprintf(temp, sizeof(temp), "%s.%ld", path, (long) getpid())
        >= (int) sizeof(temp))
    {
        fprintf(stderr, "chat-worker api: api_socket %s is too long\n", path);
        return -1;
    }

    memset(&sun, 0, sizeof(sun));
    sun.sun_family = AF_UNIX;
    memcpy(sun.sun_path, temp, sizeof(temp));

    (void) unlink(temp);

    fd = socket(AF_UNIX, SOCK_STREAM|SOCK_CLOEXEC|SOCK_NONBLOCK, 0);

    /* nginx's workers run as another user: who may connect is a matter of the
     * directory */
    if (fd < 0
        || bind(fd, (struct sockaddr *) &sun, sizeof(sun)) != 0
        || chmod(temp, 0666) != 0
        || listen(fd, API_BACKLOG) != 0
        || rename(temp, path) != 0)
    {
        fprintf(stderr, "chat-worker api: %s: %s\n", path, strerror(errno));
        (void) unlink(temp);
        return -1;
    }

    return fd;
}


static struct MHD_Daemon *
api_server_start(api_t *api, int fd)
{
    return MHD_start_daemon(
        MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD
        | MHD_USE_POLL | MHD_USE_ITC | MHD_USE_ERROR_LOG,
        0, NULL, NULL, api_server_request, api,
        MHD_OPTION_EXTERNAL_LOGGER, api_server_upstream_quiet, NULL,
        MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_NOTIFY_COMPLETED, api_server_done, api,
        MHD_OPTION_UNESCAPE_CALLBACK, api_server_unescape, NULL,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned) API_CONNECTIONS,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned) API_IDLE,
        MHD_OPTION_THREAD_STACK_SIZE, (size_t) API_STACK,
        MHD_OPTION_END);
}


/* 0 when every request was answered. The file stays: it may be another
 * process's by now. */

static int
api_server_drain(api_t *api, struct MHD_Daemon *daemon)
{
    int      fd;
    int64_t  now, began;

    atomic_store(&api->draining, 1);

    fd = MHD_quiesce_daemon(daemon);
    if (fd >= 0) {
        close(fd);
    }

    began = worker_mono_ms();

    for ( ;; ) {
        now = worker_mono_ms();

        if (now - began >= API_DRAIN_MIN && atomic_load(&api->active) == 0) {
            MHD_stop_daemon(daemon);
            return 0;
        }

        if (now - began >= API_DRAIN_MS) {
            return -1;
        }

        usleep(10 * 1000);
    }
}


/* Called with the head, then with pieces of the body, then with none. */

static enum MHD_Result
api_server_request(void *cls, struct MHD_Connection *conn, const char *url,
    const char *method, const char *version, const char *data, size_t *size,
    void **con_cls)
{
    api_t      *api;
    api_req_t  *req;

    api = cls;
    req = *con_cls;

    if (req == NULL) {
        req = worker_calloc(1, sizeof(*req));
        req->api = api;
        req->conn = conn;
        *con_cls = req;
        atomic_fetch_add(&api->active, 1);
        return MHD_YES;
    }

    if (*size > 0) {
        /* Read a too large body to its end: otherwise nginx sees a closed
         * connection before it has read the answer. */
        if (req->body.len + *size > API_BODY_MAX) {
            req->too_large = 1;
            chat_buf_reset(&req->body);

        } else if (!req->too_large
                   && chat_buf_add(&req->body, data, *size) != 0)
        {
            return MHD_NO;
        }

        *size = 0;
        return MHD_YES;
    }

    api_route(req, method, url);

    if (req->status == 0) {
        worker_die("route=%s method=%s made no answer", req->route->pattern,
                   req->route->method);
    }

    if (req->status >= 500) {
        api_server_log(req);
    }

    return api_reply_send(req);
}


/* By nginx's name of the request, if it is one: a client may have chosen it. */

static void
api_server_log(api_req_t *req)
{
    const char  *id;

    static const char  safe[] = "0123456789abcdefghijklmnopqrstuvwxyz"
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ-_";

    id = MHD_lookup_connection_value(req->conn, MHD_HEADER_KIND,
                                     "X-Request-Id");
    if (id == NULL || strlen(id) > 64 || id[strspn(id, safe)] != '\0') {
        id = "";
    }

    worker_log(WORKER_WARN, "route=%s method=%s status=%u request=%s",
               req->route->pattern, req->route->method, req->status, id);
}


static void
api_server_done(void *cls, struct MHD_Connection *conn, void **con_cls,
    enum MHD_RequestTerminationCode why)
{
    api_t      *api;
    api_req_t  *req;

    api = cls;
    req = *con_cls;

    if (req == NULL) {
        return;
    }

    *con_cls = NULL;

    /* codes, tokens and PINs came in it */
    if (req->body.data != NULL) {
        sodium_memzero(req->body.data, req->body.cap);
    }

    api_db_put(req);
    json_decref(req->json);
    chat_buf_free(&req->body);
    chat_buf_free(&req->out);
    free(req);

    atomic_fetch_sub(&api->active, 1);
}


/* %XX in place, but for %00, at which a path would seem to end: that one
 * stays, and matches nothing. */

static size_t
api_server_unescape(void *cls, struct MHD_Connection *conn, char *text)
{
    int    hi, lo;
    char  *src, *dst;

    for (src = text, dst = text; *src != '\0'; ) {

        if (*src == '%') {
            hi = api_server_hex(src[1]);
            lo = hi < 0 ? -1 : api_server_hex(src[2]);

            if (lo >= 0 && (hi | lo) != 0) {
                *dst++ = (char) (hi << 4 | lo);
                src += 3;
                continue;
            }
        }

        *dst++ = *src++;
    }

    *dst = '\0';

    return (size_t) (dst - text);
}


static int
api_server_hex(int c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }

    c |= 0x20;

    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}


/* libmicrohttpd's sentences are about sockets that clients closed. */

static void
api_server_upstream_quiet(void *cls, const char *fmt, va_list ap)
{
}
