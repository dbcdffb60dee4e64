"""Who follows whom on an edge, what it asks the presence worker, and what of
the worker's words a client hears."""

import itertools
import json
import time

import pytest
from inner import REQUESTED, F_REQUESTED, ONLINE, VISIBLE, put
from played import TIMESTAMP, quiet

import schema

STREAM = b"user.presence"
NOW = 1767323045678                 # TIMESTAMP
numbers = itertools.count(50000)


@pytest.fixture
def pw(w):
    """The presence worker, played."""
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


def people(n):
    return [next(numbers) for _ in range(n)]


def subscribe(sock, *who):
    sock.text({"type": "presence_subscribe", "userIds": [str(u) for u in who]})


def unsubscribe(sock, *who):
    sock.text({"type": "presence_unsubscribe",
               "userIds": [str(u) for u in who]})
    assert sock.message() == {"type": "presence", "users": []}


def answer(pw, ev, *items, flags=REQUESTED, as_of=None):
    """(user, flags, last seen) each; without any, all are shown online."""
    pw.publish(put("PRESENCE", flags,
                   items or [(u, ONLINE | VISIBLE, 0) for u in ev.body],
                   session=ev.session, timestamp=as_of or next(pw.as_of)))


def news(pw, *items, as_of=None):
    pw.publish(put("PRESENCE", items=items, timestamp=as_of
                   or next(pw.as_of)))


def heard(sock):
    """One presence frame as (user, status, lastSeen)."""
    got = schema.validate_frame(sock.message())
    assert got["type"] == "presence", got
    return [(int(u["userId"]), u["status"], u.get("lastSeen"))
            for u in got["users"]]


def follow(pw, sock, *who):
    subscribe(sock, *who)
    answer(pw, pw.wait("WATCH", where=lambda e: e.session == sock.session))
    assert [u for u, _, _ in heard(sock)] == sorted(who)



# ------------------------------------------------------------------ questions

def test_a_question_goes_to_the_worker_and_its_answer_to_the_client(pw, live):
    ann = live()
    on, off, seen, hidden = people(4)
    subscribe(ann, seen, on, hidden, off, on)
    ev = pw.wait("WATCH")
    assert (ev.user, ev.session, ev.flags) == (
        ann.user, ann.session, F_REQUESTED)
    assert ev.body == [on, off, seen, hidden]       # ascending, each once
    answer(pw, ev, (on, ONLINE | VISIBLE, 0), (off, VISIBLE, 0),
           (seen, VISIBLE, NOW), (hidden, 0, 0))
    assert heard(ann) == [(on, "online", None), (off, "offline", None),
                          (seen, "offline", TIMESTAMP),
                          (hidden, "offline", None)]


def test_every_session_asks_for_itself(pw, live):
    ann, bob = live(), live()
    [user] = people(1)
    follow(pw, ann, user)
    subscribe(bob, user)
    ev = pw.wait("WATCH")
    assert (ev.user, ev.session) == (bob.user, bob.session)
    answer(pw, ev, (user, 0, 0))
    assert heard(bob) == [(user, "offline", None)]


def test_asked_again_it_is_answered_again(pw, live):
    ann = live()
    [user] = people(1)
    follow(pw, ann, user)
    follow(pw, ann, user)
    quiet(ann)


def test_what_is_not_answered_is_asked_again_and_then_unavailable(pw, live):
    ann = live()
    known, lost = people(2)
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
    # what was followed before stays so
    news(pw, (known, 0, NOW), (lost, ONLINE, 0))
    assert heard(ann) == [(known, "offline", TIMESTAMP)]


def test_a_late_answer_does(pw, live):
    ann = live()
    one, two = people(2)
    subscribe(ann, one, two)
    pw.wait("WATCH")
    answer(pw, pw.wait("WATCH"))
    assert len(heard(ann)) == 2
    time.sleep(4)
    pw.nothing("WATCH", of=ann)


def test_sixteen_questions_wait_at_a_time(pw, live):
    ann = live()
    who = people(17)
    for user in who:
        subscribe(ann, user)
    got = schema.validate_frame(ann.message())
    assert (got["type"], got["code"]) == ("error", "rate_limited")
    for user in who[:16]:
        answer(pw, pw.wait("WATCH"))
        assert heard(ann) == [(user, "online", None)]
    follow(pw, ann, who[16])


