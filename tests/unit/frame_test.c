/*
 * frame_test.c: chat_frame.c, chat_field.c, chat_load.c.
 *
 * The cases are folders of data: tests/frames/valid/<case>/{input,output} and
 * tests/frames/invalid/<case>/{input,error}. `output` is the frame's fields,
 * one a line; `error` the error code and the ids that the error names. Run
 * from the project's root. Larger cases are built here.
 */

#include <dirent.h>
#include <stdio.h>

#include "chat_frame.h"
#include "chat_id.h"
#include "chat_test.h"

#define CHAT     "00112233-4455-7677-8899-aabbccddeeff"
#define IN_CHAT  "\"chatId\":\"" CHAT "\""


static size_t
read_file(const char *dir, const char *name, const char *file, char *dst,
    size_t max)
{
    char    path[1024];
    FILE   *f;
    size_t  n;

    snprintf(path, sizeof(path), "tests/frames/%s/%s/%s", dir, name, file);

    f = fopen(path, "rb");

    if (f == NULL) {
        print_error("%s is missing\n", path);
        assert_non_null(f);
    }

    n = fread(dst, 1, max, f);
    assert_true(n < max);
    fclose(f);

    return n;
}


static void
add_str(char *dst, const char *key, const chat_str_t *s)
{
    if (s->data != NULL) {
        sprintf(dst + strlen(dst), "%s %.*s\n", key, (int) s->len, s->data);
    }
}


static void
add_num(char *dst, const char *key, uint64_t n)
{
    if (n != 0) {
        sprintf(dst + strlen(dst), "%s %llu\n", key, (unsigned long long) n);
    }
}


static void
add_chat(char *dst, const chat_frame_t *frame)
{
    char  text[CHAT_ID_TEXT];

    if (frame->has_chat) {
        chat_id_print(frame->chat, text);
        sprintf(dst + strlen(dst), "chatId %.36s\n", text);
    }
}


static void
describe(char *dst, const chat_frame_t *frame)
{
    size_t   i;
    json_t  *id;

    static const char  *words[] = {
        "",
#define X(name, word)  word,
        CHAT_CLIENT_FRAMES(X)
#undef X
    };

    sprintf(dst, "%s\n", words[frame->type]);
    add_chat(dst, frame);
    add_str(dst, "messageId", &frame->message_id);
    add_num(dst, "seq", frame->seq);
    add_str(dst, "content", &frame->content);
    add_str(dst, "contentType", &frame->content_type);
    add_str(dst, "mediaId", &frame->media_id);
    add_num(dst, "replyTo", frame->reply_to);
    add_num(dst, "expiresIn", frame->expires_in);
    add_num(dst, "active", frame->active);

    json_array_foreach(frame->user_ids, i, id) {
        sprintf(dst + strlen(dst), "user %s\n", json_string_value(id));
    }
}


static void
describe_error(char *dst, const chat_frame_t *frame)
{
    sprintf(dst, "%s\n", chat_error_word(frame->error));
    add_str(dst, "chatId", &frame->chat_text);
    add_str(dst, "messageId", &frame->message_id);
}


static void
run_case(const char *dir, const char *name, int valid)
{
    char          input[70000], wanted[70000], found[70000], *exact;
    size_t        len, n;
    chat_frame_t  frame;

    len = read_file(dir, name, "input", input, sizeof(input));
    n = read_file(dir, name, valid ? "output" : "error", wanted,
                  sizeof(wanted));
    wanted[n] = '\0';

    /* exact size, so that a sanitizer detects an overread */
    exact = malloc(len ? len : 1);
    memcpy(exact, input, len);
    (void) chat_frame_parse(exact, len, &frame);
    free(exact);

    if (frame.error == CHAT_OK) {
        describe(found, &frame);

    } else {
        assert_true(frame.why[0] != '\0');
        describe_error(found, &frame);
    }

    if (strcmp(wanted, found) != 0) {
        print_error("tests/frames/%s/%s (%s):\n%s", dir, name, frame.why,
                    found);
    }

    assert_string_equal(wanted, found);
    assert_int_equal(frame.error == CHAT_OK, valid);

    chat_frame_free(&frame);
}


