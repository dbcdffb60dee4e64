/*
 * chat_json.c: the few JSON writers the main path needs.
 *
 * Called from chat_entry.c, the edge and the workers; hands to chat_buf.c.
 * Strings are taken to be valid UTF-8: whoever let them in has checked.
 * Bytes above 0x7f and U+007F go out as they are (RFC 8259, section 7, wants
 * escapes only for quote, backslash and U+0000 to U+001F).
 */

#include <string.h>

#include "chat_error.h"
#include "chat_json.h"

#define CHAT_ONES   0x0101010101010101u
#define CHAT_HIGHS  0x8080808080808080u

#define CHAT_PROBLEM_TYPE  "urn:chat:problem:"

static const char *chat_json_run(const char *p, const char *end);
static uint8_t *chat_json_escape(uint8_t *dst, uint8_t c);
static uint8_t *chat_json_digits(uint8_t *dst, unsigned n, unsigned width);


uint8_t *
chat_json_string(uint8_t *dst, const char *src, size_t len)
{
    const char  *p, *end;

    end = src + len;

    *dst++ = '"';

    while (src < end) {

        p = chat_json_run(src, end);

        memcpy(dst, src, (size_t) (p - src));
        dst += p - src;
        src = p;

        if (src < end) {
            dst = chat_json_escape(dst, (uint8_t) *src++);
        }
    }

    *dst++ = '"';

    return dst;
}


int
chat_json_add_string(chat_buf_t *buf, const char *src, size_t len)
{
    uint8_t  *p;

    if (len > (SIZE_MAX - 2) / 6) {
        buf->failed = 1;
        return -1;
    }

    p = chat_buf_reserve(buf, chat_json_string_max(len));

    if (p == NULL) {
        return -1;
    }

    buf->len = (size_t) (chat_json_string(p, src, len) - buf->data);

    return 0;
}


/* Civil date from days by the proleptic Gregorian calendar, whose 400 years
 * have 146097 days, counted from a March so that the leap day comes last.
 * Not gmtime(): it may read the environment and knows globals. */

uint8_t *
chat_json_time(uint8_t *dst, int64_t ms)
{
    int64_t   days;
    unsigned  rest, era_day, era_year, year_day, m, day, month, year;

    /* years 0001 to 9999, what RFC 3339 can write */

    if (ms < -62135596800000) {
        ms = -62135596800000;
    }

    if (ms > 253402300799999) {
        ms = 253402300799999;
    }

    days = ms / 86400000;

    if (ms % 86400000 < 0) {
        days--;
    }

    rest = (unsigned) (ms - days * 86400000);

    /* from 0000-03-01; never negative within the range above */
    days += 719468;

    era_day = (unsigned) (days % 146097);
    era_year = (era_day - era_day / 1460 + era_day / 36524
                - era_day / 146096) / 365;
    year_day = era_day - (365 * era_year + era_year / 4 - era_year / 100);

    m = (5 * year_day + 2) / 153;
    day = year_day - (153 * m + 2) / 5 + 1;
    month = m < 10 ? m + 3 : m - 9;
    year = (unsigned) (days / 146097) * 400 + era_year + (month <= 2);

    dst = chat_json_digits(dst, year, 4);
    *dst++ = '-';
    dst = chat_json_digits(dst, month, 2);
    *dst++ = '-';
    dst = chat_json_digits(dst, day, 2);
    *dst++ = 'T';
    dst = chat_json_digits(dst, rest / 3600000, 2);
    *dst++ = ':';
    dst = chat_json_digits(dst, rest / 60000 % 60, 2);
    *dst++ = ':';
    dst = chat_json_digits(dst, rest / 1000 % 60, 2);
    *dst++ = '.';
    dst = chat_json_digits(dst, rest % 1000, 3);
    *dst++ = 'Z';

    return dst;
}


uint8_t *
chat_json_u64(uint8_t *dst, uint64_t n)
{
    size_t   len;
    uint8_t  text[20], *p;

    p = text + sizeof(text);

    do {
        *--p = (uint8_t) ('0' + n % 10);
        n /= 10;
    } while (n != 0);

    len = (size_t) (text + sizeof(text) - p);
    memcpy(dst, p, len);

    return dst + len;
}


int
chat_json_problem(chat_buf_t *buf, int error, const char *detail,
    unsigned retry_after)
{
    uint8_t      *p, number[20];
    const char   *word, *title;
    chat_error_e  e;

    e = (chat_error_e) error;
    word = chat_error_word(e);
    title = chat_error_title(e);

#define ADD(s)  (void) chat_buf_add(buf, s, sizeof(s) - 1)

    ADD("{\"type\":\"" CHAT_PROBLEM_TYPE);
    (void) chat_buf_add(buf, word, strlen(word));
    ADD("\",\"title\":");
    (void) chat_json_add_string(buf, title, strlen(title));
    ADD(",\"status\":");
    p = chat_json_u64(number, (uint64_t) chat_error_status(e));
    (void) chat_buf_add(buf, number, (size_t) (p - number));

    if (detail != NULL) {
        ADD(",\"detail\":");
        (void) chat_json_add_string(buf, detail, strlen(detail));
    }

    ADD(",\"code\":\"");
    (void) chat_buf_add(buf, word, strlen(word));
    ADD("\"");

    if (retry_after > 0) {
        ADD(",\"retryAfter\":");
        p = chat_json_u64(number, retry_after);
        (void) chat_buf_add(buf, number, (size_t) (p - number));
    }

    ADD("}");

#undef ADD

    return buf->failed ? -1 : 0;
}


/* The end of the run of bytes that need no escape: eight at a time until one
 * of the eight is below 0x20, a quote or a backslash. */

static const char *
chat_json_run(const char *p, const char *end)
{
    uint8_t   c;
    uint64_t  x, quote, slash, bad;

    while (end - p >= 8) {

        memcpy(&x, p, 8);

        quote = x ^ CHAT_ONES * '"';
        slash = x ^ CHAT_ONES * '\\';

        bad = ((x - CHAT_ONES * 0x20) & ~x)
              | ((quote - CHAT_ONES) & ~quote)
              | ((slash - CHAT_ONES) & ~slash);

        if (bad & CHAT_HIGHS) {
            break;
        }

        p += 8;
    }

    while (p < end) {

        c = (uint8_t) *p;

        if (c < 0x20 || c == '"' || c == '\\') {
            break;
        }

        p++;
    }

    return p;
}


static uint8_t *
chat_json_escape(uint8_t *dst, uint8_t c)
{
    static const char  hex[] = "0123456789abcdef";

    *dst++ = '\\';

    switch (c) {
    case '\b':
        *dst++ = 'b';
        return dst;
    case '\f':
        *dst++ = 'f';
        return dst;
    case '\n':
        *dst++ = 'n';
        return dst;
    case '\r':
        *dst++ = 'r';
        return dst;
    case '\t':
        *dst++ = 't';
        return dst;
    case '"':
    case '\\':
        *dst++ = c;
        return dst;
    default:
        *dst++ = 'u';
        *dst++ = '0';
        *dst++ = '0';
        *dst++ = (uint8_t) hex[c >> 4];
        *dst++ = (uint8_t) hex[c & 0xf];
        return dst;
    }
}


static uint8_t *
chat_json_digits(uint8_t *dst, unsigned n, unsigned width)
{
    unsigned  i;

    for (i = width; i > 0; i--) {
        dst[i - 1] = (uint8_t) ('0' + n % 10);
        n /= 10;
    }

    return dst + width;
}
