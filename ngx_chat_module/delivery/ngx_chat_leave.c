/*
 * ngx_chat_leave.c: the clean-disconnect marker.
 *
 * Called from: route (a session ends, a device comes back), deliver (an entry
 * for a user who is leaving), link (barrier passed, connection lost). Hands
 * to: route, the subscription. A device that has received and acknowledged
 * every entry leaves a marker, the field "-<device>" of route:{user}. When it
 * comes back and finds its marker, it has missed nothing, and no database
 * query is needed. A message worker deletes the marker right after it has
 * published the first entry that the device misses. docs/internals.md explains
 * why this is safe.
 *
 * Entries published to this edge before the route was deleted may still be in
 * transit when the session ends. Therefore the marker is provisional at first
 * ("?<route>"), which no session accepts. A barrier on the subscription shows
 * that the entries have arrived; if none of them was for the user, the marker
 * is set to Redis' run_id and becomes valid.
 */

#include "ngx_chat_route.h"
#include "ngx_chat_session.h"
#include "ngx_chat_delivery.h"


#define NGX_CHAT_LEAVE_MAX  65536       /* provisional markers, per edge    */


#define BY_USER  offsetof(ngx_chat_route_t, user),                            \
                 offsetof(ngx_chat_route_t, next_user)


static ngx_chat_route_t *ngx_chat_leave_first(void);
static void ngx_chat_leave_send_barrier(void);


/* Confirms a marker, unless it has changed: a device that came back has deleted
 * it. ARGV[3]: the provisional marker, ARGV[4]: Redis' run_id. */
static const char  ngx_chat_leave_script[] =
    "local n='-'..ARGV[1] if redis.call('HGET',KEYS[1],n)==ARGV[3] then "
    "redis.call('HSET',KEYS[1],n,ARGV[4]) end return 0";


/* 1 when a session that is about to end has sent its client everything and the
 * client has sent receipts for all of it. */

ngx_uint_t
ngx_chat_leave_clean(ngx_chat_session_t *s)
{
    ngx_uint_t          i;
    ngx_chat_edge_t    *edge;
    ngx_chat_cursor_t  *k;

    edge = ngx_chat_edge;

    if (!s->announced || !s->sync.complete
        || s->sync.state != NGX_CHAT_LIVE || s->sync.repair
        || s->pending_acks != NULL || s->evicted || s->superseded
        || s->close_code == CHAT_CLOSE_REVOKED
        || s->close_code == CHAT_CLOSE_SUSPENDED
        || edge->run_id.len == 0 || !ngx_chat_redis_ready()
        || edge->leaving.n >= NGX_CHAT_LEAVE_MAX)
    {
        return 0;
    }

    for (i = 0; i < s->table.n; i++) {
        k = &s->table.cursors[i];

        if ((k->flags & NGX_CHAT_UNVALIDATED)
            || k->target > k->last || k->acked < k->last)
        {
            return 0;
        }
    }

    return 1;
}


/* Registers the route as leaving cleanly: from now on, an entry for this user
 * is one that the device misses. Out of memory there is no marker. */

void
ngx_chat_leave_begin(ngx_chat_route_t *route)
{
    if (ngx_chat_hash_add(&ngx_chat_edge->leaving, route, BY_USER) == NGX_OK) {
        route->clean = 1;
        ngx_queue_init(&route->waits);
    }
}


/* An entry for this user has arrived: its leaving devices missed it. */

void
ngx_chat_leave_missed(uint64_t user)
{
    ngx_chat_route_t  *route;

    route = ngx_chat_hash_find(&ngx_chat_edge->leaving, user, BY_USER);

    for ( /* void */ ; route != NULL; route = route->next_user) {
        if (route->user == user) {
            route->missed = 1;
        }
    }
}


/* Writes the provisional marker, at most 64 bytes. Returns its end. */

u_char *
ngx_chat_leave_marker(ngx_chat_route_t *route, u_char *marker)
{
    return ngx_sprintf(marker, "?%016xL:%uL", ngx_chat_edge->id,
                       route->session);
}


