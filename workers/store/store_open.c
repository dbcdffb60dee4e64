/*
 * store_open.c: the chat store that the configuration names.
 *
 * Called from the message, API, sync and presence workers; hands to the
 * constructors of the implementations. One row per value of `chat_store`,
 * which worker_conf.c checks: a new implementation adds a row here, a word
 * there, and passes tests/store/.
 */

#include <string.h>

#include "store_chat_ops.h"
#include "store_read_ops.h"
#include "worker.h"

typedef struct {
    const char      *name;
    store_chat_t   *(*chat)(const worker_conf_t *conf, const char *name);
    store_reader_t *(*reader)(const worker_conf_t *conf,
                              store_pg_t *accounts);
} store_kind_t;

static const store_kind_t  store_kinds[] = {
    { "postgresql", store_chat_pg_open, store_read_pg_open },
};

static const store_kind_t *store_kind(const worker_conf_t *conf);


store_chat_t *
store_chat_open(const worker_conf_t *conf, const char *name)
{
    return store_kind(conf)->chat(conf, name);
}


store_reader_t *
store_reader_open(const worker_conf_t *conf, store_pg_t *accounts)
{
    return store_kind(conf)->reader(conf, accounts);
}


static const store_kind_t *
store_kind(const worker_conf_t *conf)
{
    size_t  i;

    for (i = 0; i < sizeof(store_kinds) / sizeof(store_kinds[0]); i++) {
        if (strcmp(store_kinds[i].name, conf->chat_store) == 0) {
            return &store_kinds[i];
        }
    }

    worker_die("chat_store \"%s\" is not built in", conf->chat_store);
}
