/*
 * load.h: overview of chatload, the load tool.
 *
 * One parent and 1..LOAD_PROCS_MAX loader processes. The parent reads the
 * options (chatload.c), shares memory for the figures (load_stat.c), forks
 * the loaders, starts the phases of the run, measures the servers' CPU time
 * (load_cpu.c), prints progress, and reports (load_report.c, load_plot.c).
 * A loader is one thread with one epoll (load_loop.c): it opens connections
 * (load_conn.c), sends messages when they are due (load_sched.c), and passes
 * input to one of the protocols, which pass parsed messages to load_check.c.
 *
 *     chatload.c     options, phases of a run
 *     load_opt.c     one table row per option
 *     load_plan.c    connections, chats and senders
 *     load_loop.c    the loop of a loader
 *     load_sched.c   open-loop sending
 *     load_conn.c    sockets, buffers
 *     load_tls.c     connections with or without TLS
 *     load_ws.c      the client side of WebSocket
 *     load_http.c    HTTP/1.1 keep-alive: history pages, nchan's publisher
 *     load_chat.c load_xmpp.c load_mqtt.c load_nchan.c    protocols
 *     load_check.c   lost, doubled, disordered
 *     load_stage.c   time of a message before and after commit
 *     load_stat.c    figures in shared memory, HDR histograms
 *     load_cpu.c     CPU time and memory of the servers, from /proc
 *     load_report.c  load_plot.c    table, JSON, plot
 *     load_names.c   user ids, chat ids, tokens: computed, never stored
 *     load_setup.c   users, chats and history, by SQL
 *
 * Talks to 127.0.0.0/8 only.
 */

#ifndef LOAD_H
#define LOAD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <openssl/ssl.h>

#define LOAD_PROCS_MAX   8
#define LOAD_SLOTS       2          /* chats of one connection              */
#define LOAD_SOURCES     32         /* 127.0.0.2 ... 127.0.0.33             */
#define LOAD_BUF         262144     /* a loader's read buffer               */
#define LOAD_IN_MAX      1048576    /* unparsed bytes of one connection     */
#define LOAD_OUT_MAX     4194304    /* unsent bytes of one connection       */

typedef struct load_s        load_t;
typedef struct load_conn_s   load_conn_t;
typedef struct load_proto_s  load_proto_t;
typedef struct load_stat_s   load_stat_t;

/* ---------------------------------------------------------------- options */

typedef enum {
    LOAD_PAIRS = 0,     /* W1: users in pairs                               */
    LOAD_GROUP,         /* W2: groups with every member online              */
    LOAD_IDLE,          /* W3: idle connections                             */
    LOAD_CONNECT,       /* W4: connect, get welcome, close, repeat          */
    LOAD_CATCHUP,       /* W5: connect with a backlog                       */
    LOAD_HISTORY,       /* W6: history pages over REST                      */
    LOAD_MIX,           /* W7: pairs, groups, presence, reads               */
    LOAD_SETUP          /* inserts rows for all workloads                   */
} load_workload_e;

