/*
 * ngx_chat_route.c: tells Redis which session a device has, and where.
 *
 * Called when a session opens, closes, and when Redis was away or emptied;
 * hands to the command connection. A device has one session in all the world:
 * the script that writes its route returns the one before, which is then
 * closed with 4409, here or by a KICK on its edge's channel.
 */

#include "ngx_chat_redis.h"


/* one atomic step each: two edges may race for one device */
static const char  ngx_chat_route_set_script[] =
    "local o=redis.call('HGET',KEYS[1],ARGV[1]) "
    "redis.call('HSET',KEYS[1],ARGV[1],ARGV[2]) return o";

static const char  ngx_chat_route_del_script[] =
    "if redis.call('HGET',KEYS[1],ARGV[1])==ARGV[2] then "
    "return redis.call('HDEL',KEYS[1],ARGV[1]) end return 0";


typedef struct {
    uint64_t  user;
    uint64_t  device;
    uint64_t  session;
} ngx_chat_route_t;


static void ngx_chat_route_replaced(redisAsyncContext *ac, void *reply,
    void *data);


static ngx_int_t
ngx_chat_route_eval(ngx_chat_session_t *s, const char *script, size_t len,
    redisCallbackFn *fn, void *data)
{
    u_char       key[64], device[NGX_INT64_LEN], value[64];
    size_t       lens[6];
    const char  *args[6];

    args[0] = "EVAL";
    lens[0] = 4;
    args[1] = script;
    lens[1] = len;
    args[2] = "1";
    lens[2] = 1;
    args[3] = (char *) key;
    lens[3] = ngx_sprintf(key, "route:{%uL}", s->user) - key;
    args[4] = (char *) device;
    lens[4] = ngx_sprintf(device, "%uL", s->device) - device;
    args[5] = (char *) value;
    lens[5] = ngx_sprintf(value, "%016xL:%uL", ngx_chat_edge->id, s->id)
              - value;

    return ngx_chat_redis_command(fn, data, 6, args, lens);
}


ngx_int_t
ngx_chat_route_set(ngx_chat_session_t *s)
{
    ngx_chat_route_t  *route;

    route = ngx_chat_alloc(sizeof(ngx_chat_route_t));
    if (route == NULL) {
        return NGX_ERROR;
    }

    route->user = s->user;
    route->device = s->device;
    route->session = s->id;

    if (ngx_chat_route_eval(s, ngx_chat_route_set_script,
                            sizeof(ngx_chat_route_set_script) - 1,
                            ngx_chat_route_replaced, route)
        != NGX_OK)
    {
        ngx_free(route);
        return NGX_ERROR;
    }

    s->routed = 1;

    return NGX_OK;
}


void
ngx_chat_route_clear(ngx_chat_session_t *s)
{
    if (!s->routed) {
        return;
    }

    s->routed = 0;

    (void) ngx_chat_route_eval(s, ngx_chat_route_del_script,
                               sizeof(ngx_chat_route_del_script) - 1,
                               NULL, NULL);
}


/* The command connection is back, or Redis was emptied. */

void
ngx_chat_route_all(void)
{
    ngx_queue_t         *q;
    ngx_chat_edge_t     *edge;
    ngx_chat_session_t  *s;

    edge = ngx_chat_edge;

    for (q = ngx_queue_head(&edge->heard);
         q != ngx_queue_sentinel(&edge->heard);
         q = ngx_queue_next(q))
    {
        s = ngx_queue_data(q, ngx_chat_session_t, heard);

        if (s->state == NGX_CHAT_OPEN && s->taken && !s->echo
            && !s->superseded)
        {
            (void) ngx_chat_route_set(s);
        }
    }
}


/* The reply is what the route was before. */

static void
ngx_chat_route_replaced(redisAsyncContext *ac, void *reply, void *data)
{
    size_t             lens[3], mark;
    uint64_t           edge, session;
    u_char             channel[64], *p, *end;
    ngx_int_t          n;
    chat_rec_t         rec;
    chat_buf_t         buf = CHAT_BUF_INIT;
    const char        *args[3];
    redisReply        *r = reply;
    ngx_chat_route_t  *route = data;

    if (r == NULL || r->type != REDIS_REPLY_STRING || r->len < 18) {
        goto done;
    }

    p = (u_char *) r->str;
    end = p + r->len;
    n = ngx_hextoi(p, 8);
    edge = (uint64_t) n << 32;
    n = ngx_hextoi(p + 8, 8);
    edge |= (uint64_t) n & 0xffffffff;

    if (p[16] != ':'
        || chat_num_parse((char *) p + 17, end - p - 17, &session) != 0)
    {
        goto done;
    }

    if (edge == ngx_chat_edge->id) {
        if (session != route->session) {
            ngx_chat_session_kick(route->user, route->device, session,
                                  CHAT_CLOSE_REPLACED);
        }

        goto done;
    }

    ngx_memzero(&rec, sizeof(chat_rec_t));
    rec.type = CHAT_REC_KICK;
    rec.user = route->user;
    rec.device = route->device;
    rec.session = session;
    rec.status = CHAT_CLOSE_REPLACED;

    if (chat_batch_begin(&buf) == 0
        && chat_batch_rec(&buf, &rec, &mark) == 0
        && chat_batch_end(&buf, mark) == 0)
    {
        args[0] = "PUBLISH";
        lens[0] = 7;
        args[1] = (char *) channel;
        lens[1] = ngx_sprintf(channel, "edge.%016xL", edge) - channel;
        args[2] = (char *) buf.data;
        lens[2] = buf.len;

        (void) ngx_chat_redis_command(NULL, NULL, 3, args, lens);
    }

    chat_buf_free(&buf);

done:

    ngx_free(route);
}
