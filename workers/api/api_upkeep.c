/*
 * api_upkeep.c: periodic work of the API worker.
 *
 * Started by api_server.c as a thread; hands to api_revoke.c and
 * store_account.h. Edges are not ready before they see the marker of the
 * revoked set, so an emptied Redis is detected and filled within a second.
 * Every failure is retried a second later; a delay loses nothing.
 */

#include <time.h>

#include "api.h"

#define API_UPKEEP_MS    1000
#define API_UPKEEP_TRIM  60         /* loop iterations between trims */

static void api_upkeep_revoked(api_t *api);
static void api_upkeep_trim(api_t *api);


void *
api_upkeep(void *arg)
{
    int     turn;
    api_t  *api;

    api = arg;

    /* A previous process may have died between the commit and Redis. */
    atomic_store(&api->republish, 1);

    for (turn = 0; !worker_stopping; turn++) {
        api_upkeep_revoked(api);

        if (turn % API_UPKEEP_TRIM == 0) {
            api_upkeep_trim(api);
        }

        worker_sleep(API_UPKEEP_MS);
    }

    return NULL;
}


static void
api_upkeep_revoked(api_t *api)
{
    int          marked;
    store_pg_t  *pg;

    if (fanout_account_marked(&api->redis, &marked) != 0) {
        return;
    }

    if (marked && !atomic_load(&api->republish)) {
        return;
    }

    pg = api_db_acquire(api->db, API_WAIT_MS);
    if (pg == NULL) {
        return;
    }

    /* cleared before the list is read: a revocation that fails to reach Redis
     * from now on sets it again */
    atomic_store(&api->republish, 0);

    if (api_revoke_refill(api, pg) != 0) {
        atomic_store(&api->republish, 1);
    }

    api_db_release(api->db, pg);
}


static void
api_upkeep_trim(api_t *api)
{
    store_pg_t  *pg;

    (void) fanout_account_trim(&api->redis, (int64_t) time(NULL));

    pg = api_db_acquire(api->db, API_WAIT_MS);
    if (pg == NULL) {
        return;
    }

    if (store_account_trim(pg) != STORE_OK) {
        worker_log(WORKER_WARN, "upkeep of the accounts failed, retry in a "
                   "minute");
    }

    api_db_release(api->db, pg);
}