typedef struct {
    int          workload;      /* load_workload_e                          */
    const char  *workload_name;
    const load_proto_t  *proto;
    const char  *proto_name;
    const char  *host;          /* 127.x.y.z                                */
    int          port;
    int          rest_port;     /* history; 0: as port                      */
    int          tls;
    int          tls_resume;    /* offer the last session again             */
    int          procs;
    int          users;         /* connections, over all loaders            */
    int          first;         /* index of the first user                  */
    int          size;          /* bytes of a message's content             */
    double       rate;          /* messages/s, over all loaders             */
    double       group_rate;    /* mix: messages/s into groups              */
    int          groups;
    int          members;       /* of a group                               */
    int          senders;       /* of a group                               */
    int          receipts;      /* receivers send `delivered`               */
    int          presence;      /* mix: users each one watches              */
    double       churn;         /* mix: reconnects/s of watched users       */
    double       reads;         /* history pages/s                          */
    int          readers;       /* HTTP connections for them                */
    int          archives;      /* chats filled with history                */
    int          depth;         /* entries in each                          */
    int          page;          /* entries a history page asks for          */
    int          concurrency;   /* handshakes in progress, over all loaders */
    double       warm;          /* seconds before counting                  */
    double       secs;          /* seconds of counting                      */
    double       drain;         /* longest wait for messages under way      */
    double       patience;      /* longest wait for all to be connected     */
    double       ping;          /* s between pings; 0: none                 */
    const char  *keys;          /* the stack's keys directory               */
    const char  *pg;            /* setup: libpq DSN                         */
    int          setup_users;
    int          forget;        /* setup: receipts to the end of each chat  */
    int          behind;        /* setup: receipts of archive readers to 0  */
    const char  *cpu;           /* pid,pid,...: roots of process trees      */
    const char  *out;           /* path without suffix: .json .png          */
    const char  *title;
    const char  *domain;        /* xmpp                                     */
    int          quiet;
} load_opt_t;

/* 0, or -1 after a message on stderr. */
int load_opt_parse(int argc, char **argv, load_opt_t *opt_r);
void load_opt_usage(void);

/* ------------------------------------------------------------------ names */

#define LOAD_USER_BASE  1000000000ull   /* user and device id of index 0    */
#define LOAD_TOKEN_LIFE 21600           /* seconds                          */

/* Reads token.jwk and chat_id.key of the keys directory. 0, or -1. */
int load_names_open(const char *dir);
uint64_t load_user_id(uint32_t index);
/* Text, CHAT_ID_TEXT characters and a terminator. */
void load_chat_direct(uint32_t a, uint32_t b, char *dst);
void load_chat_group(uint32_t members, uint32_t g, char *dst);
void load_chat_archive(uint32_t a, char *dst);
/* Writes a signed token, terminated, to dst (CHAT_TOKEN_MAX + 1). 0, or -1.
 * A user has the same token during the whole run. */
int load_token(uint32_t index, char *dst);

/* ----------------------------------------------------------------- checks */

/* The numbers of a stream 1, 2, 3 ... that have been seen: all up to `high`
 * except the clear bits of `seen`, whose bit i is for high - 1 - i. */
typedef struct {
    uint32_t     high;
    uint64_t     seen;
} load_track_t;

typedef enum { LOAD_NEW, LOAD_LATE, LOAD_DOUBLE } load_track_e;

load_track_e load_track(load_track_t *t, uint32_t n);

/* "L1:" run stream number due, hex, then padding up to size. */
#define LOAD_MARK       "L1:"
#define LOAD_MARK_LEN   (3 + 8 + 8 + 8 + 16)

typedef struct {
    uint32_t     stream;        /* index of the sending user                */
    uint32_t     n;
    int64_t      due;           /* ns, CLOCK_MONOTONIC                      */
} load_payload_t;

void load_payload_write(const load_payload_t *p, char *dst, int size);
/* Finds the payload of this run in the bytes. 0, or -1. */
int load_payload_find(const uint8_t *data, size_t len, load_payload_t *p_r);

/* Called by the protocols. slot may be NULL (unknown chat). */
typedef struct load_slot_s  load_slot_t;
void load_on_ready(load_conn_t *c);         /* may send and receive         */
void load_on_welcome(load_conn_t *c);       /* logged in, perhaps syncing   */
void load_on_ack(load_conn_t *c, load_slot_t *slot, uint32_t n, int64_t due);
void load_on_message(load_conn_t *c, load_slot_t *slot, const uint8_t *data,
    size_t len);
void load_on_seq(load_conn_t *c, load_slot_t *slot, uint64_t seq);
/* A delivery's timestamp, RFC 3339 with ms: the time of the commit. */
void load_on_stamp(load_conn_t *c, int64_t due, const char *stamp,
    size_t len);
void load_on_refused(load_conn_t *c, const char *why, size_t len);

/* ------------------------------------------------------------ connections */

