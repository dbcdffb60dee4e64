/*
 * ctl_dead.c: chatctl dead: events that failed five times.
 *
 * Called from ctl_main.c; hands to ctl_dead_show.c and workers/redis/.
 */

#include <stdlib.h>
#include <string.h>

#include "chat_keys.h"
#include "ctl.h"
#include "ctl_dead.h"

#define CTL_REDIS_MS   5000
#define CTL_DEAD_PAGE  100

static int ctl_dead(const worker_conf_t *conf, int argc, char **argv);
static int ctl_dead_each(redis_t *r, const char *id, ctl_dead_pt act);
static int ctl_dead_page(redis_t *r, const char *from, const char *to,
    ctl_dead_pt act, char *last, size_t size, size_t *n_r);
static int ctl_dead_newest(redis_t *r, char *id, size_t size);
static int ctl_dead_unexpected(const redis_reply_t *reply);
static int ctl_dead_read(const redis_reply_t *entry, ctl_dead_t *d);
static int ctl_dead_retry(redis_t *r, const ctl_dead_t *d);
static int ctl_dead_drop(redis_t *r, const ctl_dead_t *d);
static int ctl_dead_remove(redis_t *r, const ctl_dead_t *d);
static int ctl_dead_id(const char *id);

static const struct {
    const char   *name;
    ctl_dead_pt   act;
    int           all;              /* takes no id, applies to every event  */
} ctl_dead_acts[] = {
    { "list",  ctl_dead_list,  1 },
    { "show",  ctl_dead_show,  0 },
    { "retry", ctl_dead_retry, 0 },
    { "drop",  ctl_dead_drop,  0 },
};

const ctl_command_t  ctl_command_dead = {
    "dead", "list | show ID | retry ID|--all | drop ID|--all",
    "Events that failed five times are moved to the dead-letter stream\n"
    CHAT_KEY_SENT_DEAD " and stay there until an operator acts.\n"
    "  list    prints one line each: id, failures, error, stream, type, bytes\n"
    "  show    prints the metadata of one event, without its contents\n"
    "  retry   appends the event to its original stream again\n"
    "  drop    deletes the event permanently\n",
    ctl_dead
};


static int
ctl_dead(const worker_conf_t *conf, int argc, char **argv)
{
    int          rc;
    size_t       i;
    redis_t     *r;
    const char  *id;

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

    r = redis_connect(conf, CTL_REDIS_MS);
    if (r == NULL) {
        return ctl_fail("Redis cannot be reached");
    }

    rc = ctl_dead_each(r, id, ctl_dead_acts[i].act);
    redis_close(&r);

    return rc;
}


/* Applies `act` to the entry with the id, or to every entry that exists now.
 * The newest id is read first, so an event that is retried and fails again is
 * not processed twice. */

static int
ctl_dead_each(redis_t *r, const char *id, ctl_dead_pt act)
{
    int     rc;
    char    from[80], to[80], last[64];
    size_t  n;

    if (id != NULL) {
        rc = ctl_dead_page(r, id, id, act, last, sizeof(last), &n);
        return (rc == 0 && n == 0) ? ctl_fail("no dead event %s", id) : rc;
    }

    rc = ctl_dead_newest(r, to, sizeof(to));
    if (rc != 0 || to[0] == '\0') {
        return rc;
    }

    strcpy(from, "-");

    for ( ;; ) {
        rc = ctl_dead_page(r, from, to, act, last, sizeof(last), &n);
        if (rc != 0 || n == 0) {
            return rc;
        }

        snprintf(from, sizeof(from), "(%s", last);
    }
}


static int
ctl_dead_page(redis_t *r, const char *from, const char *to,
    ctl_dead_pt act, char *last, size_t size, size_t *n_r)
{
    int             rc;
    size_t          i;
    ctl_dead_t      d;
    redis_reply_t  *reply;

    *n_r = 0;

    reply = redis_call(r, CHAT_KEY_SENT_DEAD,
                       "XRANGE " CHAT_KEY_SENT_DEAD " %s %s COUNT %d", from, to,
                       CTL_DEAD_PAGE);
    if (reply == NULL) {
        return ctl_fail("Redis: %s", redis_error(r));
    }

    if (!redis_reply_is_array(reply)) {
        rc = ctl_dead_unexpected(reply);
        redis_reply_free(reply);
        return rc;
    }

    rc = 0;

    for (i = 0; i < redis_reply_count(reply) && rc == 0; i++) {
        if (ctl_dead_read(redis_reply_at(reply, i), &d) != 0) {
            rc = ctl_fail("the dead-letter stream has a malformed entry");
            break;
        }

        rc = act(r, &d);
        snprintf(last, size, "%s", d.id);
    }

    *n_r = redis_reply_count(reply);
    redis_reply_free(reply);

    return rc;
}