static void
run_folder(const char *dir, int valid)
{
    int             n;
    char            path[256];
    DIR            *d;
    struct dirent  *entry;

    snprintf(path, sizeof(path), "tests/frames/%s", dir);
    d = opendir(path);
    assert_non_null(d);
    n = 0;

    while ((entry = readdir(d)) != NULL) {
        if (entry->d_name[0] != '.') {
            run_case(dir, entry->d_name, valid);
            n++;
        }
    }

    closedir(d);
    assert_true(n > 10);
}


static void
valid_folders_are_accepted(void **state)
{
    run_folder("valid", 1);
}


static void
invalid_folders_are_refused_by_their_error(void **state)
{
    run_folder("invalid", 0);
}


static chat_error_e
parse(const char *text, size_t len)
{
    chat_error_e  error;
    chat_frame_t  frame;

    error = chat_frame_parse(text, len, &frame);
    assert_int_equal(error, frame.error);
    assert_int_equal(error != CHAT_OK, frame.why[0] != '\0');
    chat_frame_free(&frame);

    return error;
}


/* send_message with `fill` n times as its content */

static chat_error_e
parse_content(const char *fill, size_t n)
{
    char          *text, *p;
    chat_error_e   error;

    text = malloc(n * strlen(fill) + 200);
    p = text + sprintf(text, "{\"type\":\"send_message\"," IN_CHAT ","
                             "\"messageId\":\"m\",\"content\":\"");

    while (n-- > 0) {
        p += sprintf(p, "%s", fill);
    }

    p += sprintf(p, "\"}");
    error = parse(text, (size_t) (p - text));
    free(text);

    return error;
}


static void
content_has_1_to_32768_bytes(void **state)
{
    assert_int_equal(parse_content("a", 0), CHAT_E_BAD_FIELD);
    assert_int_equal(parse_content("a", 1), CHAT_OK);
    assert_int_equal(parse_content("a", 32768), CHAT_OK);
    assert_int_equal(parse_content("a", 32769), CHAT_E_TOO_LARGE);
}


static void
content_is_counted_in_bytes_of_utf8(void **state)
{
    assert_int_equal(parse_content("\xd0\xb9", 16384), CHAT_OK);
    assert_int_equal(parse_content("\xd0\xb9", 16385), CHAT_E_TOO_LARGE);
    assert_int_equal(parse_content("\\u0439", 16384), CHAT_OK);
    assert_int_equal(parse_content("\\u0439", 16385), CHAT_E_TOO_LARGE);
    assert_int_equal(parse_content("\\ud83d\\ude00", 8192), CHAT_OK);
    assert_int_equal(parse_content("\\ud83d\\ude00", 8193),
                     CHAT_E_TOO_LARGE);
}


static chat_error_e
parse_nested(size_t depth, const char *open, const char *close)
{
    char          *text, *p;
    size_t         i;
    chat_error_e   error;

    text = malloc(depth * 8 + 100);
    p = text + sprintf(text, "{\"type\":\"ping\",\"x\":");

    for (i = 1; i < depth; i++) {
        p += sprintf(p, "%s", open);
    }

    p += sprintf(p, "1");

    for (i = 1; i < depth; i++) {
        p += sprintf(p, "%s", close);
    }

    p += sprintf(p, "}");
    error = parse(text, (size_t) (p - text));
    free(text);

    return error;
}


static void
nesting_of_16_is_accepted_and_of_17_refused(void **state)
{
    assert_int_equal(parse_nested(16, "[", "]"), CHAT_OK);
    assert_int_equal(parse_nested(17, "[", "]"), CHAT_E_BAD_FRAME);
    assert_int_equal(parse_nested(16, "{\"a\":", "}"), CHAT_OK);
    assert_int_equal(parse_nested(17, "{\"a\":", "}"), CHAT_E_BAD_FRAME);
}


