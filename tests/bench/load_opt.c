/*
 * load_opt.c: the options of chatload, one table row each.
 *
 * Called from chatload.c; a wrong name or value ends the program before any
 * connection is opened.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>

#include "load.h"

typedef enum { OPT_INT, OPT_REAL, OPT_WORD, OPT_FLAG } load_opt_e;

typedef struct {
    const char  *name;
    load_opt_e   kind;
    size_t       at;
    double       min, max;
    const char  *help;
} load_opt_row_t;

#define ROW(name, kind, field, min, max, help)                               \
    { name, kind, offsetof(load_opt_t, field), min, max, help }

static const load_opt_row_t  load_opt_rows[] = {
    ROW("proto", OPT_WORD, proto_name, 0, 0, "chat xmpp mqtt nchan"),
    ROW("host", OPT_WORD, host, 0, 0, "in 127.0.0.0/8 [127.0.0.1]"),
    ROW("port", OPT_INT, port, 1, 65535, ""),
    ROW("rest-port", OPT_INT, rest_port, 1, 65535, "[port]"),
    ROW("tls", OPT_FLAG, tls, 0, 0, ""),
    ROW("tls-resume", OPT_FLAG, tls_resume, 0, 0, "offer the last session"),
    ROW("procs", OPT_INT, procs, 1, LOAD_PROCS_MAX, "loaders [1]"),
    ROW("users", OPT_INT, users, 1, 200000, "connections [1000]"),
    ROW("first", OPT_INT, first, 0, 1000000, "index of the first user [0]"),
    ROW("size", OPT_INT, size, LOAD_MARK_LEN, 3500, "of a message [100]"),
    ROW("rate", OPT_REAL, rate, 0, 1e6, "messages/s, all together [1000]"),
    ROW("group-rate", OPT_REAL, group_rate, 0, 1e6, "mix: into groups [10]"),
    ROW("groups", OPT_INT, groups, 0, 10000, "[1; setup: 0]"),
    ROW("members", OPT_INT, members, 2, 20000, "of a group [100]"),
    ROW("senders", OPT_INT, senders, 1, 20000, "of a group [1]"),
    ROW("receipts", OPT_FLAG, receipts, 0, 0, "receivers send delivered"),
    ROW("presence", OPT_INT, presence, 0, 200, "mix: watched users [10]"),
    ROW("churn", OPT_REAL, churn, 0, 1e4, "mix: reconnects/s [5]"),
    ROW("reads", OPT_REAL, reads, 0, 1e6, "history pages/s [0]"),
    ROW("readers", OPT_INT, readers, 1, 1000, "their connections [32]"),
    ROW("archives", OPT_INT, archives, 0, 100000, "chats with history [0]"),
    ROW("depth", OPT_INT, depth, 1, 1000000, "entries of each [10000]"),
    ROW("page", OPT_INT, page, 1, 100, "entries a page [50]"),
    ROW("concurrency", OPT_INT, concurrency, 1, 10000, "handshakes [64]"),
    ROW("warm", OPT_REAL, warm, 0, 600, "s before counting [2]"),
    ROW("secs", OPT_REAL, secs, 0.1, 3600, "s of counting [20]"),
    ROW("drain", OPT_REAL, drain, 0, 600, "s to wait afterwards [5]"),
    ROW("patience", OPT_REAL, patience, 1, 3600, "s to connect [60]"),
    ROW("ping", OPT_REAL, ping, 0, 3600, "s between a client's pings, 0: none "
        "[30]"),
    ROW("keys", OPT_WORD, keys, 0, 0, "the stack's keys directory"),
    ROW("pg", OPT_WORD, pg, 0, 0, "setup: DSN"),
    ROW("setup-users", OPT_INT, setup_users, 0, 1000000, "setup: users"),
    ROW("forget", OPT_FLAG, forget, 0, 0, "setup: nothing is behind"),
    ROW("behind", OPT_FLAG, behind, 0, 0, "setup: archives are unread"),
    ROW("cpu", OPT_WORD, cpu, 0, 0, "pid,pid,...: roots of the servers"),
    ROW("out", OPT_WORD, out, 0, 0, "writes OUT.json, OUT.png"),
    ROW("title", OPT_WORD, title, 0, 0, "of table and plot"),
    ROW("domain", OPT_WORD, domain, 0, 0, "xmpp [localhost]"),
    ROW("quiet", OPT_FLAG, quiet, 0, 0, "no progress"),
};

#define LOAD_OPT_ROWS  (sizeof(load_opt_rows) / sizeof(load_opt_rows[0]))

static const struct {
    const char  *name;
    int          workload;
    const char  *help;
} load_workloads[] = {
    { "pairs",   LOAD_PAIRS,   "users in pairs write to each other" },
    { "group",   LOAD_GROUP,   "groups with every member online" },
    { "idle",    LOAD_IDLE,    "connections that only stay" },
    { "connect", LOAD_CONNECT, "connect, be welcomed, leave, again" },
    { "catchup", LOAD_CATCHUP, "connect with a backlog" },
    { "history", LOAD_HISTORY, "history pages over REST" },
    { "mix",     LOAD_MIX,     "pairs, groups, presence, receipts, reads" },
    { "setup",   LOAD_SETUP,   "rows for all of them, by SQL" },
};

#define LOAD_WORKLOADS  (sizeof(load_workloads) / sizeof(load_workloads[0]))

static int load_opt_set(const load_opt_row_t *row, const char *value,
    load_opt_t *opt);
static int load_opt_check(load_opt_t *opt);


void
load_opt_usage(void)
{
    size_t  i;

    fputs("usage: chatload WORKLOAD [--option value ...]\n", stderr);
    for (i = 0; i < LOAD_WORKLOADS; i++) {
        fprintf(stderr, "  %-10s %s\n", load_workloads[i].name,
                load_workloads[i].help);
    }
    for (i = 0; i < LOAD_OPT_ROWS; i++) {
        fprintf(stderr, "  --%-14s %s\n", load_opt_rows[i].name,
                load_opt_rows[i].help);
    }
}


int
load_opt_parse(int argc, char **argv, load_opt_t *opt)
{
    int     i;
    size_t  k;

    *opt = (load_opt_t) {
        .proto_name = "chat", .host = "127.0.0.1", .procs = 1,
        .users = 1000, .size = 100, .rate = 1000, .group_rate = 10,
        .groups = 0, .members = 100, .senders = 1, .presence = 10,
        .churn = 5, .readers = 32, .depth = 10000, .page = 50,
        .concurrency = 64, .warm = 2, .secs = 20, .drain = 5,
        .patience = 60, .ping = 30, .domain = "localhost", .title = "",
        .workload = -1,
    };
    if (argc < 2) {
        load_opt_usage();
        return -1;
    }
    for (k = 0; k < LOAD_WORKLOADS; k++) {
        if (strcmp(argv[1], load_workloads[k].name) == 0) {
            opt->workload = load_workloads[k].workload;
            opt->workload_name = load_workloads[k].name;
        }
    }
    if (opt->workload == -1) {
        fprintf(stderr, "chatload: unknown workload %s\n", argv[1]);
        load_opt_usage();
        return -1;
    }

    for (i = 2; i < argc; i++) {
        for (k = 0; k < LOAD_OPT_ROWS; k++) {
            if (strncmp(argv[i], "--", 2) == 0
                && strcmp(argv[i] + 2, load_opt_rows[k].name) == 0)
            {
                break;
            }
        }
        if (k == LOAD_OPT_ROWS) {
            fprintf(stderr, "chatload: unknown option %s\n", argv[i]);
            return -1;
        }
        if (load_opt_rows[k].kind == OPT_FLAG) {
            *(int *) ((char *) opt + load_opt_rows[k].at) = 1;
            continue;
        }
        if (i + 1 == argc) {
            fprintf(stderr, "chatload: %s needs a value\n", argv[i]);
            return -1;
        }
        if (load_opt_set(&load_opt_rows[k], argv[++i], opt) != 0) {
            return -1;
        }
    }
    return load_opt_check(opt);
}


static int
load_opt_set(const load_opt_row_t *row, const char *value, load_opt_t *opt)
{
    char    *end, *at;
    double   v;

    at = (char *) opt + row->at;
    if (row->kind == OPT_WORD) {
        *(const char **) at = value;
        return 0;
    }
    v = strtod(value, &end);
    if (end == value || *end != '\0' || !(v >= row->min && v <= row->max)) {
        fprintf(stderr, "chatload: --%s %s: a number from %g to %g\n",
                row->name, value, row->min, row->max);
        return -1;
    }
    if (row->kind == OPT_INT) {
        *(int *) at = (int) v;
    } else {
        *(double *) at = v;
    }
    return 0;
}


static int
load_opt_check(load_opt_t *opt)
{
    struct in_addr              a;
    const load_proto_t *const  *p;
    static const load_proto_t  *protos[] = {
        &load_proto_chat, &load_proto_xmpp, &load_proto_mqtt,
        &load_proto_nchan, NULL
    };

    for (p = protos; *p != NULL; p++) {
        if (strcmp((*p)->name, opt->proto_name) == 0) {
            opt->proto = *p;
        }
    }
    if (opt->proto == NULL) {
        fprintf(stderr, "chatload: unknown protocol %s\n", opt->proto_name);
        return -1;
    }
    if (inet_pton(AF_INET, opt->host, &a) != 1
        || ntohl(a.s_addr) >> 24 != 127)
    {
        fprintf(stderr, "chatload: %s is not in 127.0.0.0/8\n", opt->host);
        return -1;
    }
    if (opt->workload == LOAD_SETUP) {
        if (opt->pg == NULL || opt->keys == NULL) {
            fputs("chatload: setup needs --pg and --keys\n", stderr);
            return -1;
        }
        return 0;
    }
    if (opt->port == 0) {
        fputs("chatload: --port is missing\n", stderr);
        return -1;
    }
    if (opt->rest_port == 0) {
        opt->rest_port = opt->port;
    }
    if (opt->proto == &load_proto_chat && opt->keys == NULL) {
        fputs("chatload: --keys is missing\n", stderr);
        return -1;
    }
    if (opt->workload == LOAD_GROUP || opt->workload == LOAD_MIX) {
        opt->groups = opt->groups == 0 ? 1 : opt->groups;
        opt->users = opt->groups * opt->members;
        if (opt->senders > opt->members) {
            opt->senders = opt->members;
        }
    }
    if ((opt->workload == LOAD_HISTORY || opt->workload == LOAD_CATCHUP
         || opt->reads > 0) && opt->archives == 0)
    {
        fputs("chatload: --archives is missing\n", stderr);
        return -1;
    }
    if (opt->workload == LOAD_PAIRS && opt->users % 2 != 0) {
        opt->users++;
    }
    return 0;
}