def test_a_session_follows_at_most_1000(pw, live):
    ann = live()
    who = people(1001)
    for i in range(0, 1000, 200):
        follow(pw, ann, *who[i:i + 200])
    subscribe(ann, who[0], who[1000])
    got = schema.validate_frame(ann.message())
    assert (got["type"], got["code"]) == ("error", "bad_field")
    assert "1000" in got["message"]
    pw.nothing("WATCH")
    follow(pw, ann, who[0], who[999])
    unsubscribe(ann, who[0])
    follow(pw, ann, who[1000])
    # all of it changes at once: one frame
    news(pw, *((u, 0, NOW) for u in who))
    assert len(heard(ann)) == 1000


# ----------------------------------------------------------------------- news

def test_news_reaches_who_follows_and_may_know(pw, live):
    ann, bob, eve, kim = live(), live(), live(), live()
    user, other = people(2)
    follow(pw, ann, user, other)
    follow(pw, bob, user)
    follow(pw, kim, other)
    subscribe(eve, user)
    answer(pw, pw.wait("WATCH"), (user, 0, 0))
    assert heard(eve) == [(user, "offline", None)]

    news(pw, (user, 0, NOW))
    for sock in (ann, bob):
        assert heard(sock) == [(user, "offline", TIMESTAMP)]
    news(pw, (user, ONLINE, 0))
    for sock in (ann, bob):
        assert heard(sock) == [(user, "online", None)]
    time.sleep(0.4)
    for sock in (ann, bob, eve, kim):
        quiet(sock)


def test_changes_of_200_ms_are_one_frame_and_a_flap_is_none(pw, live):
    ann = live()
    who = people(50)
    follow(pw, ann, *who)
    for user in who[:49]:
        news(pw, (user, 0, NOW))
    news(pw, (who[49], 0, NOW))
    news(pw, (who[49], ONLINE, 0))
    time.sleep(0.5)
    news(pw, (who[48], ONLINE, 0))
    frames = []
    while not frames or frames[-1] != [(who[48], "online", None)]:
        frames.append(heard(ann))
    told = [u for f in frames[:-1] for u, _, _ in f]
    assert sorted(told) == who[:49]
    assert len(frames) <= 4


def test_what_is_not_new_is_not_told(pw, live):
    ann = live()
    [user] = people(1)
    follow(pw, ann, user)
    news(pw, (user, ONLINE, 0))
    time.sleep(0.4)
    quiet(ann)
    news(pw, (user, 0, NOW))
    heard(ann)
    news(pw, (user, 0, NOW))
    time.sleep(0.4)
    quiet(ann)


def test_older_news_is_dropped_unless_the_clock_was_set_back(pw, live):
    ann = live()
    [user] = people(1)
    follow(pw, ann, user)
    at = next(pw.as_of)
    news(pw, (user, 0, NOW), as_of=at + 10)
    heard(ann)
    news(pw, (user, ONLINE, 0), as_of=at)
    time.sleep(0.4)
    quiet(ann)
    news(pw, (user, ONLINE, 0), as_of=at - 61 * 10 ** 6)
    assert heard(ann) == [(user, "online", None)]


def test_news_before_the_answer_is_not_lost(pw, live):
    """It is newer than what the answer says."""
    ann = live()
    [user] = people(1)
    subscribe(ann, user)
    ev = pw.wait("WATCH")
    at = next(pw.as_of)
    news(pw, (user, ONLINE, 0), as_of=at + 10)
    time.sleep(0.4)
    quiet(ann)
    answer(pw, ev, (user, VISIBLE, NOW), as_of=at)
    assert heard(ann) == [(user, "online", None)]


def test_oneself_stays_online(pw, live):
    ann = live()
    follow(pw, ann, ann.user)
    news(pw, (ann.user, 0, NOW))
    time.sleep(0.4)
    quiet(ann)


