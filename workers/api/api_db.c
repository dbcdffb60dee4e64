/*
 * api_db.c: the pool of database connections.
 *
 * Called from api_route.c (a request that needs one), api_upkeep.c; hands to
 * store_pg.c. It has conf->api_threads connections. A request that finds
 * none free waits up to API_WAIT_MS and then answers 503, so that the queue of
 * a slow database stays short. The connection released last is used first:
 * under small load the same few stay warm.
 */

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "api.h"
#include "store_read.h"

/* `pg` first: the pool hands out pointers to it */
typedef struct {
    store_pg_t       pg;
    store_reader_t  *reader;
} api_db_conn_t;

struct api_db_s {
    pthread_mutex_t   lock;
    pthread_cond_t    freed;
    int               n;            /* connections                       */
    int               nfree;
    api_db_conn_t    *conns;
    store_pg_t      **free;         /* a stack of nfree                  */
};

static store_e api_db_open(store_pg_t *pg);


api_db_t *
api_db_new(const worker_conf_t *conf)
{
    int                 i;
    api_db_t           *db;
    pthread_condattr_t  attr;

    db = worker_calloc(1, sizeof(*db));
    db->n = conf->api_threads;
    db->conns = worker_calloc((size_t) db->n, sizeof(*db->conns));
    db->free = worker_calloc((size_t) db->n, sizeof(*db->free));

    for (i = 0; i < db->n; i++) {
        db->conns[i].pg.dsn = conf->pg;
        db->conns[i].pg.name = "chat-worker api";
        db->conns[i].pg.session = store_session_api;
        db->conns[i].reader = store_reader_open(conf, &db->conns[i].pg);
        db->free[db->nfree++] = &db->conns[i].pg;
    }

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&db->lock, NULL);
    pthread_cond_init(&db->freed, &attr);
    pthread_condattr_destroy(&attr);

    return db;
}


void
api_db_free(api_db_t **db)
{
    int  i;

    for (i = 0; i < (*db)->n; i++) {
        store_reader_free(&(*db)->conns[i].reader);
        store_pg_free(&(*db)->conns[i].pg);
    }

    pthread_cond_destroy(&(*db)->freed);
    pthread_mutex_destroy(&(*db)->lock);
    free((*db)->conns);
    free((*db)->free);
    free(*db);
    *db = NULL;
}


/* The result may not be connected yet: api_db_open() does that. */

store_pg_t *
api_db_acquire(api_db_t *db, int wait_ms)
{
    int               rc;
    store_pg_t       *pg;
    struct timespec   until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += wait_ms / 1000;
    until.tv_nsec += wait_ms % 1000 * 1000000;

    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }

    pthread_mutex_lock(&db->lock);

    rc = 0;
    while (db->nfree == 0 && rc == 0) {
        rc = pthread_cond_timedwait(&db->freed, &db->lock, &until);
    }

    pg = db->nfree > 0 ? db->free[--db->nfree] : NULL;
    pthread_mutex_unlock(&db->lock);

    if (pg != NULL && api_db_open(pg) != STORE_OK) {
        api_db_release(db, pg);
        return NULL;
    }

    return pg;
}


void
api_db_release(api_db_t *db, store_pg_t *pg)
{
    pthread_mutex_lock(&db->lock);
    db->free[db->nfree++] = pg;
    pthread_cond_signal(&db->freed);
    pthread_mutex_unlock(&db->lock);
}


int
api_db_get(api_req_t *req)
{
    req->pg = api_db_acquire(req->api->db, API_WAIT_MS);

    if (req->pg == NULL) {
        api_reply_error(req, CHAT_E_UNAVAILABLE, "Try again.");
        return -1;
    }

    req->reader = ((api_db_conn_t *) req->pg)->reader;

    return 0;
}


void
api_db_put(api_req_t *req)
{
    if (req->pg != NULL) {
        api_db_release(req->api->db, req->pg);
        req->pg = NULL;
        req->reader = NULL;
    }
}


static store_e
api_db_open(store_pg_t *pg)
{
    store_e         rc;
    api_db_conn_t  *conn;

    conn = (api_db_conn_t *) pg;

    /* Detect a dead connection here, before a request uses it. */
    store_pg_drop_stale(pg);

    rc = store_pg_connect(pg);

    return rc == STORE_OK ? store_reader_connect(conn->reader) : rc;
}
