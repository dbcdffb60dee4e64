/*
 * ngx_chat.h: the map of the edge.
 *
 * One nginx worker process is one edge. Each folder has one header; calls go
 * downwards, except inside delivery/ and between it and session/, which
 * implement one protocol together.
 *
 *   ngx_chat_module.c    directives; their values: ngx_chat_conf.c
 *   ngx_chat_process.c   start, timer and end of the process
 *   ngx_chat_link.c      what a change of the connection to Redis means
 *
 *   http/                ngx_chat_http.h
 *     auth               the access phase: token, revocation, variables
 *     problem            refusals as problem+json
 *     handshake          checks of the opening handshake
 *     upgrade            the 101; takes the connection over from HTTP
 *     rest               REST writes, by the same way as the socket's
 *                        (rest_path, rest_body: what they contain)
 *     status             healthz, readyz, metrics
 *     upstream_filter    no write events for idle upstream connections
 *
 *   session/             ngx_chat_session.h
 *     session            a session's life: open, find, close, time out
 *     hash               the table that finds it
 *     inflight           its sends without an answer
 *     read               bytes -> WebSocket messages
 *     dispatch           message -> what it requests
 *     error              the `error` frame that refuses a message
 *     write              frames out, bounded
 *     drain              reload: reconnect, 1012, within chat_drain
 *
 *   delivery/            ngx_chat_delivery.h
 *     enqueue            event -> Redis stream
 *     receipt            delivered and read receipts, coalesced
 *     batch              a worker's batch -> its records
 *     deliver            an entry -> sessions, in order
 *     duplicate          acks of sends that are duplicates
 *     sync, sync_page    catch-up: lists, pages, gaps
 *     table              a session's chat cursors
 *     route              which devices are connected here, written to Redis
 *     leave              the clean-disconnect marker
 *
 *   presence/            ngx_chat_presence.h
 *     presence           a client's subscriptions: requests, answers
 *     follow             which session follows which users
 *     update             the updates that a session is sent
 *     notify             the events that the presence workers are sent
 *
 *   redis/               ngx_chat_redis.h
 *     redis              two connections: commands, subscription
 *     redis_login        the first commands on a connection
 *     redis_reply        replies -> callbacks
 *     redis_adapter      hiredis in nginx's event loop
 *     redis_linger       the batch window of events
 *
 * docs/internals.md says what edge and workers guarantee each other.
 */

#ifndef NGX_CHAT_H
#define NGX_CHAT_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <sodium.h>

#include "chat_batch.h"
#include "chat_error.h"
#include "chat_event.h"
#include "chat_frame.h"
#include "chat_id.h"
#include "chat_json.h"
#include "chat_keys.h"
#include "chat_proto.h"
#include "chat_token.h"
#include "ws_frame.h"


typedef struct ngx_chat_session_s      ngx_chat_session_t;
typedef struct ngx_chat_rest_s         ngx_chat_rest_t;
typedef struct ngx_chat_route_s        ngx_chat_route_t;
typedef struct ngx_chat_follows_s      ngx_chat_follows_t;
typedef struct ngx_chat_pending_ack_s  ngx_chat_pending_ack_t;

extern ngx_module_t  ngx_http_chat_module;


/* -------------------------------------------------------- configuration */

typedef struct {
    ngx_str_t           redis;          /* as configured                    */
    ngx_str_t           redis_path;     /* unix socket, zero-terminated     */
    ngx_str_t           redis_host;     /* or host, zero-terminated         */
    ngx_int_t           redis_port;
    ngx_int_t           redis_db;
    ngx_str_t           redis_user;     /* zero-terminated, may be empty    */
    ngx_str_t           redis_pass;

    ngx_str_t           token_keys_file;
    chat_token_keys_t  *token_keys;

    ngx_str_t           id_key_file;
    u_char             *id_key;         /* CHAT_ID_KEY bytes                */

    ngx_msec_t          drain;          /* chat_drain                       */
    ngx_msec_t          linger;         /* chat_linger                      */
    ngx_uint_t          stream_limit;   /* chat_stream_limit, entries       */
    ngx_uint_t          enabled;        /* some location needs an edge      */
} ngx_chat_main_conf_t;


