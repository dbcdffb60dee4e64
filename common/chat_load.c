/*
 * chat_load.c: parses JSON text with jansson, with the contract's errors.
 *
 * Called from chat_frame.c; hands to jansson. For a number out of range or a
 * lone surrogate jansson refuses the whole text, with a message that is no
 * stable interface. The text is then repaired and parsed again: if it parses
 * now, one field was invalid and not the frame. The repaired text is discarded;
 * it only provides the messageId for the error.
 *
 * When jansson runs out of memory within a string it reports a syntax error, so
 * the client gets bad_frame; the two cannot be distinguished here.
 */

#include <stdio.h>
#include <string.h>

#include "chat_load.h"
#include "chat_proto.h"

#define CHAT_LOAD_FLAGS  (JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL)

/* Digits of a number that are kept in mending; any 15 fit into 64 bits. */
#define CHAT_LOAD_DIGITS  15

static int chat_load_scan(const char *p, const char *end, int *nul_r);
static const char *chat_load_scan_string(const char *p, const char *end,
    int *nul_r);
static chat_error_e chat_load_repaired(const char *text, size_t len,
    json_t **root_r, char *why);
static char *chat_load_repair(const char *p, const char *end, char *dst);
static const char *chat_load_repair_string(const char *p, const char *end,
    char **dst);
static const char *chat_load_repair_number(const char *p, const char *end,
    char **dst);
static int chat_load_escape(const char *p, const char *end);


chat_error_e
chat_load(const char *text, size_t len, json_t **root_r, char *why)
{
    int           nul;
    json_error_t  error;

    *root_r = NULL;
    nul = 0;

    /* before the parse: jansson recurses once per level */

    if (chat_load_scan(text, text + len, &nul) != 0) {
        (void) snprintf(why, CHAT_WHY_MAX, "nested more than %d deep",
                        CHAT_JSON_DEPTH_MAX);
        return CHAT_E_BAD_FRAME;
    }

    *root_r = json_loadb(text, len, CHAT_LOAD_FLAGS, &error);

    if (*root_r != NULL) {

        if (nul) {
            (void) snprintf(why, CHAT_WHY_MAX, "a string contains NUL");
            return CHAT_E_BAD_FIELD;
        }

        return CHAT_OK;
    }

    if (error.text[0] == '\0'
        || json_error_code(&error) == json_error_out_of_memory)
    {
        (void) snprintf(why, CHAT_WHY_MAX, "out of memory");
        return CHAT_E_INTERNAL;
    }

    switch (json_error_code(&error)) {

    case json_error_invalid_syntax:         /* lone surrogates are of these */
    case json_error_numeric_overflow:
    case json_error_null_byte_in_key:
        (void) snprintf(why, CHAT_WHY_MAX, "not JSON at line %d, column %d",
                        error.line, error.column);
        return chat_load_repaired(text, len, root_r, why);

    case json_error_duplicate_key:
        (void) snprintf(why, CHAT_WHY_MAX, "a key comes twice");
        return CHAT_E_BAD_FRAME;

    default:
        (void) snprintf(why, CHAT_WHY_MAX, "not JSON at line %d, column %d",
                        error.line, error.column);
        return CHAT_E_BAD_FRAME;
    }
}


/* One pass without parsing: the depth of brackets outside strings, and whether
 * a string contains \u0000 (an escaped backslash is skipped as a pair). The
 * result may be wrong for invalid JSON, which jansson refuses. */

static int
chat_load_scan(const char *p, const char *end, int *nul_r)
{
    unsigned  depth;

    depth = 0;

    while (p < end) {

        switch (*p++) {

        case '"':
            p = chat_load_scan_string(p, end, nul_r);
            break;

        case '[':
        case '{':

            if (++depth > CHAT_JSON_DEPTH_MAX) {
                return -1;
            }

            break;

        case ']':
        case '}':

            if (depth > 0) {
                depth--;
            }

            break;

        default:
            break;
        }
    }

    return 0;
}


/* p is behind the opening quote; returns the place behind the closing one. */

