/*
 * ngx_chat_route.c: writes and deletes routes, which say where a device is.
 *
 * Called from: session (open, close), sync (retry), link (after a lost
 * connection, or when Redis was emptied). Hands to: the command connection,
 * leave, notify, sync. A device has one session on all edges: the script that
 * writes its route returns the previous one, whose session is then closed with
 * 4409, here or by a KICK record on its edge's channel. When two sessions of a
 * device both find Redis emptied, the one that connected later stays. The same
 * script reads and deletes the device's clean-disconnect marker, see
 * ngx_chat_leave.c.
 */

#include "ngx_chat_route.h"
#include "ngx_chat_session.h"
#include "ngx_chat_delivery.h"
#include "ngx_chat_presence.h"


#define NGX_CHAT_ROUTE_STALE  65536     /* routes kept for deletion         */
#define NGX_CHAT_ROUTE_RETRY  1000      /* ms after Redis refused a route   */


/* Scripts, because each must be atomic: two edges may race for one device.
 * Arguments: device, its route and, for some, a marker. */
static const char  ngx_chat_route_set_script[] =
    "local n='-'..ARGV[1] "
    "local o=redis.call('HMGET',KEYS[1],ARGV[1],n) "
    "redis.call('HSET',KEYS[1],ARGV[1],ARGV[2]) "
    "if o[2] then redis.call('HDEL',KEYS[1],n) end "
    "redis.call('PERSIST',KEYS[1]) return o";

static const char  ngx_chat_route_renew_script[] =
    "local o=redis.call('HGET',KEYS[1],ARGV[1]) if not o then "
    "redis.call('HSET',KEYS[1],ARGV[1],ARGV[2]) "
    "redis.call('PERSIST',KEYS[1]) end return {o}";

/* ARGV[3]: the marker to leave, or an empty string */
static const char  ngx_chat_route_del_script[] =
    "if redis.call('HGET',KEYS[1],ARGV[1])~=ARGV[2] then return 0 end "
    "redis.call('HDEL',KEYS[1],ARGV[1]) "
    "if ARGV[3]~='' then "
    "redis.call('HSET',KEYS[1],'-'..ARGV[1],ARGV[3]) end "
    CHAT_ROUTE_LUA_END;


static void ngx_chat_route_written(ngx_chat_reply_t *reply, void *data);
static void ngx_chat_route_replaced(ngx_chat_route_t *route, u_char *value,
    size_t len);
static void ngx_chat_route_cleared(ngx_chat_reply_t *reply, void *data);


static ngx_chat_route_t *
ngx_chat_route_new(ngx_chat_session_t *s)
{
    ngx_chat_route_t  *route;

    route = ngx_chat_alloc(sizeof(ngx_chat_route_t));

    if (route != NULL) {
        route->user = s->user;
        route->device = s->device;
        route->session = s->id;
        route->renew = s->announced;
    }

    return route;
}


/* Evaluates a script; n at most 2. See ngx_chat_route.h. */

ngx_int_t
ngx_chat_route_eval(ngx_chat_route_t *route, const char *script, size_t len,
    ngx_chat_redis_reply_pt fn, ngx_uint_t n, const ngx_str_t *more)
{
    u_char       key[64], device[NGX_INT64_LEN], value[64];
    size_t       lens[8];
    ngx_str_t    name;
    ngx_uint_t   i;
    const char  *args[8];

    args[0] = "EVAL";
    lens[0] = 4;
    args[1] = script;
    lens[1] = len;
    args[2] = "1";
    lens[2] = 1;
    args[3] = (char *) key;
    lens[3] = ngx_sprintf(key, "route:{%uL}", route->user) - key;
    args[4] = (char *) device;
    lens[4] = ngx_sprintf(device, "%uL", route->device) - device;
    args[5] = (char *) value;
    lens[5] = ngx_sprintf(value, "%016xL:%uL", ngx_chat_edge->id,
                          route->session)
              - value;

    for (i = 0; i < n; i++) {
        args[6 + i] = (char *) more[i].data;
        lens[6 + i] = more[i].len;
    }

    name.data = key;
    name.len = lens[3];

    return ngx_chat_redis_command(&name, fn, route, 6 + n, args, lens);
}


