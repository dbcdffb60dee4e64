/*
 * api.h: the map of the API worker.
 *
 * A request comes over the unix socket and meets the files in this order:
 *
 * api_server.c     libmicrohttpd: socket, bodies, start, drain
 * api_route.c      route table; decides 404, 405, 401, 413, 415, 400, 503
 * api_identity.c   identifies the caller, checks device and user
 * api_field.c      fields of bodies and arguments of queries
 * api_auth.c       codes, logout         api_login.c    POST /auth/login
 * api_refresh.c    POST /auth/refresh    api_devices.c  /devices
 * api_users.c      /users                api_chats.c    /chats, /chats/{}
 * api_members.c    .../members           api_messages.c .../messages
 * api_out.c        long JSON, written piece by piece
 * api_reply.c      JSON, problem+json, headers
 *
 * Beside them: api_db.c (the pool of database connections), api_code.c (login
 * codes), api_token.c (token pairs), api_limit.c (rate limits), api_revoke.c
 * (revocation of devices), api_upkeep.c (periodic work).
 *
 * Knows HTTP and JSON; SQL is behind store_account.h and store_read.h, Redis
 * behind fanout_account.h.
 */

#ifndef API_H
#define API_H

#include <jansson.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

#include "chat_buf.h"
#include "chat_error.h"
#include "chat_event.h"
#include "chat_token.h"
#include "fanout_account.h"
#include "store_account.h"
#include "store_read.h"
#include "worker.h"

#define API_BASE           "/api/v1"
#define API_BODY_MAX       65536    /* bytes of a request's body             */
#define API_PARAMS_MAX     2        /* {} in a pattern                       */
#define API_WAIT_MS        3000     /* for a free database connection        */
#define API_RETRY_AFTER    1        /* s, when the environment is wrong      */
#define API_LIMIT_DEFAULT  50       /* items of a list                       */
#define API_LIMIT_MAX      100
#define API_CURSOR_MAX     64       /* bytes, before base64url               */
#define API_TOKEN_TEXT     43       /* 32 bytes in base64url, no padding     */

typedef struct api_s      api_t;
typedef struct api_req_s  api_req_t;
typedef struct api_db_s   api_db_t;
typedef struct api_seen_s api_seen_t;   /* api_identity.c */

/* flags of a route */
#define API_AUTH  0x01      /* needs a verified caller                       */
#define API_DB    0x02      /* needs a database connection                   */
#define API_BODY  0x04      /* needs a JSON object as body                   */
#define API_EDGE  0x08      /* served by the edge: no handler                */

typedef struct {
    const char   *method;
    const char   *pattern;      /* below API_BASE; "{}" is one segment       */
    unsigned      flags;
    void        (*handler)(api_req_t *req);
} api_route_t;

struct api_s {
    const worker_conf_t     *conf;
    chat_token_keys_t        keys;          /* keys_dir/token.jwk            */
    const chat_token_key_t  *signer;        /* the one with a secret         */
    uint8_t                  code_key[32];  /* derived from the signer       */
    uint8_t                  limit_key[32]; /* hides numbers in Redis        */
    int                      dev_sender;
    api_db_t                *db;
    api_seen_t              *seen;
    fanout_account_t         redis;
    atomic_int               active;        /* requests between first byte
                                               and answer                    */
    atomic_int               draining;      /* answers close connections     */
    atomic_int               republish;     /* a revocation has not reached
                                               Redis                         */
};

struct api_req_s {
    api_t                 *api;
    struct MHD_Connection *conn;
    const api_route_t     *route;
    store_pg_t            *pg;          /* ours from API_DB or api_db_get()
                                           until api_db_put()                */
    store_reader_t        *reader;      /* of the chats, with `pg`           */
    chat_str_t             param[API_PARAMS_MAX];   /* borrowed from the path */
    uint64_t               user;        /* API_AUTH                          */
    uint64_t               device;
    chat_buf_t             body;
    int                    too_large;   /* the body, which is then dropped   */
    json_t                *json;        /* API_BODY: an object, ours         */