static const char *
chat_load_scan_string(const char *p, const char *end, int *nul_r)
{
    const char  *quote, *slash;

    for ( ;; ) {

        quote = memchr(p, '"', (size_t) (end - p));

        if (quote == NULL) {
            quote = end;
        }

        slash = memchr(p, '\\', (size_t) (quote - p));

        if (slash == NULL) {
            return quote < end ? quote + 1 : end;
        }

        if (chat_load_escape(slash, end) == 0) {
            *nul_r = 1;
        }

        if (end - slash < 2) {
            return end;
        }

        p = slash + 2;
    }
}


static chat_error_e
chat_load_repaired(const char *text, size_t len, json_t **root_r, char *why)
{
    char           *copy, *end;
    json_free_t     free_fn;
    json_malloc_t   malloc_fn;

    json_get_alloc_funcs(&malloc_fn, &free_fn);

    copy = malloc_fn(len + 1);

    if (copy == NULL) {
        (void) snprintf(why, CHAT_WHY_MAX, "out of memory");
        return CHAT_E_INTERNAL;
    }

    end = chat_load_repair(text, text + len, copy);

    if ((size_t) (end - copy) != len || memcmp(copy, text, len) != 0) {
        *root_r = json_loadb(copy, (size_t) (end - copy), CHAT_LOAD_FLAGS,
                             NULL);
    }

    free_fn(copy);

    if (*root_r == NULL) {
        return CHAT_E_BAD_FRAME;
    }

    (void) snprintf(why, CHAT_WHY_MAX, "a number does not fit into 64 bits, "
                    "or a string has NUL or a lone surrogate");

    return CHAT_E_BAD_FIELD;
}


/* The result is never longer than the text, and is valid JSON only if the three
 * replaced things were the only errors. */

static char *
chat_load_repair(const char *p, const char *end, char *dst)
{
    while (p < end) {

        if (*p == '"') {
            *dst++ = *p++;
            p = chat_load_repair_string(p, end, &dst);

        } else if (*p >= '0' && *p <= '9') {
            p = chat_load_repair_number(p, end, &dst);

        } else {
            *dst++ = *p++;
        }
    }

    return dst;
}


static const char *
chat_load_repair_string(const char *p, const char *end, char **dst)
{
    int   unit, low;
    char  c;

    while (p < end) {

        c = *p;

        if (c != '\\') {
            *(*dst)++ = *p++;

            if (c == '"') {
                break;
            }

            continue;
        }

        unit = chat_load_escape(p, end);

        if (unit >= 0xd800 && unit <= 0xdbff) {
            low = chat_load_escape(p + 6, end);

            if (low >= 0xdc00 && low <= 0xdfff) {
                memcpy(*dst, p, 12);
                *dst += 12;
                p += 12;
                continue;
            }
        }

        if (unit == 0 || (unit >= 0xd800 && unit <= 0xdfff)) {
            memcpy(*dst, "\\ufffd", 6);
            *dst += 6;
            p += 6;
            continue;
        }

        *(*dst)++ = *p++;

        if (p < end) {
            *(*dst)++ = *p++;
        }
    }

    return p;
}


/* Cuts leading digits and sets exponents to zeros. An invalid number, such as
 * 01 or 1..2, stays invalid. */

static const char *
chat_load_repair_number(const char *p, const char *end, char **dst)
{
    int     exponent;
    size_t  digits;

    exponent = 0;
    digits = 0;

    for ( /* void */ ; p < end; p++) {

        switch (*p) {

        case '0': case '1': case '2': case '3': case '4':
        case '5': case '6': case '7': case '8': case '9':

            if (++digits <= CHAT_LOAD_DIGITS) {
                *(*dst)++ = exponent ? '0' : *p;
            }

            break;

        case 'e':
        case 'E':
            exponent = 1;
            /* fall through */

        case '.':
        case '+':
        case '-':
            digits = 0;
            *(*dst)++ = *p;
            break;

        default:
            return p;
        }
    }

    return p;
}


/* the value of the \uXXXX at p, or -1 */

static int
chat_load_escape(const char *p, const char *end)
{
    int   i, unit;
    char  c;

    if (end - p < 6 || p[0] != '\\' || p[1] != 'u') {
        return -1;
    }

    unit = 0;

    for (i = 2; i < 6; i++) {

        c = p[i];

        if (c >= '0' && c <= '9') {
            unit = unit << 4 | (c - '0');

        } else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') {
            unit = unit << 4 | ((c | 0x20) - 'a' + 10);

        } else {
            return -1;
        }
    }

    return unit;
}
