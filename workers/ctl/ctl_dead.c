/*
 * ctl_dead.c: chatctl dead: events that failed five times.
 *
 * Called from ctl_main.c; hands to ctl_dead_show.c and Redis.
 */

#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "chat_keys.h"
#include "ctl.h"
#include "ctl_dead.h"

#define CTL_REDIS_MS   5000
#define CTL_DEAD_PAGE  100

static int ctl_dead(const worker_conf_t *conf, int argc, char **argv);
static int ctl_dead_each(redisContext *c, const char *id, ctl_dead_pt act);
static int ctl_dead_page(redisContext *c, const char *from, const char *to,
    ctl_dead_pt act, char *last, size_t size, size_t *n_r);
static int ctl_dead_newest(redisContext *c, char *id, size_t size);
static int ctl_dead_read(const redisReply *entry, ctl_dead_t *d);
static int ctl_dead_retry(redisContext *c, const ctl_dead_t *d);
static int ctl_dead_drop(redisContext *c, const ctl_dead_t *d);
static int ctl_dead_remove(redisContext *c, const ctl_dead_t *d);
static int ctl_dead_id(const char *id);

static const struct {
    const char   *name;
    ctl_dead_pt   act;
    int           all;              /* without an id it means every one     */
} ctl_dead_acts[] = {
    { "list",  ctl_dead_list,  1 },
    { "show",  ctl_dead_show,  0 },
    { "retry", ctl_dead_retry, 0 },
    { "drop",  ctl_dead_drop,  0 },
};

const ctl_command_t  ctl_command_dead = {
    "dead", "list | show ID | retry ID|--all | drop ID|--all",
    "Events that failed five times are set aside in the stream\n"
    CHAT_KEY_SENT_DEAD " and stay there until they are retried or\n"
    "dropped.\n"
    "  list    one line each: id, failures, error, stream, type, bytes\n"
    "  show    what one of them is, without its contents\n"
    "  retry   gives it back to the end of its stream\n"
    "  drop    deletes it for ever\n",
    ctl_dead
};


static int
ctl_dead(const worker_conf_t *conf, int argc, char **argv)
{
    int            rc;
    size_t         i;
    const char    *id;
    redisContext  *c;

    if (argc < 2 || argc > 3) {
        return -1;
    }

    for (i = 0; i < sizeof(ctl_dead_acts) / sizeof(ctl_dead_acts[0]); i++) {
        if (strcmp(argv[1], ctl_dead_acts[i].name) == 0) {
            break;
        }
    }

    if (i == sizeof(ctl_dead_acts) / sizeof(ctl_dead_acts[0])
        || ctl_dead_acts[i].all != (argc == 2))
    {
        return -1;
    }

    id = NULL;

    if (argc == 3 && strcmp(argv[2], "--all") != 0) {
        id = argv[2];
        if (ctl_dead_id(id) != 0) {
            return -1;
        }
    }

    c = worker_redis_connect(conf, CTL_REDIS_MS);
    if (c == NULL) {
        return ctl_fail("Redis cannot be reached");
    }

    rc = ctl_dead_each(c, id, ctl_dead_acts[i].act);
    redisFree(c);

    return rc;
}


/* Every entry that is there now, or the one with the id. The end is taken
 * before the first: what fails again meanwhile is not touched twice. */

static int
ctl_dead_each(redisContext *c, const char *id, ctl_dead_pt act)
{
    int     rc;
    char    from[80], to[80], last[64];
    size_t  n;

    if (id != NULL) {
        rc = ctl_dead_page(c, id, id, act, last, sizeof(last), &n);
        return (rc == 0 && n == 0) ? ctl_fail("no dead event %s", id) : rc;
    }

    rc = ctl_dead_newest(c, to, sizeof(to));
    if (rc != 0 || to[0] == '\0') {
        return rc;
    }

    strcpy(from, "-");

    for ( ;; ) {
        rc = ctl_dead_page(c, from, to, act, last, sizeof(last), &n);
        if (rc != 0 || n == 0) {
            return rc;
        }

        snprintf(from, sizeof(from), "(%s", last);
    }
}


static int
ctl_dead_page(redisContext *c, const char *from, const char *to,
    ctl_dead_pt act, char *last, size_t size, size_t *n_r)
{
    int          rc;
    size_t       i;
    ctl_dead_t   d;
    redisReply  *reply;

    *n_r = 0;

    reply = redisCommand(c, "XRANGE " CHAT_KEY_SENT_DEAD " %s %s COUNT %d",
                         from, to, CTL_DEAD_PAGE);
    if (reply == NULL) {
        return ctl_fail("Redis: %s", c->errstr);
    }

    if (reply->type != REDIS_REPLY_ARRAY) {
        rc = ctl_fail("Redis: %s", reply->str ? reply->str : "no list");
        freeReplyObject(reply);
        return rc;
    }

    rc = 0;

    for (i = 0; i < reply->elements && rc == 0; i++) {
        if (ctl_dead_read(reply->element[i], &d) != 0) {
            rc = ctl_fail("the dead stream holds what is no entry");
            break;
        }

        rc = act(c, &d);
        snprintf(last, size, "%s", d.id);
    }

    *n_r = reply->elements;
    freeReplyObject(reply);

    return rc;
}


