/*
 * worker_roles.c: the roles there are.
 *
 * Called from worker_main.c and worker_pool.c. A new role is one row here, one
 * key n_<role> in worker_conf.c and one folder.
 */

#include <stddef.h>
#include <string.h>

#include "worker.h"

/* in the order the pool starts them */
const worker_role_t *const  worker_roles[] = {
    &worker_role_message,
    &worker_role_sync,
    &worker_role_api,
    &worker_role_presence,
    NULL
};

static const struct {
    const char  *name;
    size_t       offset;        /* of the count in worker_conf_t */
} worker_role_counts[] = {
    { "message",  offsetof(worker_conf_t, n_message) },
    { "api",      offsetof(worker_conf_t, n_api) },
    { "sync",     offsetof(worker_conf_t, n_sync) },
    { "push",     offsetof(worker_conf_t, n_push) },
    { "presence", offsetof(worker_conf_t, n_presence) },
};


const worker_role_t *
worker_role_find(const char *name)
{
    size_t  i;

    for (i = 0; worker_roles[i] != NULL; i++) {
        if (strcmp(worker_roles[i]->name, name) == 0) {
            return worker_roles[i];
        }
    }

    return NULL;
}


int
worker_role_count(const worker_role_t *role, const worker_conf_t *conf)
{
    size_t  i;

    for (i = 0; i < sizeof(worker_role_counts) / sizeof(worker_role_counts[0]);
         i++)
    {
        if (strcmp(worker_role_counts[i].name, role->name) == 0) {
            return *(const int *) ((const char *) conf
                                   + worker_role_counts[i].offset);
        }
    }

    return 0;
}


const char *
worker_role_missing(const worker_conf_t *conf)
{
    int     n;
    size_t  i;

    for (i = 0; i < sizeof(worker_role_counts) / sizeof(worker_role_counts[0]);
         i++)
    {
        n = *(const int *) ((const char *) conf
                            + worker_role_counts[i].offset);

        if (n > 0 && worker_role_find(worker_role_counts[i].name) == NULL) {
            return worker_role_counts[i].name;
        }
    }

    return NULL;
}