typedef struct {
    ngx_flag_t          auth;           /* chat_auth                        */
    ngx_flag_t          enqueue;        /* chat_enqueue                     */
    ngx_uint_t          websocket;      /* chat_websocket                   */
    size_t              max_frame;      /* chat_max_frame_size              */
    ngx_msec_t          heartbeat;      /* chat_heartbeat                   */
    size_t              send_buffer;    /* chat_send_buffer                 */
    ngx_array_t        *origins;        /* ngx_str_t; chat_allowed_origins  */
    ngx_uint_t          status;         /* chat_status: what it shows       */
    ngx_uint_t          echo;           /* chat_websocket_echo              */
} ngx_chat_loc_conf_t;


/* a request's context: its verified user and device */
typedef struct {
    chat_token_t        token;
    uint64_t            session;        /* of an upgraded request           */
    ngx_chat_rest_t    *rest;           /* of a REST write                  */
    ngx_event_t        *wait;           /* until revocations are known      */
    unsigned            verified:1;
} ngx_chat_ctx_t;


/* ----------------------------------------------------------------- frames */

/* A server frame with its WebSocket head, built once, shared by every socket
 * it is written to; freed with its last reference. */
typedef struct {
    ngx_uint_t          refs;
    size_t              len;
    u_char              data[1];
} ngx_chat_frame_t;

typedef struct ngx_chat_out_s  ngx_chat_out_t;

struct ngx_chat_out_s {                 /* one frame in one session's queue */
    ngx_chat_out_t     *next;
    ngx_chat_frame_t   *frame;
};


/* --------------------------------------------------- a session's chats */

#define NGX_CHAT_PROVISIONAL  0x01      /* last is a guess from a live entry:
                                           the list's cursor replaces it    */
#define NGX_CHAT_CHECK        0x02      /* request this chat's stored cursor */
#define NGX_CHAT_REQUESTED    0x04      /* requested, no answer yet         */
#define NGX_CHAT_RECEIPT      0x08      /* has receipts to flush            */
#define NGX_CHAT_RECEIPT_ONLY    0x10      /* has only a receipt of the client:
                                           no entry was written yet         */
#define NGX_CHAT_UNVALIDATED        (NGX_CHAT_PROVISIONAL | NGX_CHAT_CHECK)

typedef struct {
    u_char              chat[16];
    uint64_t            last;           /* highest seq written here         */
    uint64_t            target;         /* highest seq that exists          */
    uint64_t            acked;          /* highest delivered receipt on this
                                           connection, or the stored cursor */
    uint64_t            delivered;      /* receipts not yet enqueued, 0: none */
    uint64_t            read;
    uint32_t            flags;
} ngx_chat_cursor_t;

typedef struct {
    ngx_pool_t         *pool;           /* NULL while empty                 */
    ngx_chat_cursor_t  *cursors;        /* dense, in order of arrival       */
    uint32_t           *index;          /* open addressing, position + 1    */
    ngx_uint_t          n;
    ngx_uint_t          cap;
    ngx_uint_t          mask;           /* size of index - 1                */
} ngx_chat_table_t;


/* ---------------------------------------------------------------- session */

typedef enum {
    NGX_CHAT_SYNC_LIST = 0,             /* needs, or waits for, the list    */
    NGX_CHAT_SYNC_PAGES,                /* fetches pages                    */
    NGX_CHAT_LIVE                       /* nothing is left to fetch         */
} ngx_chat_sync_e;

