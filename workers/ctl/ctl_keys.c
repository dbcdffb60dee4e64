/*
 * ctl_keys.c: chatctl keys: the key that signs tokens, and the key from which
 * the ids of direct chats are derived.
 *
 * Called from ctl_main.c; hands to chat_token.c and ctl_file.c. A key is never
 * overwritten: a lost signing key only logs everybody out, but with another
 * chat_id.key no two users would find their existing direct chat.
 */

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>
#include <sodium.h>

#include "chat_id.h"
#include "chat_token.h"
#include "ctl.h"

#define CTL_KEY_MAX  65536

typedef struct {
    char  jwk[4096];                /* token.jwk: private, signs            */
    char  jwks[4096];               /* jwks.json: public, all that verify   */
    char  chat_id[4096];            /* chat_id.key                          */
} ctl_keys_t;

static int ctl_keys(const worker_conf_t *conf, int argc, char **argv);
static int ctl_keys_paths(const char *dir, ctl_keys_t *keys);
static int ctl_keys_chat_id(const ctl_keys_t *keys);
static int ctl_keys_sign(const ctl_keys_t *keys);
static int ctl_keys_rotate(const ctl_keys_t *keys);
static int ctl_keys_join(const ctl_keys_t *keys, const char *added,
    char **text_r);
static int ctl_keys_write(const char *path, const char *text, int mode,
    int replace);
static int ctl_keys_there(const char *path);

const ctl_command_t  ctl_command_keys = {
    "keys", "generate [--dir DIR] [--rotate]",
    "Creates those of the following files that DIR (default: keys_dir) does\n"
    "not contain yet.\n"
    "  token.jwk    the private key that signs access tokens, mode 0600\n"
    "  jwks.json    the public keys that verify them\n"
    "  chat_id.key  the key for the ids of direct chats, mode 0600; keep a\n"
    "               backup, it must never change\n"
    "Existing files are never overwritten. When run as root, the files get\n"
    "the owner of DIR.\n"
    "\n"
    "  --rotate     a new signing key; the old public keys stay in jwks.json,\n"
    "               so that tokens in use stay valid. Reload nginx at once,\n"
    "               then the workers.\n",
    ctl_keys
};


static int
ctl_keys(const worker_conf_t *conf, int argc, char **argv)
{
    int          c, rotate;
    ctl_keys_t   keys;
    const char  *dir;

    static const struct option  options[] = {
        { "dir",    required_argument, NULL, 'd' },
        { "rotate", no_argument,       NULL, 'r' },
        { NULL,     0,                 NULL, 0 }
    };

    dir = conf->keys_dir;
    rotate = 0;

    while ((c = getopt_long(argc, argv, "d:r", options, NULL)) != -1) {
        switch (c) {

        case 'd':
            dir = optarg;
            break;

        case 'r':
            rotate = 1;
            break;

        default:
            return -1;
        }
    }

    if (optind != argc - 1 || strcmp(argv[optind], "generate") != 0) {
        return -1;
    }

    if (mkdir(dir, 0755) != 0 && errno != EEXIST) {
        return ctl_fail("%s: %s", dir, strerror(errno));
    }

    if (ctl_keys_paths(dir, &keys) != 0) {
        return ctl_fail("%s: the name is too long", dir);
    }

    if (rotate) {
        return ctl_keys_rotate(&keys);
    }

    return ctl_keys_chat_id(&keys) || ctl_keys_sign(&keys);
}


static int
ctl_keys_paths(const char *dir, ctl_keys_t *keys)
{
    int  n;

    n = (int) sizeof(keys->jwk);

    return snprintf(keys->jwk, sizeof(keys->jwk), "%s/token.jwk", dir) >= n
           || snprintf(keys->jwks, sizeof(keys->jwks), "%s/jwks.json", dir)
              >= n
           || snprintf(keys->chat_id, sizeof(keys->chat_id), "%s/chat_id.key",
                       dir) >= n;
}