def test_a_new_chat_makes_the_session_look_again(pw, live):
    ann, bob = live(), live()
    [user] = people(1)
    subscribe(ann, user)
    answer(pw, pw.wait("WATCH"), (user, 0, 0))
    heard(ann)
    added = {"type": "chat_added", "fromSeq": 1,
             "chatId": "0199a3c1-7b1e-7cc3-9d2f-6f0b8a51c2d4"}
    pw.publish(put("NOTICE", items=[(ann.user, 0), (bob.user, 0)],
                   frame=json.dumps(added, separators=(",", ":"))))
    assert ann.message() == bob.message() == added
    ev = pw.wait("WATCH", seconds=3)
    assert (ev.session, ev.flags, ev.body) == (ann.session, 0, [user])
    answer(pw, ev, flags=0)
    assert heard(ann) == [(user, "online", None)]
    # the other way round: what was told is taken back
    answer(pw, ev, (user, 0, 0), flags=0)
    assert heard(ann) == [(user, "offline", None)]
    answer(pw, ev, (user, 0, 0), flags=0)
    time.sleep(0.4)
    quiet(ann)
    pw.nothing("WATCH")


# ------------------------------------------------------------------ the end

def test_the_last_follower_to_go_is_told_of(pw, live):
    ann, bob = live(), live()
    user, other = people(2)
    follow(pw, ann, user, other)
    follow(pw, bob, user)
    unsubscribe(ann, user, 4711)
    time.sleep(0.4)
    # of others, perhaps: the sessions of the test before
    assert all(user not in ev.body for ev in pw.take("UNWATCH"))
    news(pw, (user, 0, NOW))
    assert heard(bob) == [(user, "offline", TIMESTAMP)]
    quiet(ann)
    unsubscribe(bob, user)
    assert pw.wait("UNWATCH").body == [user]
    ann.close()
    assert pw.wait("UNWATCH").body == [other]
    pw.nothing("UNWATCH")


def test_who_follows_again_at_once_is_not_told_of(pw, live):
    ann = live()
    [user] = people(1)
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
    one, two = people(2)
    subscribe(ann, one, two)
    ev = pw.wait("WATCH")
    unsubscribe(ann, one)
    answer(pw, ev)
    assert heard(ann) == [(two, "online", None)]
    subscribe(ann, one)
    ev = pw.wait("WATCH")
    unsubscribe(ann, one, two)
    answer(pw, ev)
    assert heard(ann) == []         # answered all the same
    news(pw, (one, 0, NOW), (two, 0, NOW))
    time.sleep(0.4)
    quiet(ann)


def test_coming_and_going_is_told_after_the_route(pw):
    user = next(numbers)
    key = "route:{%d}" % user
    mine = lambda ev: user in ev.body               # noqa: E731
    sock, ev = pw.asked(user, 1)
    edge = ev.edge
    ev = pw.wait("ONLINE", where=mine)
    assert ev.edge == edge and pw.redis.hexists(key, 1)
    sock.close()
    ev = pw.wait("OFFLINE", where=mine)
    assert ev.edge == edge and not pw.redis.hexists(key, 1)


def test_many_who_come_are_told_of_together(pw):
    who = people(300)
    socks = [pw.edge.connect(u, 1) for u in who]
    told, events = set(), 0
    while not set(who) <= told:
        told.update(pw.wait("ONLINE").body)
        events += 1
    assert events < 40
    for sock in socks:
        sock.close()
    gone = set()
    while not set(who) <= gone:
        gone.update(pw.wait("OFFLINE").body)


def test_redis_emptied_everything_is_asked_and_told_again(pw, live):
    ann = live()
    [user] = people(1)
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
    assert heard(ann) == [(user, "offline", TIMESTAMP)]


def test_hardly_anything_is_fuzzed_into_the_record(pw, live):
    """Sessions that are not there, users nobody follows, no users at all."""
    ann = live()
    [user] = people(1)
    follow(pw, ann, user)
    pw.publish(put("PRESENCE", REQUESTED, [(user, 3, 0)], session=1 << 60,
                   timestamp=next(pw.as_of)))
    pw.publish(put("PRESENCE", 0, [], timestamp=next(pw.as_of)))
    news(pw, (2 ** 63, ONLINE, 0), (0, 255, -1))
    pw.publish(put("PRESENCE", 0, [(user, 0, -(2 ** 63))],
                   session=ann.session, timestamp=next(pw.as_of)))
    time.sleep(0.4)
    assert heard(ann)[0][:2] == (user, "offline")
    quiet(ann)
