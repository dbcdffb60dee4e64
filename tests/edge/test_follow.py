"""Presence subscriptions on an edge: which events the edge sends to the
presence worker, and which of the worker's records reach a client."""

import itertools
import json
import time

import pytest
from inner import REQUESTED, F_REQUESTED, ONLINE, VISIBLE, put
from played import TIMESTAMP, expect_no_frame

import schema

STREAM = b"user.presence"
NOW = 1767323045678                 # TIMESTAMP
numbers = itertools.count(50000)


@pytest.fixture
def pw(w):
    """The test plays the presence worker."""
    found = w.redis.xrevrange(STREAM, count=1)
    w.last[STREAM] = found[0][0] if found else b"0-0"
    w.as_of = itertools.count(int(time.time() * 10 ** 6))
    return w


@pytest.fixture
def live(pw):
    made = []

    def make(user=None):
        user = user or next(numbers)
        sock, session = pw.synced(user, next(numbers))
        sock.user, sock.session = user, session
        made.append(sock)
        return sock

    yield make
    for sock in made:
        sock.close()


def new_users(n):
    return [next(numbers) for _ in range(n)]


def subscribe(sock, *users):
    sock.text({"type": "presence_subscribe",
               "userIds": [str(u) for u in users]})


def unsubscribe(sock, *users):
    sock.text({"type": "presence_unsubscribe",
               "userIds": [str(u) for u in users]})
    assert sock.message() == {"type": "presence", "users": []}


def answer(pw, ev, *items, flags=REQUESTED, as_of=None):
    """Each item is (user, flags, last seen). Without items every requested
    user is online and visible."""
    pw.publish(put("PRESENCE", flags,
                   items or [(u, ONLINE | VISIBLE, 0) for u in ev.body],
                   session=ev.session, timestamp=as_of or next(pw.as_of)))


def update(pw, *items, as_of=None):
    pw.publish(put("PRESENCE", items=items, timestamp=as_of
                   or next(pw.as_of)))


def read_presence(sock):
    """Reads one presence frame; returns (user, status, lastSeen) of each."""
    got = schema.validate_frame(sock.message())
    assert got["type"] == "presence", got
    return [(int(u["userId"]), u["status"], u.get("lastSeen"))
            for u in got["users"]]


def follow(pw, sock, *users):
    subscribe(sock, *users)
    answer(pw, pw.wait("WATCH", where=lambda e: e.session == sock.session))
    assert [u for u, _, _ in read_presence(sock)] == sorted(users)



# -------------------------------------------------------------- subscriptions

def test_a_subscription_gets_the_workers_answer(pw, live):
    ann = live()
    on, off, seen, hidden = new_users(4)
    subscribe(ann, seen, on, hidden, off, on)
    ev = pw.wait("WATCH")
    assert (ev.user, ev.session, ev.flags) == (
        ann.user, ann.session, F_REQUESTED)
    assert ev.body == [on, off, seen, hidden]       # ascending, each once
    answer(pw, ev, (on, ONLINE | VISIBLE, 0), (off, VISIBLE, 0),
           (seen, VISIBLE, NOW), (hidden, 0, 0))
    assert read_presence(ann) == [(on, "online", None), (off, "offline", None),
                                  (seen, "offline", TIMESTAMP),
                                  (hidden, "offline", None)]


def test_every_session_sends_its_own_request(pw, live):
    ann, bob = live(), live()
    [user] = new_users(1)
    follow(pw, ann, user)
    subscribe(bob, user)
    ev = pw.wait("WATCH")
    assert (ev.user, ev.session) == (bob.user, bob.session)
    answer(pw, ev, (user, 0, 0))
    assert read_presence(bob) == [(user, "offline", None)]


def test_a_repeated_subscription_is_answered_again(pw, live):
    ann = live()
    [user] = new_users(1)
    follow(pw, ann, user)
    follow(pw, ann, user)
    expect_no_frame(ann)


def test_an_unanswered_request_is_repeated_then_unavailable(pw, live):
    ann = live()
    known, lost = new_users(2)
    follow(pw, ann, known)
    subscribe(ann, known, lost)
    began = time.monotonic()
    pw.wait("WATCH")
    for _ in range(2):
        ev = pw.wait("WATCH")
        assert ev.body == [known, lost] and ev.flags == F_REQUESTED
    got = schema.validate_frame(ann.message())
    assert (got["type"], got["code"]) == ("error", "unavailable")
    assert got["retryAfter"] > 0
    assert 9 < time.monotonic() - began < 14
    # the earlier subscription and the new one both stay
    update(pw, (known, 0, NOW), (lost, ONLINE, 0))
    assert read_presence(ann) == [(known, "offline", TIMESTAMP)]


def test_a_late_answer_is_accepted(pw, live):
    ann = live()
    one, two = new_users(2)
    subscribe(ann, one, two)
    pw.wait("WATCH")
    answer(pw, pw.wait("WATCH"))
    assert len(read_presence(ann)) == 2
    time.sleep(4)
    pw.expect_nothing("WATCH", sock=ann)


