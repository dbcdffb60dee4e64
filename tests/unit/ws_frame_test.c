/*
 * ws_frame_test.c: ws_frame.c, ws_utf8.c and ws_write.c.
 *
 * A case is a string of client frames and the transcript it must give. Every
 * case is fed whole, byte by byte, and cut in two at every place: the
 * transcript is the same each time. In it, "T" and "B" are a whole message
 * with its pieces joined, "P" "O" "C" control frames, "E" an error. How much
 * of a message came out before its error depends on how it was fed, so an
 * error takes the unfinished message back.
 */

#include <stdio.h>

#include "chat_test.h"
#include "ws_frame.h"

#define LIMIT  65536

typedef struct {
    char    text[200000];
    size_t  len;
    size_t  open;               /* where the unfinished message begins */
} transcript_t;

typedef struct {
    uint8_t  data[400000];
    size_t   len;
} stream_t;

static stream_t      stream;
static transcript_t  expected, got;


static void
begin(transcript_t *t)
{
    t->len = 0;
    t->open = SIZE_MAX;
}


static void
note(transcript_t *t, const void *data, size_t len)
{
    assert_true(t->len + len < sizeof(t->text));
    memcpy(t->text + t->len, data, len);
    t->len += len;
}


/* feeds one chunk; 0 once an error came */

static int
feed(ws_parser_t *p, uint8_t *data, size_t len, transcript_t *t)
{
    char        number[16];
    uint8_t    *pos, *end;
    ws_event_t  ev;

    pos = data;
    end = data + len;

    for ( ;; ) {

        switch (ws_parse(p, &pos, end, &ev)) {

        case WS_MORE:
            assert_ptr_equal(pos, end);
            return 1;

        case WS_DATA:

            if (ev.first) {
                t->open = t->len;
                note(t, ev.op == WS_OP_TEXT ? "T(" : "B(", 2);
            }

            note(t, ev.data, ev.len);

            if (ev.last) {
                note(t, ")", 1);
                t->open = SIZE_MAX;
            }

            break;

        case WS_CONTROL:
            note(t, ev.op == WS_OP_PING ? "P("
                    : ev.op == WS_OP_PONG ? "O(" : "C(", 2);

            if (ev.op == WS_OP_CLOSE) {
                snprintf(number, sizeof(number), "%u ", ev.code);
                note(t, number, strlen(number));
                note(t, ev.data + (ev.len ? 2 : 0), ev.len ? ev.len - 2 : 0);

            } else {
                note(t, ev.data, ev.len);
            }

            note(t, ")", 1);
            break;

        case WS_ERROR:
            assert_non_null(ev.why);

            if (t->open != SIZE_MAX) {
                t->len = t->open;
            }

            snprintf(number, sizeof(number), "E%u", ev.code);
            note(t, number, strlen(number));
            return 0;
        }
    }
}


/* copied to memory of the exact size: a sanitizer detects an overread */

static int
feed_copy(ws_parser_t *p, const uint8_t *data, size_t len, transcript_t *t)
{
    int       rc;
    uint8_t  *copy;

    copy = malloc(len ? len : 1);
    memcpy(copy, data, len);
    rc = feed(p, copy, len, t);
    free(copy);

    return rc;
}


static void
assert_transcript(void)
{
    assert_int_equal(got.len, expected.len);
    assert_memory_equal(got.text, expected.text, expected.len);
}


static void
check(const void *text, size_t len)
{
    size_t       i, step;
    ws_parser_t  p;

    begin(&expected);
    note(&expected, text, len);

    ws_parser_init(&p, LIMIT);
    begin(&got);
    (void) feed_copy(&p, stream.data, stream.len, &got);
    assert_transcript();

    ws_parser_init(&p, LIMIT);
    begin(&got);

    for (i = 0; i < stream.len; i++) {
        if (!feed_copy(&p, stream.data + i, 1, &got)) {
            break;
        }
    }

    assert_transcript();

    /* every offset when that is fast, else a prime step */
    step = stream.len > 2000 ? 997 : 1;

    for (i = 0; i <= stream.len; i += step) {

        ws_parser_init(&p, LIMIT);
        begin(&got);

        if (feed_copy(&p, stream.data, i, &got)) {
            (void) feed_copy(&p, stream.data + i, stream.len - i, &got);
        }

        assert_transcript();
    }

    stream.len = 0;
}

