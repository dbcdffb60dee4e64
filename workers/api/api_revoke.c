/*
 * api_revoke.c: publishes the revocation of devices.
 *
 * Called after the revocation is committed in PostgreSQL; hands to
 * fanout_account.c. From then on the edges refuse the device's tokens and close
 * its sessions. When Redis is unavailable, api_upkeep.c publishes the whole
 * list once it is back; until then the API refuses the device, because it
 * checks PostgreSQL.
 */

#include <stdlib.h>

#include "api.h"

/* s added to a token's life: tolerance for clocks of edges that run late */
#define API_REVOKE_SLACK  60

static fanout_revoked_t *api_revoke_list(const store_revoked_t *list,
    size_t n);


void
api_revoke_notify(api_t *api, const store_revoked_t *list, size_t n)
{
    size_t             i;
    fanout_revoked_t  *records;

    for (i = 0; i < n; i++) {
        api_identity_evict(api, list[i].device);

        worker_log(WORKER_INFO, "revoked user=%llu device=%llu",
                   (unsigned long long) list[i].user,
                   (unsigned long long) list[i].device);
    }

    records = api_revoke_list(list, n);

    if (fanout_account_revoke(&api->redis, records, n, 0) != 0) {
        atomic_store(&api->republish, 1);
    }

    free(records);
}


/* Idempotent: edges ignore a device they know as revoked. */

int
api_revoke_refill(api_t *api, store_pg_t *pg)
{
    int                rc;
    size_t             n;
    store_revoked_t   *list;
    fanout_revoked_t  *records;

    if (store_device_revoked(pg, CHAT_TOKEN_LIFE + API_REVOKE_SLACK, &list, &n)
        != STORE_OK)
    {
        return -1;
    }

    records = api_revoke_list(list, n);
    rc = fanout_account_revoke(&api->redis, records, n, 1);

    if (rc == 0) {
        worker_log(WORKER_INFO, "revoked devices published again n=%zu", n);
    }

    free(records);
    free(list);

    return rc;
}


static fanout_revoked_t *
api_revoke_list(const store_revoked_t *list, size_t n)
{
    size_t             i;
    fanout_revoked_t  *records;

    records = worker_calloc(n + 1, sizeof(*records));

    for (i = 0; i < n; i++) {
        records[i].user = list[i].user;
        records[i].device = list[i].device;
        records[i].until = list[i].at + CHAT_TOKEN_LIFE + API_REVOKE_SLACK;
    }

    return records;
}