static int
ctl_dead_newest(redisContext *c, char *id, size_t size)
{
    int          rc;
    ctl_dead_t   d;
    redisReply  *reply;

    id[0] = '\0';

    reply = redisCommand(c, "XREVRANGE " CHAT_KEY_SENT_DEAD " + - COUNT 1");
    if (reply == NULL) {
        return ctl_fail("Redis: %s", c->errstr);
    }

    rc = 0;

    if (reply->type != REDIS_REPLY_ARRAY) {
        rc = ctl_fail("Redis: %s", reply->str ? reply->str : "no list");

    } else if (reply->elements == 1
               && ctl_dead_read(reply->element[0], &d) == 0)
    {
        snprintf(id, size, "%s", d.id);
    }

    freeReplyObject(reply);

    return rc;
}


static int
ctl_dead_read(const redisReply *entry, ctl_dead_t *d)
{
    size_t             i, k;
    const redisReply  *fields, *name, *value;

    const struct {
        const char  *name;
        chat_str_t  *value;
    } known[] = {
        { CHAT_EVENT_FIELD, &d->event },
        { "stream",         &d->stream },
        { "id",             &d->origin },
        { "error",          &d->error },
        { "failures",       &d->failures },
        { "at",             &d->at },
    };

    memset(d, 0, sizeof(*d));

    if (entry->type != REDIS_REPLY_ARRAY || entry->elements != 2
        || entry->element[0]->type != REDIS_REPLY_STRING
        || entry->element[1]->type != REDIS_REPLY_ARRAY)
    {
        return -1;
    }

    d->id = entry->element[0]->str;
    fields = entry->element[1];

    for (i = 0; i + 1 < fields->elements; i += 2) {
        name = fields->element[i];
        value = fields->element[i + 1];

        for (k = 0; k < sizeof(known) / sizeof(known[0]); k++) {
            if (strcmp(name->str, known[k].name) == 0) {
                known[k].value->data = value->str;
                known[k].value->len = (size_t) value->len;
            }
        }
    }

    return 0;
}


/* Back first, then away: dying in between leaves it twice, and any event may
 * come twice; the other order could lose it. */

static int
ctl_dead_retry(redisContext *c, const ctl_dead_t *d)
{
    int          bad;
    redisReply  *reply;

    if (d->event.data == NULL || d->stream.len < strlen("message.sent:{")
        || memcmp(d->stream.data, "message.sent:{", strlen("message.sent:{"))
           != 0)
    {
        return ctl_fail("%s does not say which stream it came from", d->id);
    }

    reply = redisCommand(c, "XADD %b * " CHAT_EVENT_FIELD " %b",
                         d->stream.data, d->stream.len, d->event.data,
                         d->event.len);
    if (reply == NULL) {
        return ctl_fail("Redis: %s", c->errstr);
    }

    bad = 0;

    if (reply->type == REDIS_REPLY_ERROR) {
        bad = ctl_fail("Redis: %s", reply->str);
    }

    freeReplyObject(reply);

    if (bad || ctl_dead_remove(c, d) != 0) {
        return 1;
    }

    printf("retried %s\n", d->id);

    return 0;
}


static int
ctl_dead_drop(redisContext *c, const ctl_dead_t *d)
{
    if (ctl_dead_remove(c, d) != 0) {
        return 1;
    }

    printf("dropped %s\n", d->id);

    return 0;
}


static int
ctl_dead_remove(redisContext *c, const ctl_dead_t *d)
{
    redisReply  *reply;

    reply = redisCommand(c, "XDEL " CHAT_KEY_SENT_DEAD " %s", d->id);
    if (reply == NULL) {
        return ctl_fail("Redis: %s", c->errstr);
    }

    freeReplyObject(reply);

    return 0;
}


/* <ms>-<n>: what goes into a command must not be more than an id. */

static int
ctl_dead_id(const char *id)
{
    size_t  n;

    n = strspn(id, "0123456789");
    if (n == 0 || id[n] != '-') {
        return -1;
    }

    id += n + 1;
    n = strspn(id, "0123456789");

    return (n == 0 || id[n] != '\0') ? -1 : 0;
}