#define gives(literal)  check(literal, sizeof(literal) - 1)


static void
raw(const void *data, size_t len)
{
    memcpy(stream.data + stream.len, data, len);
    stream.len += len;
}

#define raw_is(literal)  raw(literal, sizeof(literal) - 1)


/* a masked frame with its length in `bytes` bytes: 0, 2 or 8 */

static void
frame_form(uint8_t first, const void *payload, size_t len, unsigned bytes)
{
    size_t   i;
    uint8_t  head[10];

    static const uint8_t  mask[4] = { 0x37, 0xfa, 0x21, 0x3d };

    head[0] = first;
    head[1] = 0x80 | (bytes == 8 ? 127 : bytes == 2 ? 126 : (uint8_t) len);

    for (i = 0; i < bytes; i++) {
        head[2 + i] = (uint8_t) ((uint64_t) len >> (8 * (bytes - 1 - i)));
    }

    raw(head, 2 + bytes);
    raw(mask, 4);

    for (i = 0; i < len; i++) {
        stream.data[stream.len++] = ((const uint8_t *) payload)[i]
                                    ^ mask[i & 3];
    }
}


static void
frame(uint8_t first, const void *payload, size_t len)
{
    frame_form(first, payload, len, len > 65535 ? 8 : len > 125 ? 2 : 0);
}

#define frame_is(first, literal)  frame(first, literal, sizeof(literal) - 1)

#define FIN   0x80
#define CONT  WS_OP_CONT
#define TEXT  WS_OP_TEXT
#define BIN   WS_OP_BINARY


