/*
 * api_pin.c: two-step PINs.
 *
 * Called from api_login.c and api_users.c; hands to libsodium. argon2id takes
 * 64 MiB and 50 ms of a core: at most API_PIN_AT_ONCE run, the others wait, so
 * that many logins make a queue and not an exhausted machine.
 */

#include <string.h>

#include <sodium.h>

#include "api.h"

#define API_PIN_AT_ONCE  2

_Static_assert(crypto_pwhash_STRBYTES <= STORE_PIN_MAX, "room for a hash");

static pthread_mutex_t  api_pin_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t   api_pin_done = PTHREAD_COND_INITIALIZER;
static int              api_pin_running;

static void api_pin_enter(void);
static void api_pin_leave(void);


int
api_pin_hash(const char *pin, char dst[STORE_PIN_MAX])
{
    int  rc;

    api_pin_enter();
    rc = crypto_pwhash_str(dst, pin, strlen(pin),
                           crypto_pwhash_OPSLIMIT_INTERACTIVE,
                           crypto_pwhash_MEMLIMIT_INTERACTIVE);
    api_pin_leave();

    return rc;
}


int
api_pin_verify(const char *hash, const char *pin)
{
    int  rc;

    api_pin_enter();
    rc = crypto_pwhash_str_verify(hash, pin, strlen(pin));
    api_pin_leave();

    return rc == 0;
}


int
api_pin_is_valid(const char *pin)
{
    size_t  len;

    len = strlen(pin);

    return len >= 6 && len <= 12 && strspn(pin, "0123456789") == len;
}


static void
api_pin_enter(void)
{
    pthread_mutex_lock(&api_pin_lock);

    while (api_pin_running == API_PIN_AT_ONCE) {
        pthread_cond_wait(&api_pin_done, &api_pin_lock);
    }

    api_pin_running++;
    pthread_mutex_unlock(&api_pin_lock);
}


static void
api_pin_leave(void)
{
    pthread_mutex_lock(&api_pin_lock);
    api_pin_running--;
    pthread_cond_signal(&api_pin_done);
    pthread_mutex_unlock(&api_pin_lock);
}