static void
brackets_within_strings_do_not_nest(void **state)
{
    assert_int_equal(parse_content("[{\\\"[", 100), CHAT_OK);
    assert_int_equal(parse_content("\\\\", 100), CHAT_OK);
}


static void
a_frame_of_open_brackets_is_refused_quickly(void **state)
{
    static char  text[65536];

    memset(text, '[', sizeof(text));
    assert_int_equal(parse(text, sizeof(text)), CHAT_E_BAD_FRAME);
    memset(text, '{', sizeof(text));
    assert_int_equal(parse(text, sizeof(text)), CHAT_E_BAD_FRAME);
    memset(text, '"', sizeof(text));
    assert_int_equal(parse(text, sizeof(text)), CHAT_E_BAD_FRAME);
    memset(text, '\\', sizeof(text));
    assert_int_equal(parse(text, sizeof(text)), CHAT_E_BAD_FRAME);
}


static void
every_beginning_of_a_frame_is_refused(void **state)
{
    char    *copy;
    size_t   len;

    static const char  text[] = "{\"type\":\"send_message\"," IN_CHAT ","
        "\"messageId\":\"m\",\"content\":\"\\ud83d\\ude00\","
        "\"replyTo\":12345678901234567890}";

    for (len = 0; len < sizeof(text) - 1; len++) {
        copy = malloc(len ? len : 1);
        memcpy(copy, text, len);
        assert_int_equal(parse(copy, len), CHAT_E_BAD_FRAME);
        free(copy);
    }
}


static chat_error_e
parse_users(size_t n)
{
    char          *text, *p;
    size_t         i;
    chat_error_e   error;

    text = malloc(n * 24 + 100);
    p = text + sprintf(text, "{\"type\":\"presence_subscribe\",\"userIds\":[");

    for (i = 0; i < n; i++) {
        p += sprintf(p, "%s\"%zu\"", i ? "," : "", i + 1);
    }

    p += sprintf(p, "]}");
    error = parse(text, (size_t) (p - text));
    free(text);

    return error;
}


static void
presence_accepts_1_to_200_users(void **state)
{
    assert_int_equal(parse_users(0), CHAT_E_BAD_FIELD);
    assert_int_equal(parse_users(1), CHAT_OK);
    assert_int_equal(parse_users(200), CHAT_OK);
    assert_int_equal(parse_users(201), CHAT_E_BAD_FIELD);
}


static void
words_of_64_characters_are_accepted_and_of_65_refused(void **state)
{
    char        text[400], word[66];
    size_t      i, n;

    static const char  *keys[] = { "messageId", "contentType", "mediaId" };

    memset(word, 'w', sizeof(word));

    for (i = 0; i < 3; i++) {
        for (n = 64; n <= 65; n++) {
            sprintf(text, "{\"type\":\"send_message\"," IN_CHAT ","
                    "%s\"content\":\"c\",\"%s\":\"%.*s\"}",
                    i ? "\"messageId\":\"m\"," : "", keys[i], (int) n, word);
            assert_int_equal(parse(text, strlen(text)),
                             n == 64 ? CHAT_OK : CHAT_E_BAD_FIELD);
        }
    }
}


static void
body_has_no_type_and_no_chat(void **state)
{
    chat_frame_t  frame;

    static const char  text[] =
        "{\"messageId\":\"m\",\"content\":\"c\",\"replyTo\":3,"
        "\"type\":7,\"chatId\":\"x\"}";

    assert_int_equal(chat_frame_parse_body(text, strlen(text), &frame),
                     CHAT_OK);
    assert_int_equal(frame.type, CHAT_FRAME_SEND_MESSAGE);
    assert_str(frame.message_id, "m");
    assert_str(frame.content, "c");
    assert_int_equal(frame.reply_to, 3);
    assert_false(frame.has_chat);
    assert_absent(frame.chat_text);

    chat_frame_free(&frame);
}