static int
ctl_dead_newest(redis_t *r, char *id, size_t size)
{
    int             rc;
    ctl_dead_t      d;
    redis_reply_t  *reply;

    id[0] = '\0';

    reply = redis_call(r, CHAT_KEY_SENT_DEAD,
                       "XREVRANGE " CHAT_KEY_SENT_DEAD " + - COUNT 1");
    if (reply == NULL) {
        return ctl_fail("Redis: %s", redis_error(r));
    }

    rc = 0;

    if (!redis_reply_is_array(reply)) {
        rc = ctl_dead_unexpected(reply);

    } else if (redis_reply_count(reply) == 1
               && ctl_dead_read(redis_reply_at(reply, 0), &d) == 0)
    {
        snprintf(id, size, "%s", d.id);
    }

    redis_reply_free(reply);

    return rc;
}


static int
ctl_dead_unexpected(const redis_reply_t *reply)
{
    const char  *error;

    error = redis_reply_error(reply);

    return ctl_fail("Redis: %s", error ? error : "unexpected reply");
}


static int
ctl_dead_read(const redis_reply_t *entry, ctl_dead_t *d)
{
    memset(d, 0, sizeof(*d));

    d->id = redis_entry_id(entry);

    if (d->id == NULL || !redis_reply_is_array(redis_reply_at(entry, 1))) {
        return -1;
    }

    (void) redis_entry_field(entry, CHAT_EVENT_FIELD, &d->event);
    (void) redis_entry_field(entry, "stream", &d->stream);
    (void) redis_entry_field(entry, "id", &d->origin);
    (void) redis_entry_field(entry, "error", &d->error);
    (void) redis_entry_field(entry, "failures", &d->failures);
    (void) redis_entry_field(entry, "at", &d->at);

    return 0;
}


/* XADD first, then XDEL: a crash in between leaves the event twice, which is
 * harmless because events are idempotent; the other order could lose it. */

static int
ctl_dead_retry(redis_t *r, const ctl_dead_t *d)
{
    int             bad;
    char            key[REDIS_KEY_SIZE];
    redis_reply_t  *reply;

    if (d->event.data == NULL || d->stream.len < strlen("message.sent:{")
        || memcmp(d->stream.data, "message.sent:{", strlen("message.sent:{"))
           != 0)
    {
        return ctl_fail("%s has no valid original stream", d->id);
    }

    if (d->stream.len >= sizeof(key)) {
        return ctl_fail("%s has no valid original stream", d->id);
    }

    memcpy(key, d->stream.data, d->stream.len);
    key[d->stream.len] = '\0';

    reply = redis_call(r, key, "XADD %s * " CHAT_EVENT_FIELD " %b", key,
                       d->event.data, d->event.len);
    if (reply == NULL) {
        return ctl_fail("Redis: %s", redis_error(r));
    }

    bad = 0;

    if (redis_reply_error(reply) != NULL) {
        bad = ctl_fail("Redis: %s", redis_reply_error(reply));
    }

    redis_reply_free(reply);

    if (bad || ctl_dead_remove(r, d) != 0) {
        return 1;
    }

    printf("retried %s\n", d->id);

    return 0;
}


static int
ctl_dead_drop(redis_t *r, const ctl_dead_t *d)
{
    if (ctl_dead_remove(r, d) != 0) {
        return 1;
    }

    printf("dropped %s\n", d->id);

    return 0;
}


static int
ctl_dead_remove(redis_t *r, const ctl_dead_t *d)
{
    redis_reply_t  *reply;

    reply = redis_call(r, CHAT_KEY_SENT_DEAD,
                       "XDEL " CHAT_KEY_SENT_DEAD " %s", d->id);
    if (reply == NULL) {
        return ctl_fail("Redis: %s", redis_error(r));
    }

    redis_reply_free(reply);

    return 0;
}


/* 0 when `id` is <ms>-<n>: only an id may be inserted into a command. */

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
