/*
 * store_account.h: users, devices, tokens and codes.
 *
 * Called from the API worker and chatctl; always PostgreSQL, whatever
 * `chat_store` is. No statement here reads a table of the chats: a login that
 * must set a new device's receipt cursors calls store_read.h. Functions do not
 * open transactions: a caller that needs several calls in one transaction uses
 * store_account_begin() and _commit().
 *
 * Strings in results belong to the result's `res` and are freed by its _free().
 */

#ifndef STORE_ACCOUNT_H
#define STORE_ACCOUNT_H

#include <stdint.h>

#include "chat_event.h"
#include "store_pg.h"

#define STORE_PIN_MAX      129      /* of an argon2id string, terminated     */
#define STORE_REPLAY_LIFE  60       /* s in which a replaced token may fetch
                                       its successor once more              */
#define STORE_DEVICES_MAX  64       /* read of one user; ten is the rule     */

store_e store_account_begin(store_pg_t *pg);
store_e store_account_commit(store_pg_t *pg);
/* Also when the connection is gone; keeps no result. */
void store_account_rollback(store_pg_t *pg);

/* SELECT 1 */
store_e store_account_ping(store_pg_t *pg);

/* ---------------------------------------------- codes (store_account_login) */

typedef struct {
    uint8_t  hash[32];
    int      attempts;          /* wrong ones so far                         */
    int      expired;
} store_code_t;

/* Replaces an earlier code of the number. `life` in seconds. */
store_e store_code_put(store_pg_t *pg, const char *number,
    const uint8_t hash[32], int life);
/* Deletes the code if it is still this one. */
store_e store_code_drop(store_pg_t *pg, const char *number,
    const uint8_t hash[32]);
/* Deletes a code that has been used. */
store_e store_code_use(store_pg_t *pg, const char *number);
/* STORE_NOT_FOUND, or the row, locked until the transaction ends. */
store_e store_code_lock(store_pg_t *pg, const char *number,
    store_code_t *code_r);
store_e store_code_wrong(store_pg_t *pg, const char *number);

/* --------------------------------------------------------- users, by number */

typedef struct {
    uint64_t  id;
    int       suspended;
    char      pin_hash[STORE_PIN_MAX];      /* "" without PIN               */
} store_login_t;

/* STORE_NOT_FOUND, or the row, locked: one login at a time counts devices. */
store_e store_login_user(store_pg_t *pg, const char *number,
    store_login_t *user_r);
store_e store_login_create(store_pg_t *pg, const char *number,
    uint64_t *user_r);

/* ------------------------------------------------------------------ devices */

typedef struct {
    uint64_t     id;
    chat_str_t   name;
    chat_str_t   platform;
    int64_t      created;       /* ms since 1970                             */
    int64_t      last_seen;     /* ms since 1970, 0 when never               */
} store_device_t;

typedef struct {
    size_t           n;
    store_device_t   items[STORE_DEVICES_MAX];      /* oldest first          */
    PGresult        *res;
} store_devices_t;

store_e store_device_list(store_pg_t *pg, uint64_t user,
    store_devices_t *list_r);
void store_devices_free(store_devices_t *list);
store_e store_device_create(store_pg_t *pg, uint64_t user, const char *name,
    const char *platform, uint64_t *device_r);
/* STORE_NOT_FOUND when it is not the user's, or was revoked before. Its tokens
 * are invalid from then on; their hashes are deleted some time later. */
store_e store_device_revoke(store_pg_t *pg, uint64_t user, uint64_t device);
store_e store_device_seen(store_pg_t *pg, uint64_t device);

typedef struct {
    int  revoked;
    int  suspended;
    int  erased;
} store_standing_t;

/* STORE_NOT_FOUND when the user has no such device. */
store_e store_device_standing(store_pg_t *pg, uint64_t user, uint64_t device,
    store_standing_t *standing_r);

typedef struct {
    uint64_t  user;
    uint64_t  device;
    int64_t   at;               /* s since 1970, rounded up                  */
} store_revoked_t;

/* Devices revoked in the last `seconds`, into a new array (free()). */
store_e store_device_revoked(store_pg_t *pg, int seconds,
    store_revoked_t **list_r, size_t *n_r);

/* ----------------------------------------------------------- refresh tokens */

typedef struct {
    uint64_t  user;
    uint64_t  device;
    int       revoked;
    int       suspended;
    int       replaced;
    int       recent;           /* replaced within STORE_REPLAY_LIFE         */
    uint8_t   replaced_by[32];  /* when replaced                             */
    uint8_t   sealed[2048];
    size_t    nsealed;          /* 0: there is none (any more)               */
} store_token_t;

store_e store_token_put(store_pg_t *pg, const uint8_t hash[32],
    uint64_t device);
/* STORE_NOT_FOUND, or the row, locked until the transaction ends. */
store_e store_token_lock(store_pg_t *pg, const uint8_t hash[32],
    store_token_t *token_r);
store_e store_token_replace(store_pg_t *pg, const uint8_t hash[32],
    const uint8_t by[32], const uint8_t *sealed, size_t nsealed);
/* Whether the token has replaced itself or is gone. */
store_e store_token_is_used(store_pg_t *pg, const uint8_t hash[32],
    int *used_r);

/* -------------------------------------------- profiles (store_account_user) */

typedef struct {
    uint64_t     id;
    chat_str_t   number;
    chat_str_t   name;
    chat_str_t   about;
    chat_str_t   picture;
    chat_str_t   status;
    chat_str_t   last_seen_privacy;     /* absent: everyone                 */
    chat_str_t   pin_hash;
    int64_t      created;
    int64_t      last_seen;
    PGresult    *res;
} store_profile_t;

/* STORE_NOT_FOUND for a user who does not exist or is erased. */
store_e store_profile_get(store_pg_t *pg, uint64_t user,
    store_profile_t *profile_r);
void store_profile_free(store_profile_t *profile);

typedef struct {
    int          set_name, set_about, set_picture;
    const char  *name, *about, *picture;    /* NULL removes it              */
} store_profile_change_t;

store_e store_profile_change(store_pg_t *pg, uint64_t user,
    const store_profile_change_t *change);
store_e store_profile_status(store_pg_t *pg, uint64_t user,
    const char *status);
store_e store_profile_privacy(store_pg_t *pg, uint64_t user,
    const char *last_seen);
/* NULL removes the PIN. STORE_NOT_FOUND unless the stored hash is still
 * `before` (NULL: none), so that of two concurrent changes only one wins. */
store_e store_profile_pin(store_pg_t *pg, uint64_t user, const char *before,
    const char *hash);

/* In the caller's transaction: removes all personal data and revokes every
 * device (into a new array). Entries of the user stay in the chats. */
store_e store_account_erase(store_pg_t *pg, uint64_t user,
    store_revoked_t **list_r, size_t *n_r);

/* ------------------------------------------------------------------- upkeep */

/* Deletes what has expired: codes, sealed token pairs, answers to idempotent
 * requests, old tokens. Bounded work per call. */
store_e store_account_trim(store_pg_t *pg);

#endif