    /* the answer: set by api_reply_*() once */
    unsigned               status;      /* 0 while there is none             */
    const char            *type;        /* Content-Type                      */
    chat_buf_t             out;
    unsigned               retry_after;
    char                   allow[64];           /* 405, OPTIONS              */
    char                   limit[128];          /* RateLimit                 */
    char                   policy[128];         /* RateLimit-Policy          */
};

/* api_route.c: fills the answer, whatever comes. */
void api_route(api_req_t *req, const char *method, const char *url);

/* api_reply.c: each ends the request; the handler returns after it. */
void api_reply_json(api_req_t *req, unsigned status, json_t *root);  /* taken */
void api_reply_out(api_req_t *req, unsigned status);    /* out was written   */
void api_reply_empty(api_req_t *req);                   /* 204               */
void api_reply_error(api_req_t *req, chat_error_e error, const char *detail);
void api_reply_field(api_req_t *req, const char *field, const char *why);
void api_reply_store(api_req_t *req, store_e rc);       /* not STORE_OK      */
/* The problem with one more member, a list or an object, taken. */
void api_reply_error_with(api_req_t *req, chat_error_e error,
    const char *detail, const char *name, json_t *value);
enum MHD_Result api_reply_send(api_req_t *req);         /* api_server.c only */

/* api_db.c */
api_db_t *api_db_new(const worker_conf_t *conf);
void api_db_free(api_db_t **db);
store_pg_t *api_db_acquire(api_db_t *db, int wait_ms);  /* NULL: none free   */
void api_db_release(api_db_t *db, store_pg_t *pg);
/* The request's own: 0, or -1 with the answer 503 made. */
int api_db_get(api_req_t *req);
void api_db_put(api_req_t *req);                        /* harmless twice    */

/* api_identity.c: 0, or -1 with the answer made. */
int api_identity_headers(api_req_t *req);
int api_identity_check(api_req_t *req);
api_seen_t *api_identity_new(void);
void api_identity_free(api_seen_t **seen);
void api_identity_evict(api_t *api, uint64_t device);

/* api_field.c: of a body; 0, or -1 with the answer made. Lengths are in
 * characters. An absent field and one that is null are the same, unless the
 * function says otherwise. */
int api_field_text(api_req_t *req, json_t *object, const char *name,
    size_t min, size_t max, int required, const char **text_r);
int api_field_number(api_req_t *req, const char *name, chat_str_t *phone_r);
int api_field_has_control(const char *text, int lines);
/* of a query */
int api_arg_limit(api_req_t *req, unsigned preset, unsigned *limit_r);
int api_arg_seq(api_req_t *req, const char *name, uint64_t min, int *given_r,
    uint64_t *seq_r);
/* The opaque cursor: exactly n bytes. *given_r is 0 when there is none. */
int api_arg_cursor(api_req_t *req, void *dst, size_t n, int *given_r);
/* of a path; -1 with 404 made */
int api_param_num(api_req_t *req, unsigned i, uint64_t *num_r);
int api_param_chat(api_req_t *req, uint8_t id_r[16]);
/* api_out.c: JSON text where a page is long; checked once by out.failed */
void api_out_text(chat_buf_t *out, const char *json);
void api_out_num(chat_buf_t *out, uint64_t n);
void api_out_id(chat_buf_t *out, uint64_t n);           /* "n"               */
void api_out_str(chat_buf_t *out, chat_str_t str);      /* null when absent  */
void api_out_time(chat_buf_t *out, int64_t ms);         /* null for 0        */
void api_out_chat_id(chat_buf_t *out, const uint8_t id[16]);
void api_out_cursor(chat_buf_t *out, const void *src, size_t n);
/* new JSON values */
json_t *api_json_num(uint64_t n);           /* decimal string                */
json_t *api_json_time(int64_t ms);          /* null for 0                    */
json_t *api_json_str(chat_str_t str);       /* null when absent              */
json_t *api_json_cursor(const void *src, size_t n);
void api_set(json_t *object, const char *name, json_t *value);     /* taken  */