/* Redis has the provisional marker: waits for a barrier. All routes that start
 * to wait while one barrier is under way share the next one. */

void
ngx_chat_leave_barrier(ngx_chat_route_t *route)
{
    ngx_queue_t  *waits;

    waits = &ngx_chat_edge->leave_waiters;

    route->ticket = 0;
    ngx_queue_insert_tail(waits, &route->waits);

    if (ngx_queue_head(waits) == &route->waits) {
        ngx_chat_leave_send_barrier();
    }
}


/* The route that has waited longest, or NULL. */

static ngx_chat_route_t *
ngx_chat_leave_first(void)
{
    ngx_queue_t  *waits;

    waits = &ngx_chat_edge->leave_waiters;

    return ngx_queue_empty(waits)
           ? NULL
           : ngx_queue_data(ngx_queue_head(waits), ngx_chat_route_t, waits);
}


static void
ngx_chat_leave_send_barrier(void)
{
    ngx_uint_t         ticket;
    ngx_queue_t       *q;
    ngx_chat_route_t  *route;

    ticket = ngx_chat_redis_barrier();

    if (ticket == 0) {
        ngx_chat_leave_lost();
        return;
    }

    for (q = ngx_queue_head(&ngx_chat_edge->leave_waiters);
         q != ngx_queue_sentinel(&ngx_chat_edge->leave_waiters);
         q = ngx_queue_next(q))
    {
        route = ngx_queue_data(q, ngx_chat_route_t, waits);
        route->ticket = ticket;
    }
}


/* The barrier with this number has passed: everything published before it has
 * arrived. Confirms the markers of routes that waited for it. */

void
ngx_chat_leave_passed(ngx_uint_t ticket)
{
    u_char             text[64];
    ngx_str_t          args[2];
    ngx_chat_edge_t   *edge;
    ngx_chat_route_t  *route;

    edge = ngx_chat_edge;

    while ((route = ngx_chat_leave_first()) != NULL) {

        if (route->ticket == 0) {
            ngx_chat_leave_send_barrier();
            return;
        }

        if (route->ticket > ticket) {
            return;
        }

        if (!route->missed && edge->run_id.len) {
            args[0].data = text;
            args[0].len = ngx_chat_leave_marker(route, text) - text;
            args[1] = edge->run_id;

            (void) ngx_chat_route_eval(route, ngx_chat_leave_script,
                                       sizeof(ngx_chat_leave_script) - 1,
                                       NULL, 2, args);
        }

        ngx_chat_leave_end(route);
        ngx_free(route);
    }
}


/* Ends the wait, with or without a confirmed marker. The caller still owns
 * route. */

void
ngx_chat_leave_end(ngx_chat_route_t *route)
{
    if (!route->clean) {
        return;
    }

    route->clean = 0;
    ngx_queue_remove(&route->waits);
    ngx_chat_hash_remove(&ngx_chat_edge->leaving, route, BY_USER);
}


/* A connection to Redis was lost, and publishes with it: no marker that is not
 * confirmed may become valid. Routes whose provisional marker is still on its
 * way to Redis are freed by their reply. */

void
ngx_chat_leave_lost(void)
{
    ngx_uint_t         i;
    ngx_chat_edge_t   *edge;
    ngx_chat_route_t  *route;

    edge = ngx_chat_edge;

    while ((route = ngx_chat_leave_first()) != NULL) {
        ngx_chat_leave_end(route);
        ngx_free(route);
    }

    for (i = 0; edge->leaving.n && i <= edge->leaving.mask; i++) {
        for (route = edge->leaving.buckets[i];
             route != NULL;
             route = route->next_user)
        {
            route->missed = 1;
        }
    }
}


/* 1 when the marker is Redis' current run_id. */

ngx_uint_t
ngx_chat_leave_marker_valid(ngx_chat_reply_t *marker)
{
    ngx_str_t  *run_id;

    run_id = &ngx_chat_edge->run_id;

    return run_id->len && marker->kind == NGX_CHAT_REPLY_STRING
           && marker->text.len == run_id->len
           && ngx_memcmp(marker->text.data, run_id->data, run_id->len) == 0;
}
