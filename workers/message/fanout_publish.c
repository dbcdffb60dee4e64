/*
 * fanout_publish.c: one buffer and one PUBLISH per edge and batch.
 *
 * Called from message_batch.c after the commit; hands to workers/redis/. The
 * cost of an entry grows with the edges and with the members who are online
 * there: the list of a chat's online members is built once per batch.
 */

#include <string.h>

#include "chat_keys.h"
#include "fanout_private.h"

#define FANOUT_ROUNDS  50

static int fanout_send(fanout_t *f);
static void fanout_send_edge(fanout_t *f, fanout_edge_t *edge);
static int fanout_read_replies(fanout_t *f);
static int fanout_needs_routes(const fanout_t *f);
static void fanout_build_out(fanout_t *f, fanout_out_t *out);
static void fanout_chat_markers(fanout_t *f, const message_chat_t *chat,
    uint64_t seq);
static void fanout_chat_online(fanout_t *f, message_chat_t *chat);
static void fanout_target(fanout_t *f, fanout_edge_t *edge, uint64_t user,
    uint8_t flags);
static void fanout_touch(fanout_t *f, fanout_edge_t *edge);
static fanout_edge_t *fanout_edge(fanout_t *f, uint64_t id);
static void fanout_record(fanout_edge_t *edge, const chat_rec_t *rec);


int
fanout_publish(fanout_t *f)
{
    f->again = 0;

    if (fanout_route_drain(f) != 0) {
        return -1;
    }

    f->stale = 0;

    return fanout_send(f);
}


int
fanout_confirm(fanout_t *f)
{
    int       rc;
    unsigned  round;

    rc = fanout_read_replies(f);

    /* a route does not change that often within milliseconds: the limit bounds
     * unknown causes */
    for (round = 0; rc == 0 && round < FANOUT_ROUNDS; round++) {

        if (fanout_needs_routes(f)) {
            rc = fanout_route_drain(f);
        }

        fanout_marker_end(f);

        if (rc != 0 || !f->stale) {
            break;
        }

        f->stale = 0;
        f->again = 1;
        rc = fanout_send(f) != 0 || fanout_read_replies(f) != 0 ? -1 : 0;
    }

    if (round == FANOUT_ROUNDS) {
        worker_log(WORKER_WARN, "routes are still stale after %u rounds", round);
        rc = -1;
    }

    f->stale = 0;

    if (rc == 0) {
        f->pending = 0;
        fanout_reset(f);
        fanout_route_trim(f);
    }

    return rc;
}


void
fanout_set_pending(fanout_t *f)
{
    f->pending = 1;
}


int
fanout_flush(fanout_t *f)
{
    size_t  i;

    if (!f->pending) {
        return 0;
    }

    for (i = 0; i < f->nouts; i++) {
        if (f->outs[i].rec.type == CHAT_REC_ENTRY) {
            f->outs[i].rec.flags |= CHAT_REC_F_REDO;
        }
    }

    return fanout_publish(f) != 0 || fanout_confirm(f) != 0 ? -1 : 0;
}


static int
fanout_send(fanout_t *f)
{
    fanout_edge_t  *edge, *next;

    fanout_request_routes(f);

    if (fanout_route_fetch(f) != 0) {
        return -1;
    }

    fanout_build(f);

    HASH_ITER(hh, f->edges, edge, next) {
        if (edge->buf.len != 0) {
            fanout_send_edge(f, edge);
        }
    }

    fanout_marker_send(f);

    return f->nsent + f->nremoved == 0 ? 0 : redis_flush(f->redis);
}


static void
fanout_send_edge(fanout_t *f, fanout_edge_t *edge)
{
    char         channel[REDIS_KEY_SIZE];
    size_t       lengths[3];
    const char  *argv[3];

    if (edge->buf.failed) {
        worker_die("out of memory");
    }

    argv[0] = "PUBLISH";
    lengths[0] = 7;
    argv[1] = redis_key(channel, CHAT_CHANNEL_EDGE, edge->id);
    lengths[1] = strlen(channel);
    argv[2] = (const char *) edge->buf.data;
    lengths[2] = edge->buf.len;

    redis_append_argv(f->redis, channel, 3, argv, lengths);

    WORKER_GROW(f->sent, f->nsent, f->sent_max);
    f->sent[f->nsent++] = edge->id;

    chat_buf_reset(&edge->buf);
}


