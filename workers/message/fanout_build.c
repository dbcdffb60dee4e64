/*
 * fanout_build.c: builds the batches of records, one per edge.
 *
 * Called from fanout_publish.c; hands to fanout_route.c and fanout_marker.c. The
 * cost of an entry grows with the edges and with the members who are online
 * there: the list of a chat's online members is built once per batch.
 */

#include <inttypes.h>

#include "fanout_private.h"

static void fanout_build_out(fanout_t *f, fanout_out_t *out);
static void fanout_target_users(fanout_t *f, const fanout_out_t *out);
static void fanout_target_members(fanout_t *f, const fanout_out_t *out);
static void fanout_chat_markers(fanout_t *f, const message_chat_t *chat,
    uint64_t seq);
static void fanout_chat_online(fanout_t *f, message_chat_t *chat);
static void fanout_target(fanout_t *f, fanout_edge_t *edge, uint64_t user,
    uint8_t flags);
static void fanout_touch(fanout_t *f, fanout_edge_t *edge);
static fanout_edge_t *fanout_edge(fanout_t *f, uint64_t id);
static void fanout_record(fanout_edge_t *edge, const chat_rec_t *rec);


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
    size_t       i;
    chat_rec_t  *rec;

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

        if (out->to.edge != 0 && !f->republishing) {
            fanout_record(fanout_edge(f, out->to.edge), rec);
        }

        return;

    case FANOUT_USERS:
        fanout_target_users(f, out);
        break;

    case FANOUT_OTHERS:
    case FANOUT_VISIBLE:
        fanout_target_members(f, out);
        break;
    }

    /* the sender's edge writes the ack, also when nobody else is there */
    if (out->to.edge != 0 && !f->republishing) {
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


static void
fanout_target_users(fanout_t *f, const fanout_out_t *out)
{
    size_t           i, k;
    fanout_route_t  *route;

    for (i = 0; i < out->nusers; i++) {
        route = fanout_route_get(f, f->users[out->users + i]);

        if (f->republishing && route->reread != f->batch) {
            continue;
        }

        for (k = 0; k < route->n; k++) {
            fanout_target(f, fanout_edge(f, route->sessions[k].edge),
                          route->user, 0);
        }
    }
}


static void
fanout_target_members(fanout_t *f, const fanout_out_t *out)
{
    size_t             i;
    uint8_t            flags;
    fanout_online_t   *on;
    message_member_t  *member;

    fanout_chat_online(f, out->chat);

    if (out->who == FANOUT_VISIBLE) {
        fanout_chat_markers(f, out->chat, out->rec.seq);
    }

    for (i = 0; i < out->chat->nonline; i++) {
        on = &f->online[out->chat->online + i];
        member = on->member;

        if (f->republishing && on->reread != f->batch) {
            continue;
        }

        if (out->who == FANOUT_OTHERS) {

            if (member->left == 0 && member->user != out->user) {
                fanout_target(f, on->edge, member->user, 0);
            }

        } else if (message_member_sees(member, out->rec.seq)) {
            flags = member->user == out->user ? CHAT_TARGET_CHECK : 0;
            fanout_target(f, on->edge, member->user, flags);
        }
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
            f->online[f->nonline].reread = route->reread;
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