typedef enum {
    LOAD_CLOSED = 0,
    LOAD_CONNECTING,    /* TCP                                              */
    LOAD_TLS,           /* TLS handshake                                    */
    LOAD_LOGIN,         /* the protocol's own steps, see `step`             */
    LOAD_READY
} load_state_e;

typedef enum { LOAD_NO_CHAT = 0, LOAD_PAIR, LOAD_IN_GROUP, LOAD_ARCHIVE }
    load_slot_e;

struct load_slot_s {
    uint8_t       kind;         /* load_slot_e                              */
    uint8_t       checked;      /* the received n can be checked, because
                                   there is one sender                      */
    uint32_t      peer;         /* partner's index, or number of the group  */
    char          chat[48];     /* chatId, topic, room or channel           */
    uint32_t      n;            /* number of the last message sent          */
    load_track_t  acks;
    load_track_t  in;
    uint64_t      seq;          /* last seq on this connection              */
    uint64_t      marked;       /* `delivered` sent up to here              */
};

struct load_conn_s {
    int           fd;
    uint8_t       state;        /* load_state_e                             */
    uint8_t       step;
    uint8_t       want_write;   /* EPOLLOUT is requested                    */
    uint8_t       role;         /* LOAD_POOL_*                              */
    uint8_t       again;        /* closed, to be opened again               */
    const load_proto_t  *proto;
    load_t       *load;
    SSL          *ssl;
    SSL_SESSION  *session;      /* offered for resumption                   */
    uint32_t      user;         /* index                                    */
    uint32_t      fifo;         /* HTTP: requests not yet answered          */
    int64_t       opened;       /* ns, when connecting began                */
    int64_t       ping_due;     /* ns                                       */
    uint8_t      *in;           /* input that remains unparsed              */
    uint32_t      in_len, in_cap;
    uint8_t      *out;          /* output that remains unwritten            */
    uint32_t      out_pos, out_len, out_cap;
    load_slot_t   slot[LOAD_SLOTS];
    int64_t       mark_at;      /* ns, when `delivered` is due; 0: not due  */
    uint8_t       mark_linked;  /* is in load_t.marks                       */
    load_conn_t  *mark_next;    /* in load_t.marks                          */
    /* requests that are answered in order, or (MQTT) by their id */
    int64_t      *due;
    uint32_t     *due_n;        /* number of the message, `before` of a page */
    uint32_t      due_head;
};

#define LOAD_RING  4096         /* of due, due_n                            */
int load_ring(load_conn_t *c);  /* allocates the ring: 0, or -1 closed      */

/* Starts to connect; failures are counted and the connection is closed. */
void load_conn_open(load_conn_t *c);
/* why: the reason of a failure, which is counted; NULL: intended. */
void load_conn_close(load_conn_t *c, const char *why);
void load_conn_event(load_conn_t *c, unsigned events);
/* Queues and tries to write at once. 0, or -1 when this closed it. */
int load_conn_write(load_conn_t *c, const void *data, size_t len);
void load_conn_want(load_conn_t *c, int write);     /* EPOLLOUT or not     */

int load_tls_init(const load_opt_t *opt);       /* once per process         */
int load_tls_begin(load_conn_t *c);             /* -1: closed               */
void load_tls_handshake(load_conn_t *c);
void load_tls_end(load_conn_t *c);
ssize_t load_tls_recv(load_conn_t *c, uint8_t *buf, size_t len);
ssize_t load_tls_send(load_conn_t *c, const uint8_t *data, size_t len);

/* --------------------------------------------------------------- protocols */

struct load_proto_s {
    const char  *name;
    /* The connection is open: write the first bytes. */
    void       (*open)(load_conn_t *c);
    /* Takes whole units from data; returns the bytes used, or -1 after
     * calling load_conn_close(). */
    int        (*input)(load_conn_t *c, uint8_t *data, size_t len);
    /* One message into the slot's chat. 0, or -1. */
    int        (*send)(load_conn_t *c, load_slot_t *slot,
                   const load_payload_t *p);
    /* `delivered` up to slot->seq; NULL: the protocol has none. */
    void       (*mark)(load_conn_t *c, load_slot_t *slot);
    void       (*ping)(load_conn_t *c);
    /* Writes the chat's name in this protocol to slot->chat. */
    void       (*name_chat)(const load_conn_t *c, load_slot_t *slot);
};