static void
example_of_the_rfc_is_parsed(void **state)
{
    /* section 5.7 */
    raw_is("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
    gives("T(Hello)");
}


static void
messages_follow_one_another(void **state)
{
    frame_is(FIN | TEXT, "one");
    frame_is(FIN | BIN, "\xff\x00\xfe");
    frame_is(FIN | TEXT, "");
    frame_is(FIN | TEXT, "two");
    gives("T(one)B(\xff\x00\xfe)T()T(two)");
}


static void
lengths_at_the_edges(void **state)
{
    size_t       i, k;
    static char  text[LIMIT], out[LIMIT + 3];

    static const size_t  lens[] = {
        0, 1, 7, 8, 9, 124, 125, 126, 127, 255, 256, 1000, 65535, 65536
    };

    for (i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {

        for (k = 0; k < lens[i]; k++) {
            text[k] = (char) ('a' + k % 26);
        }

        frame(FIN | TEXT, text, lens[i]);

        memcpy(out, "T(", 2);
        memcpy(out + 2, text, lens[i]);
        out[2 + lens[i]] = ')';
        check(out, lens[i] + 3);
    }
}


static void
fragments_are_joined(void **state)
{
    frame_is(TEXT, "He");
    frame_is(CONT, "l");
    frame_is(FIN | CONT, "lo");
    frame_is(BIN, "\x80");
    frame_is(FIN | CONT, "\x81");
    gives("T(Hello)B(\x80\x81)");
}


static void
empty_fragments_are_joined(void **state)
{
    frame_is(TEXT, "");
    frame_is(CONT, "");
    frame_is(FIN | CONT, "");
    frame_is(TEXT, "");
    frame_is(CONT, "x");
    frame_is(CONT, "");
    frame_is(FIN | CONT, "");
    frame_is(FIN | TEXT, "y");
    gives("T()T(x)T(y)");
}


static void
control_frames_stand_between_fragments(void **state)
{
    frame_is(TEXT, "a\xd0");
    frame_is(FIN | WS_OP_PING, "ping");
    frame_is(CONT, "\xb9");
    frame_is(FIN | WS_OP_PONG, "");
    frame_is(FIN | WS_OP_CLOSE, "\x03\xe8\xd0\xb9");
    frame_is(FIN | CONT, "c");
    gives("T(a\xd0P(ping)\xb9O()C(1000 \xd0\xb9)c)");
}


static void
control_frame_of_125_bytes_is_whole(void **state)
{
    char  text[126], out[129];

    memset(text, 'p', 125);
    frame(FIN | WS_OP_PING, text, 125);

    memcpy(out, "P(", 2);
    memcpy(out + 2, text, 125);
    out[127] = ')';
    check(out, 128);
}


static void
control_frame_of_126_bytes_is_1002(void **state)
{
    uint8_t  op;
    char     text[126];

    memset(text, 'p', 126);

    for (op = WS_OP_CLOSE; op <= WS_OP_PONG; op++) {
        frame(FIN | op, text, 126);
        gives("E1002");
        raw((uint8_t[]) { FIN | op, 0xff }, 2);
        gives("E1002");
    }
}


static void
fragmented_control_frame_is_1002(void **state)
{
    uint8_t  op;

    for (op = WS_OP_CLOSE; op <= WS_OP_PONG; op++) {
        raw(&op, 1);
        gives("E1002");
    }
}


static void
reserved_bits_are_1002(void **state)
{
    uint8_t  bits, first;

    for (bits = 0x10; bits <= 0x70; bits += 0x10) {
        first = FIN | bits | TEXT;
        raw(&first, 1);
        gives("E1002");
        first = FIN | bits | WS_OP_PING;
        raw(&first, 1);
        gives("E1002");
    }
}


static void
reserved_opcodes_are_1002(void **state)
{
    uint8_t  op, first;

    for (op = 0; op < 16; op++) {

        if (op <= WS_OP_BINARY || (op >= WS_OP_CLOSE && op <= WS_OP_PONG)) {
            continue;
        }

        frame_is(FIN | TEXT, "before");
        first = FIN | op;
        raw(&first, 1);
        gives("T(before)E1002");
    }
}


static void
unmasked_frame_is_1002_at_its_second_byte(void **state)
{
    raw_is("\x81\x05");
    gives("E1002");
    raw_is("\x89\x00");
    gives("E1002");
    raw_is("\x81\x7f");
    gives("E1002");
}


static void
continuation_of_nothing_is_1002(void **state)
{
    raw_is("\x80");
    gives("E1002");
    raw_is("\x00");
    gives("E1002");
    frame_is(FIN | TEXT, "whole");
    raw_is("\x80");
    gives("T(whole)E1002");
    frame_is(TEXT, "a");
    frame_is(FIN | CONT, "b");
    raw_is("\x80");
    gives("T(ab)E1002");
}


static void
message_within_a_message_is_1002(void **state)
{
    frame_is(TEXT, "a");
    raw_is("\x81");
    gives("E1002");
    frame_is(BIN, "");
    raw_is("\x01");
    gives("E1002");
}


static void
length_not_in_its_shortest_form_is_1002(void **state)
{
    frame_form(FIN | TEXT, "", 0, 2);
    gives("E1002");
    raw_is("\x81\xfe\x00\x7d");
    gives("E1002");
    raw_is("\x81\xff\x00\x00\x00\x00\x00\x00\xff\xff");
    gives("E1002");
    raw_is("\x81\xff\x00\x00\x00\x00\x00\x00\x00\x00");
    gives("E1002");
}


static void
length_with_the_high_bit_is_1002(void **state)
{
    raw_is("\x81\xff\x80\x00\x00\x00\x00\x00\x00\x01");
    gives("E1002");
    raw_is("\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff");
    gives("E1002");
}


static void
too_large_is_1009_from_the_head_alone(void **state)
{
    static char  text[LIMIT];

    raw_is("\x82\xff\x00\x00\x00\x00\x00\x01\x00\x01");
    gives("E1009");
    raw_is("\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff");
    gives("E1009");

    /* over all fragments */
    memset(text, 'a', sizeof(text));
    frame(BIN, text, 40000);
    frame(CONT, text, LIMIT - 40000);
    frame_is(CONT, "");
    raw_is("\x80\x81");

    gives("E1009");
}


static void
limit_applies_to_each_message(void **state)
{
    ws_event_t   ev;
    ws_parser_t  p;
    uint8_t      data[64], *pos;
    int          i, n;

    ws_parser_init(&p, 5);

    for (i = 0; i < 10; i++) {

        stream.len = 0;
        frame_is(TEXT, "123");
        frame_is(FIN | CONT, "45");
        memcpy(data, stream.data, stream.len);
        pos = data;
        n = 0;

        while (ws_parse(&p, &pos, data + stream.len, &ev) == WS_DATA) {
            n++;
        }

        assert_int_equal(n, 2);
        assert_ptr_equal(pos, data + stream.len);
    }

    stream.len = 0;
}


static void
limit_of_zero_refuses_every_byte(void **state)
{
    ws_event_t   ev;
    ws_parser_t  p;
    uint8_t      data[2] = { FIN | TEXT, 0x81 }, *pos = data;

    ws_parser_init(&p, 0);
    assert_int_equal(ws_parse(&p, &pos, data + 2, &ev), WS_ERROR);
    assert_int_equal(ev.code, 1009);
}


static void
close_codes_are_checked(void **state)
{
    char      out[16];
    uint8_t   payload[2];
    unsigned  code;
    int       valid;

    for (code = 0; code < 65536; code += code < 5100 ? 1 : 1777) {

        payload[0] = (uint8_t) (code >> 8);
        payload[1] = (uint8_t) code;
        frame(FIN | WS_OP_CLOSE, payload, 2);

        valid = (code >= 1000 && code <= 1003)
                || (code >= 1007 && code <= 1014)
                || (code >= 3000 && code <= 4999);

        if (valid) {
            snprintf(out, sizeof(out), "C(%u )", code);
            check(out, strlen(out));

        } else {
            gives("E1002");
        }
    }
}


static void
close_without_code_is_1005(void **state)
{
    frame_is(FIN | WS_OP_CLOSE, "");
    gives("C(1005 )");
}


static void
half_a_close_code_is_1002(void **state)
{
    frame_is(FIN | WS_OP_CLOSE, "\x03");
    gives("E1002");
}


static void
close_reason_must_be_utf8(void **state)
{
    frame_is(FIN | WS_OP_CLOSE, "\x03\xe8\xce\xba");
    gives("C(1000 \xce\xba)");
    frame_is(FIN | WS_OP_CLOSE, "\x03\xe8\xce");
    gives("E1007");
    frame_is(FIN | WS_OP_CLOSE, "\x03\xe8\xff");
    gives("E1007");
}


static void
text_is_utf8_over_all_fragments(void **state)
{
    frame_is(TEXT, "\xf0");
    frame_is(CONT, "\x9f");
    frame_is(CONT, "");
    frame_is(CONT, "\x98");
    frame_is(FIN | CONT, "\x80!");
    gives("T(\xf0\x9f\x98\x80!)");
}


static void
text_cut_within_a_character_is_1007(void **state)
{
    stream.len = 0;
    frame_is(FIN | TEXT, "\xd0");
    gives("E1007");
    frame_is(TEXT, "");
    frame_is(FIN | CONT, "\xf0\x9f\x98");
    gives("E1007");
}


static void
empty_last_fragment_cannot_complete_a_character(void **state)
{
    frame_is(TEXT, "\xd0");
    frame_is(FIN | CONT, "");
    gives("E1007");
}


static void
broken_text_is_1007_at_the_bad_byte(void **state)
{
    size_t       i;
    ws_event_t   ev;
    ws_parser_t  p;
    uint8_t      data[64], *pos;

    /* Autobahn's 6.4: the rest of the frame never comes */

    static const struct {
        const char  *text;
        size_t       bad;       /* index of the invalid byte */
    } cases[] = {
        { "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90", 12 },
        { "\x80", 0 }, { "\xc0", 0 }, { "\xc1", 0 }, { "\xf5", 0 },
        { "\xff", 0 }, { "\xe0\x9f", 1 }, { "\xed\xa0", 1 },
        { "\xf0\x8f", 1 }, { "\xf4\x90", 1 }, { "a\xc3(", 2 },
        { "\xe2\x82(", 2 }, { "\xf0\x9f\x98(", 3 },
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {

        ws_parser_init(&p, LIMIT);
        stream.len = 0;
        frame_is(FIN | TEXT, "01234567890123456789");
        stream.len = 6;

        for (size_t k = 0; cases[i].text[k] != '\0'; k++) {
            stream.data[stream.len++] = (uint8_t) cases[i].text[k]
                                        ^ stream.data[2 + (k & 3)];
        }

        memcpy(data, stream.data, stream.len);

        for (size_t k = 0; k < 6 + cases[i].bad; k++) {
            pos = data + k;
            assert_int_not_equal(ws_parse(&p, &pos, data + k + 1, &ev),
                                 WS_ERROR);
        }

        pos = data + 6 + cases[i].bad;
        assert_int_equal(ws_parse(&p, &pos, pos + 1, &ev), WS_ERROR);
        assert_int_equal(ev.code, 1007);
    }

    stream.len = 0;
}


/* a straightforward decoder as reference */

static int
utf8_plain(const uint8_t *s, size_t len)
{
    size_t    i, n, k;
    uint32_t  c;

    for (i = 0; i < len; i += n) {

        n = s[i] < 0x80 ? 1 : s[i] >> 5 == 6 ? 2 : s[i] >> 4 == 14 ? 3
            : s[i] >> 3 == 30 ? 4 : 0;

        if (n == 0 || i + n > len) {
            return -1;
        }

        c = n == 1 ? s[i] : s[i] & (0x7fu >> n);

        for (k = 1; k < n; k++) {
            if (s[i + k] >> 6 != 2) {
                return -1;
            }

            c = c << 6 | (s[i + k] & 0x3f);
        }

        if ((n == 2 && c < 0x80) || (n == 3 && c < 0x800)
            || (n == 4 && c < 0x10000) || c > 0x10ffff
            || (c >= 0xd800 && c <= 0xdfff))
        {
            return -1;
        }
    }

    return 0;
}


static void
utf8_agrees_with_a_plain_decoder(void **state)
{
    int       a, b, c, d;
    size_t    len;
    uint32_t  whole, split;
    uint8_t   s[4];

    static const uint8_t  tails[] = {
        0x00, 0x28, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff
    };

    for (a = 0; a < 256; a++) {
        for (b = 0; b < 256; b++) {
            for (c = 0; c < (int) sizeof(tails); c++) {
                for (d = 0; d < (int) sizeof(tails); d++) {

                    s[0] = (uint8_t) a;
                    s[1] = (uint8_t) b;
                    s[2] = tails[c];
                    s[3] = tails[d];

                    for (len = 0; len <= 4; len++) {
                        whole = ws_utf8(0, s, len);
                        assert_int_equal(whole == 0,
                                         utf8_plain(s, len) == 0);

                        split = ws_utf8(ws_utf8(0, s, len / 2), s + len / 2,
                                        len - len / 2);
                        assert_int_equal(whole, split);
                    }
                }
            }
        }
    }
}


static void
utf8_is_seen_behind_any_run_of_ascii(void **state)
{
    size_t   at;
    uint8_t  s[40];

    for (at = 0; at < sizeof(s); at++) {
        memset(s, 'a', sizeof(s));
        s[at] = 0xff;
        assert_int_equal(ws_utf8(0, s, sizeof(s)), WS_UTF8_BAD);
        assert_int_equal(ws_utf8(0, s, at), 0);
    }

    assert_int_equal(ws_utf8(WS_UTF8_BAD, s, 0), WS_UTF8_BAD);
}


static void
headers_have_the_shortest_length(void **state)
{
    uint8_t  h[WS_HEAD_MAX];

    assert_bytes(h, ws_head(h, WS_OP_TEXT, 0), "\x81\x00");
    assert_bytes(h, ws_head(h, WS_OP_TEXT, 125), "\x81\x7d");
    assert_bytes(h, ws_head(h, WS_OP_BINARY, 126), "\x82\x7e\x00\x7e");
    assert_bytes(h, ws_head(h, WS_OP_TEXT, 65535), "\x81\x7e\xff\xff");
    assert_bytes(h, ws_head(h, WS_OP_PONG, 65536),
                 "\x8a\x7f\x00\x00\x00\x00\x00\x01\x00\x00");
}


static void
close_frame_has_code_and_reason(void **state)
{
    uint8_t  f[127];

    assert_bytes(f, ws_close_frame(f, 4008, "too slow"),
                 "\x88\x0a\x0f\xa8too slow");
    assert_bytes(f, ws_close_frame(f, 1000, NULL), "\x88\x02\x03\xe8");
    assert_bytes(f, ws_close_frame(f, 1005, "never"), "\x88\x00");
}


static void
close_reason_is_cut_between_characters(void **state)
{
    char     reason[200];
    size_t   i;
    uint8_t  f[127];

    memset(reason, 'x', 199);
    reason[199] = '\0';
    assert_int_equal(ws_close_frame(f, 1000, reason), 127);
    assert_int_equal(f[1], 125);

    /* a euro sign at every place around the cut */

    for (i = 118; i < 125; i++) {
        memset(reason, 'x', 199);
        memcpy(reason + i, "\xe2\x82\xac", 3);
        (void) ws_close_frame(f, 1000, reason);
        assert_int_equal(ws_utf8(0, f + 4, (size_t) f[1] - 2), 0);
        assert_true(f[1] - 2 >= 121 - 1);
    }
}


static void
accept_is_the_example_of_the_rfc(void **state)
{
    char  out[WS_ACCEPT_LEN];

    /* section 1.3, SHA-1 of dGhlIHNhbXBsZSBub25jZQ== and the GUID */
    ws_accept((const uint8_t *) "\xb3\x7a\x4f\x2c\xc0\x62\x4f\x16\x90\xf6"
                                "\x46\x06\xcf\x38\x59\x45\xb2\xbe\xc4\xea",
              out);
    assert_memory_equal(out, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", WS_ACCEPT_LEN);
}


static void
key_is_16_bytes_of_base64(void **state)
{
    assert_int_equal(ws_key_check("dGhlIHNhbXBsZSBub25jZQ==", 24), 0);
    assert_int_equal(ws_key_check("+/+/+/+/+/+/+/+/+/+/+Q==", 24), 0);
    assert_int_equal(ws_key_check("", 0), -1);
    assert_int_equal(ws_key_check("dGhlIHNhbXBsZSBub25jZQ=", 23), -1);
    assert_int_equal(ws_key_check("dGhlIHNhbXBsZSBub25jZQAA", 24), -1);
    assert_int_equal(ws_key_check("dGhlIHNhbXBsZSBub25jZQA=", 24), -1);
    assert_int_equal(ws_key_check("dGhlIHNhbXBs-SBub25jZQ==", 24), -1);
    assert_int_equal(ws_key_check("dGhlIHNhbXBs SBub25jZQ==", 24), -1);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(example_of_the_rfc_is_parsed),
        cmocka_unit_test(messages_follow_one_another),
        cmocka_unit_test(lengths_at_the_edges),
        cmocka_unit_test(fragments_are_joined),
        cmocka_unit_test(empty_fragments_are_joined),
        cmocka_unit_test(control_frames_stand_between_fragments),
        cmocka_unit_test(control_frame_of_125_bytes_is_whole),
        cmocka_unit_test(control_frame_of_126_bytes_is_1002),
        cmocka_unit_test(fragmented_control_frame_is_1002),
        cmocka_unit_test(reserved_bits_are_1002),
        cmocka_unit_test(reserved_opcodes_are_1002),
        cmocka_unit_test(unmasked_frame_is_1002_at_its_second_byte),
        cmocka_unit_test(continuation_of_nothing_is_1002),
        cmocka_unit_test(message_within_a_message_is_1002),
        cmocka_unit_test(length_not_in_its_shortest_form_is_1002),
        cmocka_unit_test(length_with_the_high_bit_is_1002),
        cmocka_unit_test(too_large_is_1009_from_the_head_alone),
        cmocka_unit_test(limit_applies_to_each_message),
        cmocka_unit_test(limit_of_zero_refuses_every_byte),
        cmocka_unit_test(close_codes_are_checked),
        cmocka_unit_test(close_without_code_is_1005),
        cmocka_unit_test(half_a_close_code_is_1002),
        cmocka_unit_test(close_reason_must_be_utf8),
        cmocka_unit_test(text_is_utf8_over_all_fragments),
        cmocka_unit_test(text_cut_within_a_character_is_1007),
        cmocka_unit_test(empty_last_fragment_cannot_complete_a_character),
        cmocka_unit_test(broken_text_is_1007_at_the_bad_byte),
        cmocka_unit_test(utf8_agrees_with_a_plain_decoder),
        cmocka_unit_test(utf8_is_seen_behind_any_run_of_ascii),
        cmocka_unit_test(headers_have_the_shortest_length),
        cmocka_unit_test(close_frame_has_code_and_reason),
        cmocka_unit_test(close_reason_is_cut_between_characters),
        cmocka_unit_test(accept_is_the_example_of_the_rfc),
        cmocka_unit_test(key_is_16_bytes_of_base64),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
