/*
 * alloc_test.c: every allocation in common/ fails once.
 *
 * Linked with --wrap for malloc and its kin (see the Makefile), which catches
 * our own calls; jansson is a shared library and gets ours by
 * json_set_alloc_funcs(). Each scenario is repeated with its first,
 * second, ... allocation failing, until it succeeds.
 */

#include <stdio.h>

#include <jansson.h>

#include "chat_batch.h"
#include "chat_entry.h"
#include "chat_frame.h"
#include "chat_json.h"
#include "chat_test.h"
#include "chat_token.h"

#define NEVER  SIZE_MAX

static size_t  fail_at = NEVER;     /* which allocation fails, from 0 */
static size_t  count;               /* allocations so far */
static size_t  live;                /* jansson's, not yet freed */

void *__real_malloc(size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_realloc(void *p, size_t size);
int __wrap_asprintf(char **dst, const char *fmt, ...);


static int
fails(void)
{
    return count++ == fail_at;
}


void *
__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}


void *
__wrap_realloc(void *p, size_t size)
{
    return fails() ? NULL : __real_realloc(p, size);
}


/* asprintf() after a failed malloc(): -1, and *dst is undefined. */

int
__wrap_asprintf(char **dst, const char *fmt, ...)
{
    int      n;
    va_list  args;

    if (fails()) {
        *dst = (char *) 1;
        return -1;
    }

    va_start(args, fmt);
    n = vasprintf(dst, fmt, args);
    va_end(args);

    return n;
}


static void *
json_alloc(size_t size)
{
    void  *p;

    p = fails() ? NULL : __real_malloc(size);
    live += (p != NULL);

    return p;
}


static void
json_release(void *p)
{
    live -= (p != NULL);
    free(p);
}


/* Runs a scenario with each of its allocations failing; a scenario returns 0
 * when it has succeeded and -1 when it has failed properly. */

static void
run(int (*scenario)(void), int may_succeed)
{
    int     rc;
    size_t  n;

    json_set_alloc_funcs(json_alloc, json_release);

    for (n = 0; /* void */ ; n++) {

        assert_true(n < 10000);

        fail_at = n;
        count = 0;
        live = 0;
        rc = scenario();
        fail_at = NEVER;

        assert_int_equal(live, 0);

        if (count <= n) {
            break;
        }

        assert_true(rc == -1 || may_succeed);
    }

    assert_int_equal(rc, 0);
    assert_true(n > 0);

    json_set_alloc_funcs(malloc, free);
}


static int
scenario_buf(void)
{
    int         i, rc;
    chat_buf_t  buf = CHAT_BUF_INIT;

    rc = 0;

    for (i = 0; i < 1000; i++) {
        if (chat_buf_add(&buf, "0123456789", 10) != 0) {
            rc = -1;
        }
    }

    assert_int_equal(buf.failed, rc != 0);

    if (rc == 0) {
        assert_int_equal(buf.len, 10000);
    }

    chat_buf_free(&buf);

    return rc;
}


static int
scenario_entry(void)
{
    int           rc;
    char          content[3000];
    chat_buf_t    buf = CHAT_BUF_INIT;
    chat_entry_t  e;

    memset(&e, 0, sizeof(e));
    memset(content, '\n', sizeof(content));

    e.kind = CHAT_KIND_MESSAGE;
    e.message_id = str("m");
    e.content.data = content;
    e.content.len = sizeof(content);

    rc = chat_entry_json(&buf, &e, 1);
    chat_buf_free(&buf);

    return rc;
}


static int
scenario_problem(void)
{
    int         rc;
    char        detail[3000];
    chat_buf_t  buf = CHAT_BUF_INIT;

    memset(detail, 'd', sizeof(detail));
    detail[sizeof(detail) - 1] = '\0';

    rc = chat_json_problem(&buf, CHAT_E_UNAVAILABLE, detail, 3);
    chat_buf_free(&buf);

    return rc;
}


static int
scenario_batch(void)
{
    int               i, rc;
    size_t            page, mark;
    chat_rec_t        rec;
    chat_buf_t        buf = CHAT_BUF_INIT;
    chat_list_item_t  item;

    memset(&rec, 0, sizeof(rec));
    memset(&item, 0, sizeof(item));

    rec.frame = str("{\"type\":\"x\"}");

    (void) chat_batch_begin(&buf);

    rec.type = CHAT_REC_SYNC_PAGE;
    (void) chat_batch_rec(&buf, &rec, &page);
    rec.type = CHAT_REC_ENTRY;

    for (i = 0; i < 50; i++) {
        (void) chat_batch_rec(&buf, &rec, &mark);
        (void) chat_batch_target(&buf, 1, 0);
        (void) chat_batch_end(&buf, mark);
    }

    (void) chat_batch_end(&buf, page);

    rec.type = CHAT_REC_SYNC_LIST;
    (void) chat_batch_rec(&buf, &rec, &mark);

    for (i = 0; i < 50; i++) {
        (void) chat_batch_item(&buf, &item);
    }

    rc = chat_batch_end(&buf, mark);
    assert_int_equal(buf.failed, rc != 0);
    chat_buf_free(&buf);

    return rc;
}


