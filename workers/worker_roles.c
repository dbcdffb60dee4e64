/*
 * worker_roles.c: the roles of this program.
 *
 * Called from worker_main.c and worker_pool.c. A new role consists of
 *
 *   workers/<role>/      a folder that defines worker_role_<role>;
 *   WORKER_ROLES         one row below;
 *   worker_conf_keys[]   one row PROCESSES(<role>, default) in worker_conf.c,
 *                        and the key n_<role> in conf/workers.conf.
 *
 * The Makefile finds the folder by pattern.
 */

#include <stddef.h>
#include <string.h>

#include "worker.h"

/* One row per role, in the order the pool starts them. */
#define WORKER_ROLES(ROLE)                                                    \
    ROLE(message)                                                             \
    ROLE(sync)                                                                \
    ROLE(api)                                                                 \
    ROLE(presence)

#define WORKER_ROLE_EXTERN(name)  extern const worker_role_t worker_role_##name;
#define WORKER_ROLE_ADDRESS(name)  &worker_role_##name,

WORKER_ROLES(WORKER_ROLE_EXTERN)

const worker_role_t *const  worker_roles[] = {
    WORKER_ROLES(WORKER_ROLE_ADDRESS)
    NULL
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