static int
fanout_read_replies(fanout_t *f)
{
    size_t          i;
    int64_t         receivers;
    redis_reply_t  *reply;

    for (i = 0; i < f->nsent; i++) {
        reply = redis_read(f->redis);

        if (reply == NULL) {
            return -1;
        }

        if (redis_reply_integer(reply, &receivers) == 0 && receivers == 0) {
            WORKER_GROW(f->dead, f->ndead, f->dead_max);
            f->dead[f->ndead++] = f->sent[i];
        }

        redis_reply_free(reply);
    }

    f->nsent = 0;

    return fanout_marker_read_replies(f);
}


static int
fanout_needs_routes(const fanout_t *f)
{
    size_t  i;

    for (i = 0; i < f->nouts; i++) {
        if (f->outs[i].who != FANOUT_ONE) {
            return 1;
        }
    }

    return 0;
}


/* Requests the routes of all recipients: of a chat's members once, however many
 * entries the batch has for the chat. */

void
fanout_request_routes(fanout_t *f)
{
    size_t         i, k;
    fanout_out_t  *out;

    f->batch++;
    f->nmissing = 0;

    for (i = 0; i < f->nouts; i++) {
        out = &f->outs[i];

        if (out->who == FANOUT_USERS) {
            for (k = 0; k < out->nusers; k++) {
                (void) fanout_route_get(f, f->users[out->users + k]);
            }
            continue;
        }

        if (out->chat == NULL || out->chat->online_batch == f->batch) {
            continue;
        }

        /* the list itself is built once the routes are known */
        out->chat->online_batch = f->batch;
        out->chat->nonline = SIZE_MAX;

        for (k = 0; k < out->chat->n; k++) {
            (void) fanout_route_get(f, out->chat->members[k].user);
        }
    }
}


void
fanout_build(fanout_t *f)
{
    size_t  i;

    f->nonline = 0;
    f->nmarked = 0;

    for (i = 0; i < f->nouts; i++) {
        fanout_build_out(f, &f->outs[i]);
    }
}


static void
fanout_build_out(fanout_t *f, fanout_out_t *out)
{
    size_t              i, k;
    chat_rec_t         *rec;
    fanout_route_t     *route;
    fanout_online_t    *on;
    message_member_t   *member;

    rec = &out->rec;
    f->ntouched = 0;

    rec->frame.data = (const char *) f->text.data + out->frame;
    rec->frame.len = out->nframe;

    if (out->nid != 0) {
        rec->message_id.data = (const char *) f->text.data + out->id;
        rec->message_id.len = out->nid;
    }

    switch (out->who) {

    case FANOUT_ONE:
        rec->session = out->to.session;

        if (out->to.edge != 0 && !f->again) {
            fanout_record(fanout_edge(f, out->to.edge), rec);
        }

        return;

    case FANOUT_USERS:

        for (i = 0; i < out->nusers; i++) {
            route = fanout_route_get(f, f->users[out->users + i]);

            if (f->again && route->again != f->batch) {
                continue;
            }

            for (k = 0; k < route->n; k++) {
                fanout_target(f, fanout_edge(f, route->sessions[k].edge),
                              route->user, 0);
            }
        }

        break;

    case FANOUT_OTHERS:
    case FANOUT_VISIBLE:
        fanout_chat_online(f, out->chat);

        if (out->who == FANOUT_VISIBLE) {
            fanout_chat_markers(f, out->chat, rec->seq);
        }

        for (i = 0; i < out->chat->nonline; i++) {
            on = &f->online[out->chat->online + i];
            member = on->member;

            if (f->again && on->again != f->batch) {
                continue;
            }

            if (out->who == FANOUT_OTHERS
                ? member->left == 0 && member->user != out->user
                : message_member_sees(member, rec->seq))
            {
                fanout_target(f, on->edge, member->user,
                              out->who == FANOUT_VISIBLE
                              && member->user == out->user
                              ? CHAT_TARGET_CHECK : 0);
            }
        }

        break;
    }

    /* the sender's edge writes the ack, also when nobody else is there */
    if (out->to.edge != 0 && !f->again) {
        fanout_touch(f, fanout_edge(f, out->to.edge));
    }

    for (i = 0; i < f->ntouched; i++) {
        rec->session = f->touched[i]->id == out->to.edge ? out->to.session : 0;
        rec->items = f->touched[i]->targets.data;
        rec->nitems = f->touched[i]->targets.len / CHAT_TARGET_SIZE;

        fanout_record(f->touched[i], rec);

        f->touched[i]->touched = 0;
        chat_buf_reset(&f->touched[i]->targets);
    }
}