/* api_limit.c: counts one try against `limit` an hour; 0, or -1 with 429 or
 * 503 made. Adds to the RateLimit headers. A limit of 0 is none. */
int api_limit(api_req_t *req, const char *policy, const char *subject,
    int limit);
/* The same whatever the code sender is. */
int api_limit_always(api_req_t *req, const char *policy, const char *subject,
    int limit);
/* The client's address as a limit's subject: IPv6 by its /64. */
void api_limit_address(api_req_t *req, char dst[64]);

/* api_code.c */
#define API_CODE_LIFE      300      /* s */
#define API_CODE_TRIES     5        /* wrong ones; then it is void */
/* 0, or -1 after saying on stderr why the sender must not be used. */
int api_code_check_sender(const worker_conf_t *conf);
void api_code_make(char code[7]);
void api_code_hash(const api_t *api, const char *number, const char *code,
    uint8_t hash_r[32]);
/* 0, or -1 when the webhook did not take it. */
int api_code_send(const api_t *api, const char *number, const char *code);

/* api_token.c */
typedef struct {
    char     access[CHAT_TOKEN_MAX + 1];
    int64_t  expires;               /* s since 1970, of the access token */
    char     refresh[API_TOKEN_TEXT + 1];
    uint8_t  refresh_hash[32];
} api_pair_t;
#define API_SEALED_MAX  2048
int api_token_pair(const api_t *api, uint64_t user, uint64_t device,
    api_pair_t *pair_r);                                /* 0, or -1 */
/* 0, or -1 when the text cannot be one of ours. */
int api_token_hash(const char *refresh, size_t len, uint8_t hash_r[32]);
/* The pair under a key that only the holder of `refresh` can make. */
size_t api_token_seal(const char *refresh, const api_pair_t *pair,
    uint8_t dst[API_SEALED_MAX]);
int api_token_open(const char *refresh, const uint8_t *sealed, size_t len,
    api_pair_t *pair_r);                                /* 0, or -1 */
/* accessToken, expiresIn, refreshToken: new */
json_t *api_token_json(const api_pair_t *pair);

/* api_pin.c: argon2id, at most two at a time. */
int api_pin_hash(const char *pin, char dst[STORE_PIN_MAX]);     /* 0, or -1  */
int api_pin_verify(const char *hash, const char *pin);           /* 1 or 0    */
int api_pin_is_valid(const char *pin);      /* 1: six to twelve digits       */

/* api_revoke.c: the revocation is committed in PostgreSQL; updates Redis, the
 * edges and the identity cache. Cannot fail: api_upkeep.c retries what does not
 * reach Redis. */
void api_revoke_notify(api_t *api, const store_revoked_t *list, size_t n);
/* The whole set from PostgreSQL, with its marker; 0, or -1. */
int api_revoke_refill(api_t *api, store_pg_t *pg);

/* api_upkeep.c: the thread's body; arg is api_t. */
void *api_upkeep(void *arg);

/* one device as in the contract; new */
json_t *api_device_json(const store_device_t *device, uint64_t current);

/* handlers */
void api_auth_code(api_req_t *req);
void api_auth_login(api_req_t *req);
void api_auth_refresh(api_req_t *req);
void api_auth_logout(api_req_t *req);
void api_devices_list(api_req_t *req);
void api_devices_delete(api_req_t *req);
void api_users_me(api_req_t *req);
void api_users_me_patch(api_req_t *req);
void api_users_me_status(api_req_t *req);
void api_users_me_privacy(api_req_t *req);
void api_users_me_pin(api_req_t *req);
void api_users_me_delete(api_req_t *req);
void api_users_get(api_req_t *req);
void api_chats_list(api_req_t *req);
void api_chats_get(api_req_t *req);
void api_members_list(api_req_t *req);
void api_messages_list(api_req_t *req);
void api_messages_receipts(api_req_t *req);
void api_ready(api_req_t *req);

#endif