/* Writes a session's route. The first time the session replaces any other
 * session of its device. Later, after Redis may have lost the route, it is
 * written only where there is none: another session found there has connected
 * since. NGX_ERROR out of memory or while the command connection is down. */

ngx_int_t
ngx_chat_route_set(ngx_chat_session_t *s)
{
    ngx_int_t          rc;
    ngx_chat_route_t  *route;

    route = ngx_chat_route_new(s);
    if (route == NULL) {
        return NGX_ERROR;
    }

    if (route->renew) {
        rc = ngx_chat_route_eval(route, ngx_chat_route_renew_script,
                                 sizeof(ngx_chat_route_renew_script) - 1,
                                 ngx_chat_route_written, 0, NULL);
    } else {
        rc = ngx_chat_route_eval(route, ngx_chat_route_set_script,
                                 sizeof(ngx_chat_route_set_script) - 1,
                                 ngx_chat_route_written, 0, NULL);
    }

    if (rc != NGX_OK) {
        ngx_free(route);
        return NGX_ERROR;
    }

    s->routed = 1;

    return NGX_OK;
}


/* Keeps a stale route until Redis is back. A route that was never deleted would
 * make the workers treat the device as connected forever. */

static void
ngx_chat_route_keep(ngx_chat_route_t *route)
{
    ngx_chat_edge_t  *edge;

    edge = ngx_chat_edge;

    if (edge->nstale_routes >= NGX_CHAT_ROUTE_STALE) {
        ngx_free(route);
        return;
    }

    route->next = edge->stale_routes;
    edge->stale_routes = route;
    edge->nstale_routes++;
}


/* Deletes a route if it is still the device's, and leaves the provisional
 * marker when the disconnect was clean. Takes ownership of route. */

static void
ngx_chat_route_delete(ngx_chat_route_t *route)
{
    u_char     text[64];
    ngx_str_t  marker;

    marker.data = text;
    marker.len = route->clean ? ngx_chat_leave_marker(route, text) - text : 0;

    if (ngx_chat_route_eval(route, ngx_chat_route_del_script,
                            sizeof(ngx_chat_route_del_script) - 1,
                            ngx_chat_route_cleared, 1, &marker)
        != NGX_OK)
    {
        ngx_chat_leave_end(route);
        ngx_chat_route_keep(route);
    }
}


/* The session ends: deletes its route. */

void
ngx_chat_route_clear(ngx_chat_session_t *s)
{
    ngx_chat_route_t  *route;

    if (!s->routed) {
        return;
    }

    s->routed = 0;

    route = ngx_chat_route_new(s);
    if (route != NULL) {
        if (ngx_chat_leave_clean(s)) {
            ngx_chat_leave_begin(route);
        }

        ngx_chat_route_delete(route);
    }
}


/* The command connection is back, or Redis was emptied: deletes stale routes,
 * then writes the routes of all open sessions again. */

void
ngx_chat_route_renew_all(void)
{
    ngx_queue_t         *q;
    ngx_chat_edge_t     *edge;
    ngx_chat_route_t    *route, *next;
    ngx_chat_session_t  *s;

    edge = ngx_chat_edge;

    next = edge->stale_routes;
    edge->stale_routes = NULL;
    edge->nstale_routes = 0;

    while (next != NULL) {
        route = next;
        next = route->next;
        ngx_chat_route_delete(route);
    }

    for (q = ngx_queue_head(&edge->activity);
         q != ngx_queue_sentinel(&edge->activity);
         q = ngx_queue_next(q))
    {
        s = ngx_queue_data(q, ngx_chat_session_t, activity);

        if (s->state == NGX_CHAT_OPEN && s->detached && !s->echo
            && !s->superseded)
        {
            s->routed = 0;      /* on failure the tick retries */
            (void) ngx_chat_route_set(s);
        }
    }
}


static void
ngx_chat_route_cleared(ngx_chat_reply_t *reply, void *data)
{
    ngx_chat_route_t  *route = data;

    if (ngx_chat_reply_failed(reply)) {
        ngx_chat_leave_end(route);
        ngx_chat_route_keep(route);
        return;
    }

    ngx_chat_notify(CHAT_EV_OFFLINE, route->user);

    if (route->clean && reply->kind == NGX_CHAT_REPLY_INTEGER
        && reply->integer == 1)
    {
        ngx_chat_leave_barrier(route);
        return;
    }

    ngx_chat_leave_end(route);
    ngx_free(route);
}