static int
parse(const char *text, chat_error_e expected)
{
    int           rc;
    chat_frame_t  frame;

    rc = chat_frame_parse(text, strlen(text), &frame) == expected ? 0 : -1;

    if (rc != 0) {
        assert_int_not_equal(frame.error, CHAT_OK);
        assert_true(frame.why[0] != '\0');
    }

    chat_frame_free(&frame);

    return rc;
}


static int
scenario_frame(void)
{
    return parse("{\"type\":\"send_message\",\"chatId\":"
                 "\"00112233-4455-7677-8899-aabbccddeeff\","
                 "\"messageId\":\"m\",\"content\":\"hello \\u00e9\","
                 "\"replyTo\":7,\"x\":[1,2.5,{\"y\":null}]}", CHAT_OK);
}


static int
scenario_presence(void)
{
    return parse("{\"type\":\"presence_subscribe\",\"userIds\":"
                 "[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\"]}",
                 CHAT_OK);
}


/* The text is repaired and parsed a second time. When the first parse fails for
 * lack of memory, the second may still succeed, so this scenario may succeed
 * with a failed allocation. */

static int
scenario_mended_frame(void)
{
    return parse("{\"type\":\"send_message\",\"chatId\":"
                 "\"00112233-4455-7677-8899-aabbccddeeff\","
                 "\"messageId\":\"m\",\"content\":\"\\ud800\","
                 "\"replyTo\":99999999999999999999}", CHAT_E_BAD_FIELD);
}


static int
scenario_json(void)
{
    char          why[128];
    json_t       *root;
    chat_error_e  error;

    static const char  text[] = "{\"memberIds\":[\"1\",\"2\"],\"title\":\"t\"}";

    why[0] = '\0';
    root = chat_json_load(text, sizeof(text) - 1, &error, why);
    assert_int_equal(root == NULL, error != CHAT_OK);
    json_decref(root);

    return error == CHAT_OK ? 0 : -1;
}


#define JWK  "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"k\","           \
             "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\","        \
             "\"d\":\"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A\"}"

static int
scenario_keys(void)
{
    int                rc;
    char               err[100];
    chat_token_keys_t  keys;

    err[0] = '\0';
    rc = chat_token_keys_load(JWK, sizeof(JWK) - 1, &keys, err, sizeof(err));
    assert_int_equal(rc != 0, err[0] != '\0');
    assert_int_equal(keys.n, rc == 0 ? 1 : 0);

    return rc;
}


static chat_token_keys_t  token_keys;
static char               token_text[CHAT_TOKEN_MAX + 1];

static int
scenario_token(void)
{
    chat_token_t  got;

    return chat_token_verify(&token_keys, token_text, strlen(token_text), 100,
                             &got) == CHAT_TOKEN_OK ? 0 : -1;
}


static int
scenario_generate(void)
{
    int    rc;
    char  *jwk, *jwks;

    rc = chat_token_key_generate(&jwk, &jwks);
    assert_int_equal(jwk == NULL, rc != 0);
    assert_int_equal(jwks == NULL, rc != 0);
    free(jwk);
    free(jwks);

    return rc;
}


static void
buffer_survives_every_failure(void **state)
{
    run(scenario_buf, 0);
}


static void
entry_survives_every_failure(void **state)
{
    run(scenario_entry, 0);
}


static void
problem_survives_every_failure(void **state)
{
    run(scenario_problem, 0);
}


static void
batch_survives_every_failure(void **state)
{
    run(scenario_batch, 0);
}


static void
frame_survives_every_failure(void **state)
{
    run(scenario_frame, 0);
    run(scenario_presence, 0);
    run(scenario_mended_frame, 1);
}


static void
json_survives_every_failure(void **state)
{
    run(scenario_json, 0);
}


static void
keys_survive_every_failure(void **state)
{
    run(scenario_keys, 0);
    run(scenario_generate, 0);
}


static void
token_is_refused_at_every_failure(void **state)
{
    char          err[100];
    chat_token_t  t = { 1, 2, 50, 200 };

    assert_int_equal(chat_token_keys_load(JWK, sizeof(JWK) - 1, &token_keys,
                                          err, sizeof(err)), 0);
    assert_true(chat_token_sign(&token_keys.keys[0], &t, token_text) > 0);

    run(scenario_token, 0);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(buffer_survives_every_failure),
        cmocka_unit_test(entry_survives_every_failure),
        cmocka_unit_test(problem_survives_every_failure),
        cmocka_unit_test(batch_survives_every_failure),
        cmocka_unit_test(frame_survives_every_failure),
        cmocka_unit_test(json_survives_every_failure),
        cmocka_unit_test(keys_survive_every_failure),
        cmocka_unit_test(token_is_refused_at_every_failure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
