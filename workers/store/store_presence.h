/*
 * store_presence.h: who may see a user's presence, and the time last seen.
 *
 * Called from the presence worker. Whether two users share a chat is read from
 * the chat store that `chat_store` names, the rest is read from and written to
 * the accounts.
 */

#ifndef STORE_PRESENCE_H
#define STORE_PRESENCE_H

#include <stddef.h>
#include <stdint.h>

#include "store_result.h"
#include "worker.h"

typedef struct store_presence_s  store_presence_t;

typedef struct {
    uint64_t  asker;
    uint64_t  user;
} store_pair_t;

/* A user as others may see them: `online` is 0 when the user is invisible,
 * last_seen in ms, or 0 when it is hidden. No call for a user that does not
 * exist or is erased. */
typedef void (*store_presence_pt)(void *ctx, uint64_t user, int online,
    int64_t last_seen);

/* New, not yet connected; conf and name are borrowed for its life. */
store_presence_t *store_presence_open(const worker_conf_t *conf,
    const char *name);
void store_presence_free(store_presence_t **s);

/* Connects when not connected. STORE_OK or STORE_UNAVAILABLE. */
store_e store_presence_connect(store_presence_t *s);

/* shared_r[i] is 1 when both of pairs[i] are members of one chat now, else
 * 0. */
store_e store_presence_shared(store_presence_t *s, const store_pair_t *pairs,
    size_t n, uint8_t *shared_r);

store_e store_presence_users(store_presence_t *s, const uint64_t *users,
    size_t n, store_presence_pt each, void *ctx);

/* Stores that users[i] was last seen at seen[i] (ms). The time never moves
 * back; for an invisible user nothing is stored. */
store_e store_presence_left(store_presence_t *s, const uint64_t *users,
    const int64_t *seen, size_t n);

#endif
