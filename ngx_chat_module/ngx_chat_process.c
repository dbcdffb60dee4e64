/*
 * ngx_chat_process.c: the start, the timer and the end of an edge.
 *
 * Called from: nginx, in every worker process. Hands to: link (Redis) and,
 * every 100 ms, to each file with periodic work.
 */

#include "chat_version.h"
#include "ngx_chat_session.h"
#include "ngx_chat_delivery.h"
#include "ngx_chat_presence.h"
#include "ngx_chat_http.h"


static void ngx_chat_tick(ngx_event_t *ev);


ngx_chat_edge_t  *ngx_chat_edge;

/* also found by strings(1) in the module's file */
const char        ngx_chat_signature[] = "chat/" CHAT_VERSION_TEXT;


ngx_int_t
ngx_chat_init_process(ngx_cycle_t *cycle)
{
    ngx_uint_t             i;
    ngx_chat_edge_t       *edge;
    ngx_chat_main_conf_t  *mcf;

    if (ngx_process != NGX_PROCESS_WORKER
        && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    mcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_chat_module);

    if (mcf == NULL || !mcf->enabled) {
        return NGX_OK;
    }

    edge = ngx_pcalloc(cycle->pool, sizeof(ngx_chat_edge_t));
    if (edge == NULL) {
        return NGX_ERROR;
    }

    edge->scratch = ngx_palloc(cycle->pool, NGX_CHAT_SCRATCH);
    edge->tokens = ngx_pcalloc(cycle->pool, NGX_CHAT_TOKEN_CACHE
                                            * sizeof(ngx_chat_cached_t));
    edge->expiry = ngx_palloc(cycle->pool, NGX_CHAT_EXPIRY
                                           * sizeof(ngx_queue_t));
    if (edge->scratch == NULL || edge->tokens == NULL
        || edge->expiry == NULL)
    {
        return NGX_ERROR;
    }

    randombytes_buf(&edge->id, sizeof(edge->id));

    edge->log = cycle->log;
    edge->conf = mcf;
    edge->started = ngx_current_msec;
    edge->subscription.subscriber = 1;

    ngx_queue_init(&edge->activity);

    for (i = 0; i < NGX_CHAT_EXPIRY; i++) {
        ngx_queue_init(&edge->expiry[i]);
    }

    edge->expired = ngx_time();
    ngx_queue_init(&edge->dirty);
    ngx_queue_init(&edge->work);
    ngx_queue_init(&edge->dead);
    ngx_queue_init(&edge->following);
    ngx_queue_init(&edge->updates);
    ngx_queue_init(&edge->leave_waiters);

    edge->flush.handler = ngx_chat_write_all;
    edge->flush.log = cycle->log;
    edge->flush.data = edge;

    edge->tick.handler = ngx_chat_tick;
    edge->tick.log = cycle->log;
    edge->tick.data = edge;
    edge->tick.cancelable = 1;

    edge->drain.handler = ngx_chat_drain_handler;
    edge->drain.log = cycle->log;
    edge->drain.data = edge;

    ngx_chat_edge = edge;

    ngx_log_error(NGX_LOG_NOTICE, edge->log, 0,
                  "chat: %s starts as edge %016xL", ngx_chat_signature,
                  edge->id);

    ngx_add_timer(&edge->tick, NGX_CHAT_TICK);

    return ngx_chat_link_start();
}


void
ngx_chat_exit_process(ngx_cycle_t *cycle)
{
    if (ngx_chat_edge != NULL) {
        ngx_chat_link_stop();
    }
}


/* The only periodic timer: sessions have none of their own, so 20,000 idle
 * sessions cost nothing here. */

static void
ngx_chat_tick(ngx_event_t *ev)
{
    ngx_chat_edge_t  *edge;

    edge = ev->data;
    edge->ticks++;

    ngx_chat_session_tick();
    ngx_chat_receipt_tick();
    ngx_chat_sync_tick();
    ngx_chat_presence_tick();

    if (edge->ticks % 10 == 0) {
        ngx_chat_link_tick();
        ngx_chat_auth_expire();
    }

    ngx_add_timer(ev, NGX_CHAT_TICK);
}