/* Removes the markers of members whose absent devices miss this entry. */

static void
fanout_chat_markers(fanout_t *f, const message_chat_t *chat, uint64_t seq)
{
    size_t           i;
    fanout_marked_t  *noted;

    for (i = 0; i < chat->nmarked; i++) {
        noted = &f->marked[chat->marked + i];

        if (noted->route->nmarkers != 0
            && message_member_sees(noted->member, seq))
        {
            fanout_marker_remove(f, noted->route);
        }
    }
}


/* The members of a chat and the edges they are connected to, once per batch. */

static void
fanout_chat_online(fanout_t *f, message_chat_t *chat)
{
    size_t           i, k;
    fanout_route_t  *route;

    if (chat->nonline != SIZE_MAX) {
        return;
    }

    chat->online = f->nonline;
    chat->marked = f->nmarked;

    for (i = 0; i < chat->n; i++) {
        route = fanout_route_get(f, chat->members[i].user);

        if (route->nmarkers != 0) {
            WORKER_GROW(f->marked, f->nmarked, f->marked_max);
            f->marked[f->nmarked].route = route;
            f->marked[f->nmarked].member = &chat->members[i];
            f->nmarked++;
        }

        for (k = 0; k < route->n; k++) {
            WORKER_GROW(f->online, f->nonline, f->online_max);
            f->online[f->nonline].edge = fanout_edge(f,
                                                     route->sessions[k].edge);
            f->online[f->nonline].member = &chat->members[i];
            f->online[f->nonline].again = route->again;
            f->nonline++;
        }
    }

    chat->nonline = f->nonline - chat->online;
    chat->nmarked = f->nmarked - chat->marked;
}


/* Two devices of a user on one edge are one target; a user's sessions come
 * consecutively. */

static void
fanout_target(fanout_t *f, fanout_edge_t *edge, uint64_t user, uint8_t flags)
{
    chat_target_t  last;

    fanout_touch(f, edge);

    if (edge->targets.len != 0) {
        (void) chat_batch_read_target(edge->targets.data + edge->targets.len
                                      - CHAT_TARGET_SIZE, &last);
        if (last.user == user) {
            return;
        }
    }

    if (chat_batch_target(&edge->targets, user, flags) != 0) {
        worker_die("out of memory");
    }
}


static void
fanout_touch(fanout_t *f, fanout_edge_t *edge)
{
    if (edge->touched) {
        return;
    }

    edge->touched = 1;

    WORKER_GROW(f->touched, f->ntouched, f->touched_max);
    f->touched[f->ntouched++] = edge;
}


static fanout_edge_t *
fanout_edge(fanout_t *f, uint64_t id)
{
    fanout_edge_t  *edge;

    HASH_FIND(hh, f->edges, &id, sizeof(id), edge);

    if (edge == NULL) {
        edge = worker_calloc(1, sizeof(*edge));
        edge->id = id;
        HASH_ADD(hh, f->edges, id, sizeof(edge->id), edge);
    }

    return edge;
}


static void
fanout_record(fanout_edge_t *edge, const chat_rec_t *rec)
{
    size_t  mark;

    if (edge->buf.len == 0) {
        (void) chat_batch_begin(&edge->buf);
    }

    (void) chat_batch_rec(&edge->buf, rec, &mark);

    if (chat_batch_end(&edge->buf, mark) != 0) {
        worker_die("edge=%016" PRIx64 " a record cannot be written", edge->id);
    }
}
