/*
 * worker_conf_test.c: workers.conf: keys, defaults, mistakes.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "redis.h"
#include "worker.h"

#define CONF_FILE  "conf/workers.conf"

static char  conf_path[] = "/tmp/worker_conf_test.XXXXXX";


/* Writes the text to a file and loads it; what it says about mistakes is not
 * for the test's output. */

static int
load(const char *text, worker_conf_t *conf)
{
    int    rc, keep;
    FILE  *f;

    f = fopen(conf_path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    assert_int_equal(fclose(f), 0);

    fflush(stderr);
    keep = dup(STDERR_FILENO);
    assert_non_null(freopen("/dev/null", "w", stderr));

    rc = worker_conf_load(conf_path, conf);

    fflush(stderr);
    dup2(keep, STDERR_FILENO);
    close(keep);

    return rc;
}


static void
refused(const char *text)
{
    worker_conf_t  conf;

    if (load(text, &conf) == 0) {
        fail_msg("was taken: %s", text);
    }
}


static int
setup(void **state)
{
    int  fd;

    fd = mkstemp(conf_path);
    if (fd < 0) {
        return -1;
    }

    return close(fd);
}


static int
teardown(void **state)
{
    return unlink(conf_path);
}


static void
test_without_a_file_everything_is_at_its_default(void **state)
{
    worker_conf_t  conf;

    assert_int_equal(worker_conf_load(NULL, &conf), 0);
    assert_string_equal(conf.pg, "host=/run/postgresql dbname=chat");
    assert_string_equal(conf.run_dir, "/run/chat");
    assert_string_equal(conf.api_socket, "/run/chat/api.sock");
    assert_string_equal(conf.code_sender, "dev");
    assert_int_equal(conf.n_message, 2);
    assert_int_equal(conf.n_push, 0);
    assert_int_equal(conf.limits_forced, 0);
    worker_conf_free(&conf);
}


/* Every row of the table stands in conf/workers.conf, once, at its default,
 * perhaps behind a '#', with a comment above it; and nothing else does. */

static void
test_conf_file_holds_every_key_at_its_default(void **state)
{
    int          found, n;
    char         line[512], above[512], *p;
    FILE        *f;
    size_t       i;
    const char  *name, *value;

    for (i = 0; (name = worker_conf_key(i, &value)) != NULL; i++) {
        f = fopen(CONF_FILE, "r");
        assert_non_null(f);

        found = 0;
        above[0] = '\0';

        while (fgets(line, sizeof(line), f) != NULL) {
            line[strcspn(line, "\n")] = '\0';

            p = line[0] == '#' ? line + 1 : line;
            n = (int) strcspn(p, " ");

            if ((size_t) n == strlen(name) && strncmp(p, name, (size_t) n) == 0)
            {
                found++;
                assert_string_equal(p[n] ? p + n + 1 : "", value);

                if (strncmp(above, "# ", 2) != 0) {
                    fail_msg("%s has no comment", name);
                }
            }

            strcpy(above, line);
        }

        fclose(f);

        if (found != 1) {
            fail_msg("%s stands %d times in " CONF_FILE, name, found);
        }
    }
}


static void
test_conf_file_can_be_loaded_and_forces_no_limit(void **state)
{
    worker_conf_t  conf;

    assert_int_equal(worker_conf_load(CONF_FILE, &conf), 0);
    assert_int_equal(conf.limits_forced, 0);
    assert_string_equal(conf.api_socket, "/run/chat/api.sock");
    worker_conf_free(&conf);
}


static void
test_values_comments_and_space(void **state)
{
    worker_conf_t  conf;

    assert_int_equal(load("# a comment\n"
                          "\n"
                          "  pg \t host=h user=u password=a#b  # not c\r\n"
                          "redis redis://:p%20w@[::1]:7000/3\n"
                          "\tn_message 7\n"
                          "run_dir /srv/chat", &conf), 0);
    assert_string_equal(conf.pg, "host=h user=u password=a#b");
    assert_string_equal(conf.redis, "redis://:p%20w@[::1]:7000/3");
    assert_string_equal(conf.api_socket, "/srv/chat/api.sock");
    assert_int_equal(conf.n_message, 7);
    worker_conf_free(&conf);
}


static void
test_environment_wins_over_the_file(void **state)
{
    worker_conf_t  conf;

    setenv("CHAT_N_SYNC", "9", 1);
    setenv("CHAT_API_SOCKET", "/x/a.sock", 1);

    assert_int_equal(load("n_sync 3\nn_api 4\n", &conf), 0);
    assert_int_equal(conf.n_sync, 9);
    assert_int_equal(conf.n_api, 4);
    assert_string_equal(conf.api_socket, "/x/a.sock");
    worker_conf_free(&conf);

    setenv("CHAT_N_SYNC", "many", 1);
    refused("n_sync 3\n");

    unsetenv("CHAT_N_SYNC");
    unsetenv("CHAT_API_SOCKET");
}


static void
test_a_limit_that_is_set_is_forced(void **state)
{
    worker_conf_t  conf;

    assert_int_equal(load("code_limit_number 5\n", &conf), 0);
    assert_int_equal(conf.limits_forced, 1);
    worker_conf_free(&conf);

    setenv("CHAT_LOGIN_LIMIT_ADDRESS", "3", 1);
    assert_int_equal(load("", &conf), 0);
    assert_int_equal(conf.limits_forced, 1);
    assert_int_equal(conf.login_limit_address, 3);
    worker_conf_free(&conf);
    unsetenv("CHAT_LOGIN_LIMIT_ADDRESS");
}


static void
test_mistakes_are_refused(void **state)
{
    refused("no_such_key 1\n");
    refused("n_message 1\nn_message 1\n");
    refused("n_message -1\n");
    refused("n_message 65\n");
    refused("n_message 1x\n");
    refused("n_message\n");
    refused("n_message 99999999999999999999\n");
    refused("batch_max 0\n");
    refused("log_level loud\n");
    refused("log_level\n");
    refused("log_level info warn\n");
    refused("code_sender sms\n");
    refused("code_sender webhook\n");
    refused("code_sender webhook\ncode_webhook_url ftp://x\n");
    refused("redis localhost\n");
    refused("redis redis://\n");
    refused("redis redis://h:0\n");
    refused("redis redis://h:70000\n");
    refused("redis redis://user@h\n");
    refused("redis redis://:%zz@h\n");
    refused("redis redis://h/x\n");
    refused("redis unix://relative\n");
    refused("redis unix:///s?db=x\n");
}


static void
test_redis_addresses_that_can_be_read(void **state)
{
    assert_int_equal(redis_address_check("redis://h"), 0);
    assert_int_equal(redis_address_check("redis://h/"), 0);
    assert_int_equal(redis_address_check("redis://h:1/0"), 0);
    assert_int_equal(redis_address_check("redis://:p@w@h"), 0);
    assert_int_equal(redis_address_check("redis://u:p@h:6379/15"), 0);
    assert_int_equal(redis_address_check("redis://[::1]"), 0);
    assert_int_equal(redis_address_check("unix:///run/redis.sock"), 0);
    assert_int_equal(redis_address_check("unix:///run/redis.sock?db=2"), 0);
}


static void
test_a_missing_file_is_refused(void **state)
{
    int            keep;
    worker_conf_t  conf;

    fflush(stderr);
    keep = dup(STDERR_FILENO);
    assert_non_null(freopen("/dev/null", "w", stderr));
    assert_int_equal(worker_conf_load("/nonexistent/workers.conf", &conf), -1);
    fflush(stderr);
    dup2(keep, STDERR_FILENO);
    close(keep);
}


static void
test_backoff_stays_between_its_limits(void **state)
{
    int  n, i, wait, high;

    for (n = 0; n < 40; n++) {
        high = n < 7 ? 100 << n : 10000;

        for (i = 0; i < 200; i++) {
            wait = worker_backoff(n, 100, 10000);
            assert_in_range(wait, 50, high < 10000 ? high : 10000);
        }
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_without_a_file_everything_is_at_its_default),
        cmocka_unit_test(test_conf_file_holds_every_key_at_its_default),
        cmocka_unit_test(test_conf_file_can_be_loaded_and_forces_no_limit),
        cmocka_unit_test(test_values_comments_and_space),
        cmocka_unit_test(test_environment_wins_over_the_file),
        cmocka_unit_test(test_a_limit_that_is_set_is_forced),
        cmocka_unit_test(test_mistakes_are_refused),
        cmocka_unit_test(test_redis_addresses_that_can_be_read),
        cmocka_unit_test(test_a_missing_file_is_refused),
        cmocka_unit_test(test_backoff_stays_between_its_limits),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
