/*
 * presence_test.c: decoding of events in presence_round.c, routes as text, and
 * the presence that others see of a user.
 */

#include "chat_test.h"
#include "chat_id.h"
#include "presence.h"


static int
take(presence_t *p, uint8_t type, uint8_t flags, size_t len, int64_t now)
{
    size_t         i;
    uint8_t        data[16384], body[PRESENCE_BODY * CHAT_USER_SIZE + 8];
    chat_event_t   ev;

    for (i = 0; i + CHAT_USER_SIZE <= sizeof(body); i += CHAT_USER_SIZE) {
        chat_user_encode(100 + i / CHAT_USER_SIZE, body + i);
    }

    memset(&ev, 0, sizeof(ev));
    ev.type = type;
    ev.flags = flags;
    ev.edge = 7;
    ev.session = 8;
    ev.user = 9;
    ev.received = 50000;
    ev.body.data = (const char *) body;
    ev.body.len = len;

    chat_event_encode(&ev, data);

    return presence_add_event(p, data, chat_event_size(&ev), now);
}


static void
empty(presence_t *p)
{
    presence_reset(p);
    free(p->changes);
    free(p->requests);
    free(p->pairs);
}


static void
events_become_one_change_per_user(void **state)
{
    presence_t  p;

    memset(&p, 0, sizeof(p));

    assert_int_equal(take(&p, CHAT_EV_ONLINE, 0, 16, 50000), 0);
    assert_int_equal(take(&p, CHAT_EV_OFFLINE, 0, 8, 50000), 0);
    assert_int_equal(take(&p, CHAT_EV_UNWATCH, 0, 8, 99999999), 0);
    assert_int_equal(take(&p, CHAT_EV_REFRESH, 0, 0, 50000), 0);

    assert_int_equal(p.nchanges, 4);
    assert_int_equal(p.changes[1].type, CHAT_EV_ONLINE);
    assert_int_equal(p.changes[1].user, 101);
    assert_int_equal(p.changes[1].edge, 7);
    assert_int_equal(p.changes[2].type, CHAT_EV_OFFLINE);
    assert_int_equal(p.changes[2].received, 50000);
    assert_int_equal(p.changes[3].type, CHAT_EV_UNWATCH);
    assert_int_equal(p.nrequests, 0);

    empty(&p);
}


static void
a_watch_becomes_pairs(void **state)
{
    presence_t  p;

    memset(&p, 0, sizeof(p));

    assert_int_equal(take(&p, CHAT_EV_WATCH, 0, 8, 50000), 0);
    assert_int_equal(take(&p, CHAT_EV_WATCH, CHAT_EV_F_REQUESTED, 1600, 60000),
                     0);
    assert_int_equal(take(&p, CHAT_EV_WATCH, 0, 8, 60001), 0);  /* too old */

    assert_int_equal(p.nrequests, 2);
    assert_int_equal(p.npairs, 201);
    assert_int_equal(p.requests[0].requested, 0);
    assert_int_equal(p.requests[1].requested, 1);
    assert_int_equal(p.requests[1].session, 8);
    assert_int_equal(p.requests[1].pairs, 1);
    assert_int_equal(p.requests[1].npairs, 200);
    assert_int_equal(p.pairs[200].asker, 9);
    assert_int_equal(p.pairs[200].user, 299);
    assert_int_equal(p.nchanges, 0);

    empty(&p);
}


static void
unknown_events_are_refused(void **state)
{
    presence_t  p;

    memset(&p, 0, sizeof(p));

    assert_int_equal(take(&p, CHAT_EV_SEND, 0, 8, 50000), -1);
    assert_int_equal(take(&p, CHAT_EV_SYNC_PAGE, 0, 8, 50000), -1);
    assert_int_equal(take(&p, CHAT_EV_REFRESH + 1, 0, 8, 50000), -1);
    assert_int_equal(take(&p, CHAT_EV_ONLINE, 0, 7, 50000), -1);
    assert_int_equal(take(&p, CHAT_EV_WATCH, 0, 9, 50000), -1);
    assert_int_equal(take(&p, CHAT_EV_ONLINE, 0,
                          (PRESENCE_BODY + 1) * CHAT_USER_SIZE, 50000), -1);
    assert_int_equal(presence_add_event(&p, (const uint8_t *) "\x01", 1, 50000),
                     -1);

    assert_int_equal(p.nchanges, 0);
    assert_int_equal(p.nrequests, 0);

    empty(&p);
}


static void
route_is_parsed(void **state)
{
    uint64_t  edge, session;

    assert_int_equal(chat_route_parse("00ff00000000000a:12", 19, &edge,
                                          &session), 0);
    assert_true(edge == 0x00ff00000000000a);
    assert_int_equal(session, 12);

    assert_int_equal(chat_route_parse("ffffffffffffffff:1", 18, &edge,
                                          &session), 0);
    assert_true(edge == UINT64_MAX);
}


static void
invalid_routes_are_refused(void **state)
{
    size_t    i;
    uint64_t  edge, session;

    static const char  *texts[] = {
        "", "00ff00000000000a", "00ff00000000000a:", "00ff00000000000a:0",
        "00ff00000000000a:x", "00ff00000000000a-1", "00FF00000000000a:1",
        "0x0f00000000000a:1", " 0ff00000000000a:1", "0ff00000000000a:12"
    };

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_int_equal(chat_route_parse(texts[i], strlen(texts[i]),
                                              &edge, &session), -1);
    }
}


static void
user_is_shown_online_while_leaving_and_never_when_invisible(void **state)
{
    size_t           i;
    presence_user_t  u;
    chat_presence_t  item;

    static const struct {
        unsigned  visible, online, leaving, flags;
        int64_t   seen;
    } cases[] = {
        { 1, 1, 0, CHAT_PRESENCE_ONLINE, 0 },
        { 1, 0, 1, CHAT_PRESENCE_ONLINE, 0 },
        { 1, 0, 0, 0, 77 },
        { 0, 1, 0, 0, 77 },
        { 0, 0, 1, 0, 77 },
        { 0, 0, 0, 0, 77 },
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        memset(&u, 0, sizeof(u));
        u.user = 5;
        u.loaded = 1;
        u.last_seen = 77;
        u.visible = cases[i].visible & 1;
        u.online = cases[i].online & 1;
        u.leaving = cases[i].leaving & 1;

        presence_user_item(&u, &item);

        assert_int_equal(item.user, 5);
        assert_int_equal(item.flags, cases[i].flags);
        assert_int_equal(item.last_seen, cases[i].seen);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(events_become_one_change_per_user),
        cmocka_unit_test(a_watch_becomes_pairs),
        cmocka_unit_test(unknown_events_are_refused),
        cmocka_unit_test(route_is_parsed),
        cmocka_unit_test(invalid_routes_are_refused),
        cmocka_unit_test(
            user_is_shown_online_while_leaving_and_never_when_invisible),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