extern const load_proto_t  load_proto_chat;
extern const load_proto_t  load_proto_xmpp;
extern const load_proto_t  load_proto_mqtt;
extern const load_proto_t  load_proto_nchan;
extern const load_proto_t  load_proto_nchan_pub;
extern const load_proto_t  load_proto_rest;

/* WebSocket. upgrade writes the request; handshake returns the bytes used, 0
 * when more are needed, -1 when refused; frame returns 1 with a whole frame, 0
 * when more bytes are needed, -1 for an invalid frame. */
typedef struct {
    int          op;
    uint8_t     *data;
    size_t       len;
} load_ws_frame_t;

int load_ws_upgrade(load_conn_t *c, const char *path, const char *protocol,
    const char *token);
int load_ws_handshake(load_conn_t *c, uint8_t *data, size_t len);
int load_ws_frame(uint8_t *data, size_t len, size_t *pos,
    load_ws_frame_t *f);
int load_ws_write(load_conn_t *c, int op, const void *data, size_t len);

/* HTTP response: bytes used, 0 when more are needed, -1 if invalid. */
typedef struct {
    int          status;
    int          close;         /* the server will close                    */
    uint8_t     *body;
    size_t       body_len;
} load_http_t;

int load_http_response(uint8_t *data, size_t len, load_http_t *r);
int load_http_get(load_conn_t *c, int64_t due);     /* a history page       */

/* ------------------------------------------------------------- the loader */

/* connections of one kind */
typedef struct {
    load_conn_t  *conn;
    uint32_t      n;
    uint32_t      opened;       /* number of load_conn_open() calls         */
} load_pool_t;

enum { LOAD_POOL_MAIN, LOAD_POOL_AUX, LOAD_POOL_CHURN, LOAD_POOLS };

/* one stream of due messages */
typedef struct {
    double        interval;     /* ns between messages; 0: nothing is sent  */
    double        phase;        /* of an interval, so that loaders differ   */
    uint64_t      k;            /* number of the next message               */
    uint32_t      n;            /* senders                                  */
    uint32_t      fan;          /* receivers of each                        */
    load_conn_t **conn;         /* senders                                  */
    uint8_t       slot;
    uint8_t       what;         /* load_due_e                               */
} load_sched_t;

enum { LOAD_DUE_SEND, LOAD_DUE_READ, LOAD_DUE_CHURN };

#define LOAD_SCHEDS  4

struct load_s {
    const load_opt_t  *opt;
    load_stat_t       *stat;
    int                index;       /* of this loader                       */
    int                epoll;
    int64_t            now;         /* ns, monotonic, read per iteration    */
    load_pool_t        pool[LOAD_POOLS];
    load_sched_t       sched[LOAD_SCHEDS];
    uint32_t           nsched;
    uint32_t           handshakes;  /* in progress                          */
    uint32_t           next_user;   /* connect: next user to connect        */
    uint32_t           ping_pos;
    uint32_t           read_pos;
    uint32_t           again;       /* connections with `again` set         */
    load_conn_t       *marks;       /* oldest first: deadlines are in order */
    load_conn_t       *marks_tail;
    uint8_t           *buf;
    uint64_t           rand;
};

int load_plan(load_t *l);                       /* 0, or -1                 */
int load_loop_run(load_t *l);                   /* exit code of a loader    */
void load_loop_left(load_conn_t *c);            /* a connection was closed  */
/* Sends messages that are due; returns the next due time, ns. */
int64_t load_sched_run(load_t *l);
void load_mark_later(load_conn_t *c);
int64_t load_marks_run(load_t *l);
int64_t load_ns(void);
uint64_t load_random(load_t *l);

#endif