static chat_error_e
parse_body(const char *text)
{
    chat_error_e  error;
    chat_frame_t  frame;

    error = chat_frame_parse_body(text, strlen(text), &frame);
    chat_frame_free(&frame);

    return error;
}


static void
body_that_is_not_an_object_is_bad_request(void **state)
{
    assert_int_equal(parse_body(""), CHAT_E_BAD_REQUEST);
    assert_int_equal(parse_body("[]"), CHAT_E_BAD_REQUEST);
    assert_int_equal(parse_body("7"), CHAT_E_BAD_REQUEST);
    assert_int_equal(parse_body("{\"a\":1,\"a\":2}"), CHAT_E_BAD_REQUEST);
    assert_int_equal(parse_body("{}"), CHAT_E_BAD_FIELD);
    assert_int_equal(parse_body("{\"messageId\":\"m\",\"content\":1e999}"),
                     CHAT_E_BAD_FIELD);
}


static void
json_is_loaded_by_the_same_rules(void **state)
{
    size_t        i;
    char          why[128];
    json_t       *root;
    chat_error_e  error;

    static const struct {
        const char    *text;
        chat_error_e   error;
    } cases[] = {
        { "{\"a\":[1,2.5,null]}", CHAT_OK },
        { "[]", CHAT_OK },
        { "{", CHAT_E_BAD_REQUEST },
        { "{\"a\":1,\"a\":1}", CHAT_E_BAD_REQUEST },
        { "[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]", CHAT_E_BAD_REQUEST },
        { "{\"a\":\"\\u0000\"}", CHAT_E_BAD_FIELD },
        { "{\"\\u0000\":1}", CHAT_E_BAD_FIELD },
        { "{\"a\":\"\\ud800\"}", CHAT_E_BAD_FIELD },
        { "{\"a\":\"\\ud800\\ud800\"}", CHAT_E_BAD_FIELD },
        { "{\"a\":\"\\udc00\\ud800\"}", CHAT_E_BAD_FIELD },
        { "{\"a\":9223372036854775808}", CHAT_E_BAD_FIELD },
        { "{\"a\":-9223372036854775809}", CHAT_E_BAD_FIELD },
        { "{\"a\":-9223372036854775808}", CHAT_OK },
        { "{\"a\":1e400}", CHAT_E_BAD_FIELD },
        { "{\"a\":\"\\\\u0000\"}", CHAT_OK },
        { "{\"a\":\"\\ud800\", b}", CHAT_E_BAD_REQUEST },
        { "{\"a\":9223372036854775808", CHAT_E_BAD_REQUEST },
        { "{\"a\":09223372036854775808}", CHAT_E_BAD_REQUEST },
        { "{\"a\":\"\\ud83d\\ude00\"}", CHAT_OK },
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {

        why[0] = '\0';
        root = chat_json_load(cases[i].text, strlen(cases[i].text), &error,
                              why);

        assert_int_equal(error, cases[i].error);
        assert_int_equal(root != NULL, error == CHAT_OK);
        assert_int_equal(why[0] != '\0', error != CHAT_OK);
        json_decref(root);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(valid_folders_are_accepted),
        cmocka_unit_test(invalid_folders_are_refused_by_their_error),
        cmocka_unit_test(content_has_1_to_32768_bytes),
        cmocka_unit_test(content_is_counted_in_bytes_of_utf8),
        cmocka_unit_test(nesting_of_16_is_accepted_and_of_17_refused),
        cmocka_unit_test(brackets_within_strings_do_not_nest),
        cmocka_unit_test(a_frame_of_open_brackets_is_refused_quickly),
        cmocka_unit_test(every_beginning_of_a_frame_is_refused),
        cmocka_unit_test(presence_accepts_1_to_200_users),
        cmocka_unit_test(words_of_64_characters_are_accepted_and_of_65_refused),
        cmocka_unit_test(body_has_no_type_and_no_chat),
        cmocka_unit_test(body_that_is_not_an_object_is_bad_request),
        cmocka_unit_test(json_is_loaded_by_the_same_rules),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