static int
ctl_keys_chat_id(const ctl_keys_t *keys)
{
    int      rc;
    char     text[CHAT_ID_KEY * 2 + 2];
    uint8_t  key[CHAT_ID_KEY];

    if (ctl_keys_there(keys->chat_id)) {
        return 0;
    }

    randombytes_buf(key, sizeof(key));
    sodium_bin2hex(text, sizeof(text), key, sizeof(key));
    text[CHAT_ID_KEY * 2] = '\n';
    text[CHAT_ID_KEY * 2 + 1] = '\0';

    rc = ctl_keys_write(keys->chat_id, text, 0600, 0);

    sodium_memzero(key, sizeof(key));
    sodium_memzero(text, sizeof(text));

    return rc;
}


static int
ctl_keys_sign(const ctl_keys_t *keys)
{
    int    rc, jwk_there, jwks_there;
    char  *jwk, *jwks;

    jwk_there = ctl_keys_there(keys->jwk);
    jwks_there = ctl_keys_there(keys->jwks);

    if (jwk_there && jwks_there) {
        return 0;
    }

    if (jwk_there || jwks_there) {
        return ctl_fail("%s is missing beside %s: restore it, or use --rotate",
                        jwk_there ? keys->jwks : keys->jwk,
                        jwk_there ? keys->jwk : keys->jwks);
    }

    if (chat_token_key_generate(&jwk, &jwks) != 0) {
        return ctl_fail("no key could be generated");
    }

    /* the public key first: a token must never be signed with a key that no
     * edge can verify */
    rc = ctl_keys_write(keys->jwks, jwks, 0644, 0)
         || ctl_keys_write(keys->jwk, jwk, 0600, 0);

    sodium_memzero(jwk, strlen(jwk));
    free(jwk);
    free(jwks);

    return rc;
}


static int
ctl_keys_rotate(const ctl_keys_t *keys)
{
    int    rc;
    char  *jwk, *jwks, *joined;

    if (chat_token_key_generate(&jwk, &jwks) != 0) {
        return ctl_fail("no key could be generated");
    }

    joined = NULL;

    rc = ctl_keys_join(keys, jwks, &joined)
         || ctl_keys_write(keys->jwks, joined, 0644, 1)
         || ctl_keys_write(keys->jwk, jwk, 0600, 1);

    if (rc == 0) {
        printf("now reload nginx, then the workers\n");
    }

    sodium_memzero(jwk, strlen(jwk));
    free(jwk);
    free(jwks);
    free(joined);

    return rc;
}


/* Puts the new public key in front of the existing ones; at most as many keys
 * as an edge reads. */

static int
ctl_keys_join(const ctl_keys_t *keys, const char *added, char **text_r)
{
    char          *old;
    size_t         i, len;
    json_t        *set, *set_keys, *old_set, *old_keys, *key;
    json_error_t   error;

    old = ctl_file_read(keys->jwks, CTL_KEY_MAX, &len);
    if (old == NULL && errno != ENOENT) {
        return ctl_fail("%s: %s", keys->jwks, strerror(errno));
    }

    set = json_loads(added, 0, &error);
    set_keys = json_object_get(set, "keys");

    if (!json_is_array(set_keys)) {
        worker_die("a generated key is not a JWKS");
    }

    old_set = NULL;

    if (old != NULL) {
        old_set = json_loadb(old, len, JSON_REJECT_DUPLICATES, &error);
        old_keys = json_object_get(old_set, "keys");
        free(old);

        if (!json_is_array(old_keys)) {
            json_decref(old_set);
            json_decref(set);
            return ctl_fail("%s is not a JWKS", keys->jwks);
        }

        json_array_foreach(old_keys, i, key) {
            if (json_array_size(set_keys) < CHAT_TOKEN_KEYS_MAX) {
                json_array_append(set_keys, key);
            }
        }
    }

    *text_r = json_dumps(set, JSON_INDENT(2));

    json_decref(old_set);
    json_decref(set);

    if (*text_r == NULL) {
        worker_die("out of memory");
    }

    return 0;
}


static int
ctl_keys_write(const char *path, const char *text, int mode, int replace)
{
    if (ctl_file_write(path, text, strlen(text), mode, replace) != 0) {

        /* another chatctl was faster: its key is as good as this one */
        if (errno == EEXIST) {
            return ctl_fail("%s was created by another process just now", path);
        }

        return ctl_fail("%s: %s", path, strerror(errno));
    }

    printf("created %s\n", path);

    return 0;
}


static int
ctl_keys_there(const char *path)
{
    return access(path, F_OK) == 0;
}