def test_at_most_16_requests_wait_at_a_time(pw, live):
    ann = live()
    users = new_users(17)
    for user in users:
        subscribe(ann, user)
    got = schema.validate_frame(ann.message())
    assert (got["type"], got["code"]) == ("error", "rate_limited")
    for user in users[:16]:
        answer(pw, pw.wait("WATCH"))
        assert read_presence(ann) == [(user, "online", None)]
    follow(pw, ann, users[16])


def test_a_session_follows_at_most_1000_users(pw, live):
    ann = live()
    users = new_users(1001)
    for i in range(0, 1000, 200):
        follow(pw, ann, *users[i:i + 200])
    subscribe(ann, users[0], users[1000])
    got = schema.validate_frame(ann.message())
    assert (got["type"], got["code"]) == ("error", "bad_field")
    assert "1000" in got["message"]
    pw.expect_nothing("WATCH")
    follow(pw, ann, users[0], users[999])
    unsubscribe(ann, users[0])
    follow(pw, ann, users[1000])
    # all users change at once: the client gets one frame
    update(pw, *((u, 0, NOW) for u in users))
    assert len(read_presence(ann)) == 1000


# -------------------------------------------------------------------- updates

def test_an_update_reaches_followers_that_may_see_it(pw, live):
    ann, bob, eve, kim = live(), live(), live(), live()
    user, other = new_users(2)
    follow(pw, ann, user, other)
    follow(pw, bob, user)
    follow(pw, kim, other)
    subscribe(eve, user)
    answer(pw, pw.wait("WATCH"), (user, 0, 0))
    assert read_presence(eve) == [(user, "offline", None)]

    update(pw, (user, 0, NOW))
    for sock in (ann, bob):
        assert read_presence(sock) == [(user, "offline", TIMESTAMP)]
    update(pw, (user, ONLINE, 0))
    for sock in (ann, bob):
        assert read_presence(sock) == [(user, "online", None)]
    time.sleep(0.4)
    for sock in (ann, bob, eve, kim):
        expect_no_frame(sock)


def test_changes_within_200_ms_are_one_frame_and_a_flap_none(pw, live):
    ann = live()
    users = new_users(50)
    follow(pw, ann, *users)
    for user in users[:49]:
        update(pw, (user, 0, NOW))
    update(pw, (users[49], 0, NOW))
    update(pw, (users[49], ONLINE, 0))
    time.sleep(0.5)
    update(pw, (users[48], ONLINE, 0))
    frames = []
    while not frames or frames[-1] != [(users[48], "online", None)]:
        frames.append(read_presence(ann))
    changed = [u for f in frames[:-1] for u, _, _ in f]
    assert sorted(changed) == users[:49]
    assert len(frames) <= 4


def test_an_unchanged_presence_is_not_sent(pw, live):
    ann = live()
    [user] = new_users(1)
    follow(pw, ann, user)
    update(pw, (user, ONLINE, 0))
    time.sleep(0.4)
    expect_no_frame(ann)
    update(pw, (user, 0, NOW))
    read_presence(ann)
    update(pw, (user, 0, NOW))
    time.sleep(0.4)
    expect_no_frame(ann)


def test_an_older_update_is_dropped_unless_the_clock_was_set_back(pw, live):
    ann = live()
    [user] = new_users(1)
    follow(pw, ann, user)
    at = next(pw.as_of)
    update(pw, (user, 0, NOW), as_of=at + 10)
    read_presence(ann)
    update(pw, (user, ONLINE, 0), as_of=at)
    time.sleep(0.4)
    expect_no_frame(ann)
    update(pw, (user, ONLINE, 0), as_of=at - 61 * 10 ** 6)
    assert read_presence(ann) == [(user, "online", None)]


def test_an_update_before_the_answer_is_not_lost(pw, live):
    """The update is newer than the answer."""
    ann = live()
    [user] = new_users(1)
    subscribe(ann, user)
    ev = pw.wait("WATCH")
    at = next(pw.as_of)
    update(pw, (user, ONLINE, 0), as_of=at + 10)
    time.sleep(0.4)
    expect_no_frame(ann)
    answer(pw, ev, (user, VISIBLE, NOW), as_of=at)
    assert read_presence(ann) == [(user, "online", None)]


def test_a_follower_of_the_own_user_sees_it_online(pw, live):
    ann = live()
    follow(pw, ann, ann.user)
    update(pw, (ann.user, 0, NOW))
    time.sleep(0.4)
    expect_no_frame(ann)


def test_a_new_chat_refreshes_the_presence_of_a_session(pw, live):
    ann, bob = live(), live()
    [user] = new_users(1)
    subscribe(ann, user)
    answer(pw, pw.wait("WATCH"), (user, 0, 0))
    read_presence(ann)
    added = {"type": "chat_added", "fromSeq": 1,
             "chatId": "0199a3c1-7b1e-7cc3-9d2f-6f0b8a51c2d4"}
    pw.publish(put("NOTICE", items=[(ann.user, 0), (bob.user, 0)],
                   frame=json.dumps(added, separators=(",", ":"))))
    assert ann.message() == bob.message() == added
    ev = pw.wait("WATCH", seconds=3)
    assert (ev.session, ev.flags, ev.body) == (ann.session, 0, [user])
    answer(pw, ev, flags=0)
    assert read_presence(ann) == [(user, "online", None)]
    # a refresh can also hide a user again
    answer(pw, ev, (user, 0, 0), flags=0)
    assert read_presence(ann) == [(user, "offline", None)]
    answer(pw, ev, (user, 0, 0), flags=0)
    time.sleep(0.4)
    expect_no_frame(ann)
    pw.expect_nothing("WATCH")


