/*
 * ngx_chat_status.c: health, readiness and metrics.
 *
 * Called from: nginx, as the content handler of chat_status. Hands to: problem.
 * Ready means that a send would be accepted: both connections to Redis are up,
 * the revocations are loaded, a message worker with a database has a recent
 * heartbeat, and the process is not exiting. Metrics describe this nginx
 * worker process alone, in the Prometheus text format 0.0.4.
 */

#include "chat_version.h"
#include "ngx_chat_redis.h"
#include "ngx_chat_http.h"

/* the version as a label of a constant, as Prometheus' own exporters do */
#define NGX_CHAT_BUILD_INFO                                                   \
    "# HELP chat_build_info The module's version; the value is always 1.\n"   \
    "# TYPE chat_build_info gauge\n"                                          \
    "chat_build_info{version=\"" CHAT_VERSION_TEXT "\"} 1\n"

static ngx_int_t ngx_chat_status_metrics(ngx_http_request_t *r);


ngx_int_t
ngx_chat_status_handler(ngx_http_request_t *r)
{
    ngx_str_t             body;
    ngx_chat_loc_conf_t  *lcf;

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return ngx_chat_problem(r, CHAT_E_METHOD_NOT_ALLOWED,
                                "This page is read with GET.", 0);
    }

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_chat_module);

    if (ngx_chat_edge == NULL) {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    switch (lcf->status) {

    case NGX_CHAT_STATUS_HEALTH:
        ngx_str_set(&body, "{\"status\":\"ok\"}");
        return ngx_chat_answer(r, NGX_HTTP_OK, "application/json", &body);

    case NGX_CHAT_STATUS_READY:

        if (ngx_exiting) {
            return ngx_chat_problem(r, CHAT_E_UNAVAILABLE,
                                    "This server is restarting.", 5);
        }

        if (!ngx_chat_redis_ready()) {
            return ngx_chat_problem(r, CHAT_E_UNAVAILABLE,
                                    ngx_chat_edge->command.up
                                    && ngx_chat_edge->subscription.up
                                    ? "The API worker has not started yet."
                                    : "Redis is not reachable.", 5);
        }

        if (!ngx_chat_edge->workers_alive) {
            return ngx_chat_problem(r, CHAT_E_UNAVAILABLE,
                                    "No message worker with a database is "
                                    "running.", 5);
        }

        ngx_str_set(&body, "{\"status\":\"ready\"}");
        return ngx_chat_answer(r, NGX_HTTP_OK, "application/json", &body);

    default:
        return ngx_chat_status_metrics(r);
    }
}


static ngx_int_t
ngx_chat_status_metrics(ngx_http_request_t *r)
{
    u_char               *p, *end;
    ngx_str_t             body;
    ngx_uint_t            i;
    ngx_chat_edge_t      *edge;
    ngx_chat_counters_t  *c;

    edge = ngx_chat_edge;
    c = &edge->counters;

    const struct {
        const char  *name;
        const char  *type;
        const char  *help;
        uint64_t     value;
    } rows[] = {
        { "chat_edge_sessions", "gauge", "Open WebSocket sessions.",
          edge->by_id.n },
        { "chat_edge_requests_waiting", "gauge",
          "REST writes waiting for a message worker.", edge->rest.n },
        { "chat_edge_ready", "gauge", "1 when sends are accepted, else 0.",
          ngx_chat_redis_ready() },
        { "chat_edge_connects_total", "counter", "Sessions opened.",
          c->connects },
        { "chat_edge_resumed_total", "counter",
          "Sessions that resumed by a clean-disconnect marker.", c->resumed },
        { "chat_edge_closes_total", "counter", "Sessions closed.",
          c->closes },
        { "chat_edge_refused_total", "counter",
          "WebSocket handshakes refused.", c->refused },
        { "chat_edge_frames_in_total", "counter",
          "Messages received from clients.", c->frames_in },
        { "chat_edge_frames_out_total", "counter",
          "Frames queued to clients.", c->frames_out },
        { "chat_edge_bytes_out_total", "counter",
          "Bytes written to client sockets.", c->bytes_out },
        { "chat_edge_events_total", "counter",
          "Events appended to Redis streams.", c->events },
        { "chat_edge_event_writes_total", "counter",
          "Socket writes to Redis that contained events.", c->event_writes },
        { "chat_edge_batches_total", "counter",
          "Batches received from workers.", c->batches },
        { "chat_edge_entries_total", "counter",
          "Entries delivered to sessions as new_message.", c->entries },
        { "chat_edge_pages_total", "counter", "Catch-up pages received.",
          c->pages },
        { "chat_edge_too_slow_total", "counter",
          "Sessions closed with 4008 because the client was too slow.",
          c->too_slow },
        { "chat_edge_unavailable_total", "counter",
          "Sends and requests answered with unavailable.", c->unavailable },
        { "chat_edge_fenced_total", "counter",
          "Entries dropped because of a lower epoch.", c->fenced },
        { "chat_edge_redis_lost_total", "counter",
          "Connections to Redis lost.", c->redis_lost },
        { "chat_edge_presence_total", "counter", "Presence frames sent.",
          c->presence },
        { "chat_edge_follows", "gauge",
          "Followed users, summed over all sessions.", edge->nfollows },
    };

    const ngx_uint_t  n = sizeof(rows) / sizeof(rows[0]);

    body.data = ngx_pnalloc(r->pool, n * 256 + sizeof(NGX_CHAT_BUILD_INFO));
    if (body.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = ngx_cpymem(body.data, NGX_CHAT_BUILD_INFO,
                   sizeof(NGX_CHAT_BUILD_INFO) - 1);
    end = p + n * 256;

    for (i = 0; i < n; i++) {
        p = ngx_slprintf(p, end,
                         "# HELP %s %s\n# TYPE %s %s\n"
                         "%s{worker=\"%P\"} %uL\n",
                         rows[i].name, rows[i].help, rows[i].name,
                         rows[i].type, rows[i].name, ngx_pid, rows[i].value);
    }

    body.len = p - body.data;

    return ngx_chat_answer(r, NGX_HTTP_OK,
                           "text/plain; version=0.0.4; charset=utf-8", &body);
}