typedef struct {                        /* a session's catch-up             */
    ngx_chat_sync_e     state;
    uint32_t            pos;            /* in table.cursors: first chat that
                                           may have something to fetch      */
    ngx_msec_t          at;             /* of the last request, or the
                                           earliest time of the next        */
    ngx_msec_t          receipt_at;     /* last receipt, or since when one is
                                           due, while catching up           */
    uint64_t            written;        /* entries written from pages       */
    uint32_t            request;        /* number of the last request       */
    uint32_t            stuck;          /* successive pages without progress */
    uint32_t            unacked;        /* entries of pages without a
                                           delivered receipt                */
    unsigned            requested:1;    /* a list or page is under way      */
    unsigned            tries:2;        /* successive requests unanswered   */
    unsigned            more_chats:1;   /* the list was cut                 */
    unsigned            full:1;         /* a page did not fit into the write
                                           queue: wait until that is empty  */
    unsigned            repair:1;       /* live, but some chat has a gap    */
    unsigned            complete:1;     /* sync_complete has been written   */
} ngx_chat_sync_t;

typedef enum {
    NGX_CHAT_OPEN = 0,
    NGX_CHAT_CLOSING,                   /* close frame queued; reads only to
                                           see the peer's close             */
    NGX_CHAT_CLOSED
} ngx_chat_state_e;

typedef struct {
    uint64_t            hash;           /* of chat and messageId            */
    uint32_t            since;          /* ngx_current_msec, low bits       */
    uint16_t            pending;        /* sends without an answer          */
    uint16_t            acked;          /* acked before its place: a page
                                           may still bring the entry        */
} ngx_chat_inflight_t;

struct ngx_chat_session_s {
    ngx_chat_session_t *next_user;      /* in the hash by user              */
    ngx_chat_session_t *next_id;        /* in the hash by id                */
    ngx_queue_t         activity;       /* by time of the last bytes read    */
    ngx_queue_t         expiry;         /* timer wheel: the token's end     */
    ngx_queue_t         dirty;          /* has frames to write              */
    ngx_queue_t         work;           /* has sync work or receipts        */

    ngx_connection_t   *connection;
    ngx_chat_loc_conf_t *conf;
    uint64_t            id;
    uint64_t            user;
    uint64_t            device;
    int64_t             expires;        /* of the token, s                  */
    ngx_msec_t          last_activity;

    ws_parser_t         parser;
    ngx_pool_t         *msg_pool;       /* of a fragmented message          */
    u_char             *msg;
    size_t              msg_len;
    size_t              msg_cap;
    ngx_str_t           preread;        /* bytes read with the handshake    */

    ngx_chat_out_t     *out;            /* write queue                      */
    ngx_chat_out_t    **out_last;
    size_t              out_pos;        /* of the first frame, written      */
    size_t              out_bytes;      /* queued, not yet written          */
    size_t              out_pinned;     /* of them, in a TLS record that must
                                           be retried unchanged             */

    ngx_chat_follows_t *follows;        /* NULL: nobody's presence          */

    ngx_chat_table_t    table;
    ngx_chat_inflight_t *inflight;      /* sends without an answer          */
    ngx_pool_t         *inflight_pool;
    ngx_chat_pending_ack_t *pending_acks; /* acks that wait for their place */
    uint32_t            ninflight;
    uint32_t            inflight_cap;

    ngx_chat_sync_t     sync;
    ngx_msec_t          drain_at;       /* draining: it is closed then      */
    uint16_t            close_code;

    unsigned            state:2;        /* ngx_chat_state_e                 */
    unsigned            routed:1;       /* route on its way to Redis        */
    unsigned            announced:1;    /* and Redis has confirmed it once  */
    unsigned            draining:1;     /* reconnect has been sent          */
    unsigned            superseded:1;   /* its device has reconnected       */
    unsigned            reads_paused:1; /* drain: accepts no more frames    */
    unsigned            in_dirty:1;
    unsigned            in_work:1;
    unsigned            has_receipts:1; /* some cursor has RECEIPT          */
    unsigned            echo:1;         /* test build: sends back           */
    unsigned            broken:1;       /* broke the protocol: bytes are
                                           read and discarded               */
    unsigned            peer_closed:1;  /* its close frame has been read    */
    unsigned            detached:1;     /* the connection is no longer HTTP's */
    unsigned            evicted:1;      /* cursors were evicted from table  */
};