# ------------------------------------------------------------- unsubscribing

def test_the_edge_unwatches_after_the_last_follower(pw, live):
    ann, bob = live(), live()
    user, other = new_users(2)
    follow(pw, ann, user, other)
    follow(pw, bob, user)
    unsubscribe(ann, user, 4711)
    time.sleep(0.4)
    # sessions of the test before may still cause UNWATCH for other users
    assert all(user not in ev.body for ev in pw.take("UNWATCH"))
    update(pw, (user, 0, NOW))
    assert read_presence(bob) == [(user, "offline", TIMESTAMP)]
    expect_no_frame(ann)
    unsubscribe(bob, user)
    assert pw.wait("UNWATCH").body == [user]
    ann.close()
    assert pw.wait("UNWATCH").body == [other]
    pw.expect_nothing("UNWATCH")


def test_following_again_at_once_sends_no_unwatch(pw, live):
    ann = live()
    [user] = new_users(1)
    for _ in range(3):
        follow(pw, ann, user)
        unsubscribe(ann, user)
        follow(pw, ann, user)
        time.sleep(0.4)
        assert all(user not in ev.body for ev in pw.take("UNWATCH"))
    unsubscribe(ann, user)
    assert pw.wait("UNWATCH", where=lambda e: user in e.body).body == [user]


def test_an_answer_for_a_user_no_longer_followed(pw, live):
    ann = live()
    one, two = new_users(2)
    subscribe(ann, one, two)
    ev = pw.wait("WATCH")
    unsubscribe(ann, one)
    answer(pw, ev)
    assert read_presence(ann) == [(two, "online", None)]
    subscribe(ann, one)
    ev = pw.wait("WATCH")
    unsubscribe(ann, one, two)
    answer(pw, ev)
    assert read_presence(ann) == []         # an empty answer all the same
    update(pw, (one, 0, NOW), (two, 0, NOW))
    time.sleep(0.4)
    expect_no_frame(ann)


def test_online_and_offline_follow_the_change_of_the_route(pw):
    user = next(numbers)
    key = "route:{%d}" % user
    mine = lambda ev: user in ev.body               # noqa: E731
    sock, ev = pw.catching_up(user, 1)
    edge = ev.edge
    ev = pw.wait("ONLINE", where=mine)
    assert ev.edge == edge and pw.redis.hexists(key, 1)
    sock.close()
    ev = pw.wait("OFFLINE", where=mine)
    assert ev.edge == edge and not pw.redis.hexists(key, 1)


def test_many_connecting_users_share_events(pw):
    users = new_users(300)
    socks = [pw.edge.connect(u, 1) for u in users]
    online, events = set(), 0
    while not set(users) <= online:
        online.update(pw.wait("ONLINE").body)
        events += 1
    assert events < 40
    for sock in socks:
        sock.close()
    offline = set()
    while not set(users) <= offline:
        offline.update(pw.wait("OFFLINE").body)


def test_after_a_flushall_presence_is_sent_and_requested_again(pw, live):
    ann = live()
    [user] = new_users(1)
    follow(pw, ann, user)
    pw.take("ONLINE")
    pw.redis.flushall()
    pw.last = {stream: b"0-0" for stream in pw.last}
    pw.redis.zadd("device.revoked", {"0:0": 9999999999})
    pw.redis.zadd("workers:message", {"edge-test": 1 << 50})
    assert pw.wait("ONLINE", where=lambda e: ann.user in e.body)
    ev = pw.wait("WATCH", where=lambda e: e.session == ann.session)
    assert (ev.flags, ev.body) == (0, [user])
    pw.ready()
    answer(pw, ev, (user, VISIBLE, NOW), flags=0)
    assert read_presence(ann) == [(user, "offline", TIMESTAMP)]


def test_presence_records_with_unusual_values_are_harmless(pw, live):
    """Unknown sessions, users without a follower, and no users at all."""
    ann = live()
    [user] = new_users(1)
    follow(pw, ann, user)
    pw.publish(put("PRESENCE", REQUESTED, [(user, 3, 0)], session=1 << 60,
                   timestamp=next(pw.as_of)))
    pw.publish(put("PRESENCE", 0, [], timestamp=next(pw.as_of)))
    update(pw, (2 ** 63, ONLINE, 0), (0, 255, -1))
    pw.publish(put("PRESENCE", 0, [(user, 0, -(2 ** 63))],
                   session=ann.session, timestamp=next(pw.as_of)))
    time.sleep(0.4)
    assert read_presence(ann)[0][:2] == (user, "offline")
    expect_no_frame(ann)
