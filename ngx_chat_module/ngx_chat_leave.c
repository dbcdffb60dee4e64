/*
 * ngx_chat_leave.c: a device that leaves with everything leaves a note of it.
 *
 * Called when a session ends and when a device comes back; hands to route and
 * to the subscription. The note is the field "-<device>" of route:{user}. Who
 * finds it, with the run of Redis it was written in, has missed nothing: no
 * database is asked. A message worker takes it away, for good, right after it
 * has told the edges of the first entry that is missed; docs/internals.md says
 * why that is safe.
 *
 * What was published to us before our route was gone may still be under way
 * when the session ends. So the note is "?" and the route at first, which
 * nobody believes, until the subscription has answered what was asked after.
 */

#include "ngx_chat_route.h"


#define NGX_CHAT_LEAVE_MAX  65536       /* notes under way                  */


#define BY_USER  offsetof(ngx_chat_route_t, user),                            \
                 offsetof(ngx_chat_route_t, next_user)


static ngx_chat_route_t *ngx_chat_leave_first(void);
static void ngx_chat_leave_send_barrier(void);


/* only while it is still our question; who came back took it */
static const char  ngx_chat_leave_script[] =
    "local n='-'..ARGV[1] if redis.call('HGET',KEYS[1],n)==ARGV[3] then "
    "redis.call('HSET',KEYS[1],n,ARGV[4]) end return 0";


/* Whether the session, which is about to end, has sent its client everything,
 * and the client has marked it. */

ngx_uint_t
ngx_chat_leave_clean(ngx_chat_session_t *s)
{
    ngx_uint_t         i;
    ngx_chat_edge_t   *edge;
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

        if ((k->flags & NGX_CHAT_WAITS)
            || k->target > k->last || k->acked < k->last)
        {
            return 0;
        }
    }

    return 1;
}


/* From now on an entry for this user is one that the device misses. */

void
ngx_chat_leave_begin(ngx_chat_route_t *route)
{
    if (ngx_chat_hash_add(&ngx_chat_edge->leaving, route, BY_USER) == NGX_OK) {
        route->clean = 1;
        ngx_queue_init(&route->waits);
    }
}


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


/* The note that nobody believes. Returns its end. */

u_char *
ngx_chat_leave_marker(ngx_chat_route_t *route, u_char *note)
{
    return ngx_sprintf(note, "?%016xL:%uL", ngx_chat_edge->id,
                       route->session);
}


/* Redis has it. All that leave meanwhile share the next question. */

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


/* The one that waits longest, or NULL. */

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


/* The subscription has answered: nothing is under way any more for those who
 * asked before. */

void
ngx_chat_leave_passed(ngx_uint_t ticket)
{
    u_char             note[64];
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
            args[0].data = note;
            args[0].len = ngx_chat_leave_marker(route, note) - note;
            args[1] = edge->run_id;

            (void) ngx_chat_route_eval(route, ngx_chat_leave_script,
                                       sizeof(ngx_chat_leave_script) - 1,
                                       NULL, 2, args);
        }

        ngx_chat_leave_end(route);
        ngx_free(route);
    }
}


/* No note, or no longer; the route stays the caller's. */

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


/* A connection to Redis was lost: what was published may have been, too. Those
 * whose note is on its way to Redis are told so by their answer. */

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


ngx_uint_t
ngx_chat_leave_marker_valid(ngx_chat_reply_t *marker)
{
    ngx_str_t  *run_id;

    run_id = &ngx_chat_edge->run_id;

    return run_id->len && marker->kind == NGX_CHAT_REPLY_STRING
           && marker->text.len == run_id->len
           && ngx_memcmp(marker->text.data, run_id->data, run_id->len) == 0;
}