/* ------------------------------------------------------------------- edge */

#define NGX_CHAT_RUN_ID  16             /* of a run_id's 40 characters      */

typedef struct {
    void              **buckets;
    ngx_uint_t          mask;
    ngx_uint_t          n;
} ngx_chat_hash_t;

typedef struct {                        /* shown by chat_status metrics     */
    uint64_t            connects;
    uint64_t            closes;
    uint64_t            refused;
    uint64_t            frames_in;
    uint64_t            frames_out;
    uint64_t            bytes_out;
    uint64_t            events;         /* XADDed                           */
    uint64_t            event_writes;   /* writes to Redis with some        */
    uint64_t            batches;        /* received                         */
    uint64_t            entries;        /* written to sockets               */
    uint64_t            pages;
    uint64_t            too_slow;
    uint64_t            unavailable;
    uint64_t            fenced;         /* entries of a worker that had lost
                                           its shard                        */
    uint64_t            redis_lost;
    uint64_t            presence;       /* frames                           */
    uint64_t            resumed;        /* connects with a valid marker     */
} ngx_chat_counters_t;

typedef struct {
    uint64_t            user;
    uint64_t            device;
    int64_t             expires;        /* s; removed then                  */
} ngx_chat_revoked_t;

#define NGX_CHAT_TOKEN_CACHE  1024
#define NGX_CHAT_TOKEN_WAYS   4       /* associativity of the cache */

typedef struct {
    u_char              digest[16];     /* BLAKE2b of the token             */
    chat_token_t        token;          /* user 0: empty                    */
} ngx_chat_cached_t;

typedef struct ngx_chat_redis_call_s  ngx_chat_redis_call_t;

typedef struct {                        /* a connection to Redis            */
    void               *context;        /* hiredis', NULL: not connected    */
    ngx_connection_t   *connection;
    ngx_event_t         retry;
    ngx_uint_t          failures;
    ngx_msec_t          written;        /* last write                       */
    ngx_connection_t   *window;         /* timerfd of the batch window,
                                           NULL: events never linger        */
    ngx_uint_t          busy_writes;    /* successive writes with events    */
    ngx_msec_t          events_at;      /* last write with events           */
    ngx_msec_t          ping_at;        /* unanswered PING, 0: none         */
    ngx_uint_t          barriers_sent;
    ngx_uint_t          barriers_passed;
    ngx_chat_redis_call_t *calls;       /* ring: commands without a reply   */
    ngx_uint_t          calls_size;     /* a power of two, or 0             */
    ngx_uint_t          first_call;
    ngx_uint_t          ncalls;
    unsigned            writing:1;      /* a write is under way             */
    unsigned            may_linger:1;   /* the command being appended may
                                           wait for the window's end        */
    unsigned            events:1;       /* events are not written yet       */
    unsigned            lingering:1;    /* until the window's end           */
    unsigned            up:1;           /* logged in; subscribed            */
    unsigned            subscriber:1;
} ngx_chat_redis_t;