/* The reply: the route that was there before (after a renewal: the one that is
 * there), and the device's marker. */

static void
ngx_chat_route_written(ngx_chat_reply_t *reply, void *data)
{
    ngx_chat_reply_t     old, marker;
    ngx_chat_route_t    *route = data;
    ngx_chat_session_t  *s;

    s = ngx_chat_session_find(route->session);

    if (reply->kind == NGX_CHAT_REPLY_LOST) {
        /* The connection was lost; all routes are written after the next. */

    } else if (reply->kind == NGX_CHAT_REPLY_ERROR) {

        /* For example at maxmemory. Without a route the session receives
         * nothing, so it syncs from the list again once it has one. */
        if (s != NULL && s->state == NGX_CHAT_OPEN) {
            ngx_log_error(NGX_LOG_WARN, s->connection->log, 0,
                          "chat session %uL user %uL: Redis refused its "
                          "route: %V", s->id, s->user, &reply->text);
            s->routed = 0;
            ngx_chat_sync_restart(s, NGX_CHAT_ROUTE_RETRY);
        }

    } else {

        if (s != NULL) {
            s->announced = 1;
        }

        ngx_chat_notify(CHAT_EV_ONLINE, route->user);

        ngx_memzero(&old, sizeof(ngx_chat_reply_t));
        ngx_memzero(&marker, sizeof(ngx_chat_reply_t));

        if (reply->kind == NGX_CHAT_REPLY_ARRAY && reply->n) {
            ngx_chat_reply_element(reply, 0, &old);

            if (reply->n == 2) {
                ngx_chat_reply_element(reply, 1, &marker);
            }
        }

        if (old.kind == NGX_CHAT_REPLY_STRING) {
            ngx_chat_route_replaced(route, old.text.data, old.text.len);

        } else if (s != NULL && ngx_chat_leave_marker_valid(&marker)) {
            ngx_chat_sync_up_to_date(s);
        }

        /* With the route in place the missed entries can be requested. */
        s = ngx_chat_session_find(route->session);

        if (s != NULL) {
            ngx_chat_sync_more(s);
        }
    }

    ngx_free(route);
}


/* Another session of the device may have a route; value is that route. After a
 * renewal it belongs to a newer session, and ours is closed; otherwise ours
 * replaces it, and the other session is closed. */

static void
ngx_chat_route_replaced(ngx_chat_route_t *route, u_char *value, size_t len)
{
    size_t       lens[3], pos;
    ngx_str_t    name;
    uint64_t     edge, session;
    u_char       channel[64];
    chat_rec_t   rec;
    chat_buf_t   buf = CHAT_BUF_INIT;
    const char  *args[3];

    if (chat_route_parse((char *) value, len, &edge, &session) != 0) {
        return;
    }

    if (edge == ngx_chat_edge->id && session == route->session) {
        return;
    }

    if (route->renew) {
        ngx_chat_session_kick(route->user, route->device, route->session,
                              CHAT_CLOSE_REPLACED);
        return;
    }

    if (edge == ngx_chat_edge->id) {
        ngx_chat_session_kick(route->user, route->device, session,
                              CHAT_CLOSE_REPLACED);
        return;
    }

    ngx_memzero(&rec, sizeof(chat_rec_t));
    rec.type = CHAT_REC_KICK;
    rec.user = route->user;
    rec.device = route->device;
    rec.session = session;
    rec.status = CHAT_CLOSE_REPLACED;

    if (chat_batch_begin(&buf) == 0
        && chat_batch_rec(&buf, &rec, &pos) == 0
        && chat_batch_end(&buf, pos) == 0)
    {
        args[0] = "PUBLISH";
        lens[0] = 7;
        args[1] = (char *) channel;
        lens[1] = ngx_sprintf(channel, "edge.%016xL", edge) - channel;
        args[2] = (char *) buf.data;
        lens[2] = buf.len;

        name.data = channel;
        name.len = lens[1];

        (void) ngx_chat_redis_command(&name, NULL, NULL, 3, args, lens);
    }

    chat_buf_free(&buf);
}