typedef struct {
    uint64_t            id;
    ngx_log_t          *log;
    ngx_chat_main_conf_t *conf;

    ngx_chat_redis_t    command;
    ngx_chat_redis_t    subscription;
    ngx_msec_t          started;
    ngx_uint_t          revoked_loaded; /* since the subscription is up     */
    ngx_uint_t          revoked_known;  /* once at least                    */
    ngx_uint_t          workers_alive;  /* message workers with a database  */
    ngx_uint_t          announced;      /* edge:<id> has been written       */
    ngx_uint_t          generation;     /* rises when publishes may be lost */

    ngx_chat_hash_t     by_user;        /* sessions */
    ngx_chat_hash_t     by_id;          /* sessions */
    ngx_chat_hash_t     rest;           /* ngx_chat_rest_t */
    uint64_t            last_id;
    ngx_queue_t         activity;       /* sessions by last_activity        */
    ngx_queue_t        *expiry;         /* sessions: a timer wheel, one slot
                                           per second                       */
    time_t              expired;        /* last slot that was checked       */
    ngx_queue_t         dirty;
    ngx_queue_t         work;
    ngx_queue_t         dead;           /* freed at the end of the loop
                                           iteration                        */

    ngx_event_t         flush;          /* posted: end of the iteration     */
    ngx_event_t         tick;           /* every 100 ms, cancelable         */
    ngx_uint_t          ticks;
    ngx_msec_t          min_heartbeat;  /* of all sessions so far           */
    ngx_event_t         drain;          /* the only timer that keeps an old
                                           worker alive                     */
    ngx_msec_t          drain_until;

    ngx_chat_out_t     *free_out;
    ngx_uint_t          nfree_out;
    ngx_chat_frame_t   *pong;           /* NULL until a client pings        */
    u_char             *scratch;        /* NGX_CHAT_SCRATCH bytes           */

    ngx_chat_hash_t     followed;       /* ngx_chat_followed_t              */
    ngx_queue_t         following;      /* sessions that follow somebody    */
    ngx_queue_t         updates;        /* of them, with unsent updates     */
    ngx_uint_t          nfollows;

    uint64_t            epochs[CHAT_SHARDS];
    u_char              full[CHAT_SHARDS];  /* stream above its limit  */

    ngx_chat_route_t   *stale_routes;   /* deleted when Redis is available  */
    ngx_uint_t          nstale_routes;
    ngx_chat_hash_t     leaving;        /* routes by user, ngx_chat_leave.c */
    ngx_queue_t         leave_waiters;
    ngx_str_t           run_id;         /* of Redis; empty: not known       */
    u_char              run_id_text[NGX_CHAT_RUN_ID];

    ngx_chat_revoked_t *revoked;
    ngx_uint_t          nrevoked;
    ngx_uint_t          revoked_cap;
    ngx_chat_cached_t  *tokens;

    ngx_chat_counters_t counters;
} ngx_chat_edge_t;

#define NGX_CHAT_SCRATCH  65536
#define NGX_CHAT_TICK     100           /* ms */
#define NGX_CHAT_EXPIRY   1024          /* s; a token lives 900             */
#define NGX_CHAT_INFLIGHT_MAX  4096     /* unanswered sends, per session    */
#define NGX_CHAT_TABLE_MAX   16384      /* cursors, per session             */
#define NGX_CHAT_REST_WAIT   10000      /* ms */
#define NGX_CHAT_REST_MAX    10000      /* waiting requests                 */
#define NGX_CHAT_CLOSE_TIMEOUT      2000       /* ms after a close frame           */
#define NGX_CHAT_START       2000       /* ms that requests wait for a new
                                           process to reach Redis           */

extern ngx_chat_edge_t  *ngx_chat_edge;     /* NULL until the process starts */


/* Zeroed memory that the caller returns with ngx_free(); NULL out of memory. */

static ngx_inline void *
ngx_chat_alloc(size_t size)
{
    return ngx_calloc(size, ngx_cycle->log);
}


/* ngx_chat_process.c */
ngx_int_t ngx_chat_init_process(ngx_cycle_t *cycle);
void ngx_chat_exit_process(ngx_cycle_t *cycle);

/* ngx_chat_link.c */
ngx_int_t ngx_chat_link_start(void);
void ngx_chat_link_stop(void);
void ngx_chat_link_tick(void);              /* once a second                */

#endif
