"""The presence worker on real stores; the test plays the edges."""

import pathlib
import signal
import time
import uuid

import pytest
from fake_edge import FakeEdge
from inner import REQUESTED, F_REQUESTED, ONLINE, VISIBLE, event, users
from stores import wait_for

STREAM = "user.presence"
DELAY = 3               # s from the last disconnect to offline
EDGE_TTL = 15
NOBODY = 2 ** 62        # an id of no user


def now():
    return int(time.time() * 1000)


class PresenceEdge(FakeEdge):
    """An edge that has routes and writes presence events."""

    def notify(self, kind, *ids, **kw):
        self.add(STREAM, kind, body=users(*ids), **kw)

    def connect(self, user, device=1, notify=True):
        self.route(user, device)
        if notify:
            self.notify("ONLINE", user)

    def leave(self, user, device=1, **kw):
        self.redis.hdel("route:{%d}" % user, device)
        self.notify("OFFLINE", user, **kw)

    def watch(self, user, *ids, flags=F_REQUESTED, **kw):
        """Requests presences for a session; returns {user: (flags, last
        seen)}."""
        session = next(self.sessions)
        self.notify("WATCH", *ids, user=user, session=session, flags=flags,
                    **kw)
        rec = self.wait(lambda rec: rec.session == session)
        self.skip_batch(rec)
        assert rec.type == "PRESENCE"
        assert rec.flags == (REQUESTED if flags else 0)
        assert [u for u, _, _ in rec.items] == list(ids)
        self.as_of = rec.timestamp
        return {u: (f, seen) for u, f, seen in rec.items}

    def update(self, timeout=5):
        """The next update that is published to the watching edges."""
        rec = self.wait(timeout=timeout)
        assert (rec.type, rec.session, rec.flags) == ("PRESENCE", 0, 0)
        return {u: (f, seen) for u, f, seen in rec.items}


class World:
    def __init__(self, stores):
        self.sql = stores.sql

    def user(self, status="available", last_seen=None, privacy=None):
        return self.sql("INSERT INTO users (status, last_seen, privacy)"
                        " VALUES (%s, to_timestamp(%s / 1000.0), %s)"
                        " RETURNING id", status, last_seen,
                        '{"lastSeen": "%s"}' % privacy if privacy
                        else "{}")[0][0]

    def chat(self, *members):
        chat = str(uuid.uuid4())
        self.sql("INSERT INTO chats (id, type, created_by) VALUES (%s, 2, 1)",
                 chat)
        for u in members:
            self.sql("INSERT INTO chat_members (chat_id, user_id, role,"
                     " joined_seq) VALUES (%s, %s, 3, 1)", chat, u)
        return chat

    def friends(self, **kw):
        ann, bob = self.user(), self.user(**kw)
        self.chat(ann, bob)
        return ann, bob

    def last_seen(self, user):
        [[at]] = self.sql("SELECT (extract(epoch FROM last_seen) * 1000)"
                          "::bigint FROM users WHERE id = %s", user)
        return at


@pytest.fixture
def presence(emptied, worker):
    w = worker(emptied.conf(log_level="debug"), "presence")
    wait_for(lambda: emptied.redis().exists(STREAM))
    w.world, w.stores, w.edge = World(emptied), emptied, PresenceEdge(emptied)
    w.redis = emptied.redis()
    yield w
    # after every test the stream is empty
    wait_for(lambda: w.redis.xlen(STREAM) == 0, 15, "empty stream")
    assert w.redis.xpending(STREAM, "presence")["pending"] == 0


# ------------------------------------------------------------------ requests

def test_presence_is_visible_to_users_of_a_common_chat(presence):
    e, w = presence.edge, presence.world
    ann, bob, eve, kim = (w.user() for _ in range(4))
    seen = w.user(last_seen=1700000000123)
    w.chat(ann, bob, seen)
    w.chat(eve, kim)
    e.connect(bob)
    e.connect(eve)
    assert e.watch(ann, bob, seen, eve, NOBODY, ann) == {
        bob: (ONLINE | VISIBLE, 0), seen: (VISIBLE, 1700000000123),
        eve: (0, 0), NOBODY: (0, 0), ann: (ONLINE | VISIBLE, 0)}


def test_presence_is_not_visible_after_leaving_the_chat(presence):
    e, w = presence.edge, presence.world
    ann, bob = w.friends(last_seen=1700000000123)
    chat = w.chat(ann, bob)
    other = w.chat(ann, bob)
    e.connect(bob)
    w.sql("UPDATE chat_members SET left_seq = 1 WHERE user_id = %s"
          " AND chat_id <> %s", bob, chat)
    assert e.watch(ann, bob) == {bob: (ONLINE | VISIBLE, 0)}
    w.sql("UPDATE chat_members SET left_seq = 1 WHERE user_id = %s"
          " AND chat_id = %s", ann, chat)
    assert e.watch(ann, bob) == {bob: (0, 0)}
    assert other


def test_watch_is_registered_only_for_visible_users(presence):
    e, w = presence.edge, presence.world
    ann, bob = w.friends()
    eve = w.user()
    began = now()
    e.watch(ann, ann, bob, eve)
    field = presence.redis.hgetall("watch:{%d}" % bob)
    assert list(field) == [e.hex.encode()]
    assert began <= int(field[e.hex.encode()]) <= now()
    assert 800 < presence.redis.ttl("watch:{%d}" % bob) <= 900
    assert not presence.redis.exists("watch:{%d}" % ann, "watch:{%d}" % eve)


def test_answer_to_a_refresh_has_no_requested_flag(presence):
    e, w = presence.edge, presence.world
    ann, bob = w.friends()
    assert e.watch(ann, bob, flags=0) == {bob: (VISIBLE, 0)}


@pytest.mark.parametrize("privacy,shown", [("everyone", 1), ("contacts", 1),
                                           ("nobody", 0)])
def test_last_seen_follows_the_users_privacy(presence, privacy, shown):
    e, w = presence.edge, presence.world
    ann, bob = w.friends(last_seen=1700000000123, privacy=privacy)
    assert e.watch(ann, bob) == {bob: (VISIBLE, shown * 1700000000123)}


def test_erased_user_is_offline(presence):
    e, w = presence.edge, presence.world
    ann, bob = w.friends()
    e.connect(bob)
    w.sql("UPDATE users SET erased_at = now() WHERE id = %s", bob)
    assert e.watch(ann, bob) == {bob: (VISIBLE, 0)}


def test_answers_have_the_time_of_redis(presence):
    e, w = presence.edge, presence.world
    ann, bob = w.friends()
    before = presence.redis.time()
    e.watch(ann, bob)
    after = presence.redis.time()
    assert before <= divmod(e.as_of, 10 ** 6) <= after


def test_old_request_is_not_answered(presence):
    e, w = presence.edge, presence.world
    ann, bob = w.friends()
    e.notify("WATCH", bob, user=ann, session=7, received=now() - 11000)
    e.expect_nothing()


def test_malformed_events_are_dropped(presence):
    r = presence.redis
    r.xadd(STREAM, {"e": b"\x01garbage"})
    r.xadd(STREAM, {"x": b"y"})
    r.xadd(STREAM, {"e": event("SEND", body=users(1))})
    r.xadd(STREAM, {"e": event("ONLINE", body=b"1234567")})
    r.xadd(STREAM, {"e": event("ONLINE", body=users(*range(1, 1026)))})
    r.xadd(STREAM, {"e": event("ONLINE")})
    wait_for(lambda: presence.redis.xlen(STREAM) == 0)
    assert presence.log().count("is not a presence event") == 5
    assert presence.process.poll() is None


# ------------------------------------------------------------------- updates

def test_watching_edges_get_an_update_when_a_user_connects(presence):
    e, w = presence.edge, presence.world
    other = PresenceEdge(presence.stores)
    ann, bob = w.friends()
    kim = w.user()
    w.chat(ann, kim)
    e.watch(ann, bob, kim)
    presence.redis.hset("route:{%d}" % bob, 1, other.hex + ":1")
    presence.redis.hset("route:{%d}" % kim, 1, other.hex + ":2")
    other.notify("ONLINE", bob, kim)
    assert e.update() == {bob: (ONLINE, 0), kim: (ONLINE, 0)}
    other.expect_nothing()


def test_departed_user_is_offline_after_three_seconds(presence):
    e, w = presence.edge, presence.world
    ann, bob = w.friends()
    e.connect(bob)
    e.watch(ann, bob)
    left = now()
    e.leave(bob, received=left)
    assert e.watch(ann, bob) == {bob: (ONLINE | VISIBLE, 0)}
    e.expect_nothing(during=DELAY - 0.5 - (now() - left) / 1000)
    assert w.last_seen(bob) is None
    assert e.update() == {bob: (0, left)}
    assert w.last_seen(bob) == left
    assert e.watch(ann, bob) == {bob: (VISIBLE, left)}
    assert presence.redis.zcard("presence.leaving") == 0


def test_user_who_returns_in_time_does_not_go_offline(presence):
    e, w = presence.edge, presence.world
    ann, bob = w.friends()
    e.connect(bob)
    e.watch(ann, bob)
    e.leave(bob)
    time.sleep(1.5)
    e.connect(bob, device=2)
    assert e.update() == {bob: (ONLINE, 0)}
    e.expect_nothing(during=DELAY)
    assert w.last_seen(bob) is None
    assert presence.redis.zcard("presence.leaving") == 0


def test_second_departure_restarts_the_delay(presence):
    e, w = presence.edge, presence.world
    ann, bob = w.friends()
    e.connect(bob)
    e.watch(ann, bob)
    e.leave(bob)
    time.sleep(2)
    e.connect(bob)
    e.update()
    e.leave(bob)
    left = time.monotonic()
    assert e.update()[bob][0] == 0
    assert time.monotonic() - left > DELAY - 0.3


def test_last_seen_never_moves_back(presence):
    e, w = presence.edge, presence.world
    future = now() + 60000
    ann, bob = w.friends(last_seen=future)
    e.watch(ann, bob)
    e.leave(bob)
    assert e.update() == {bob: (0, future)}
    assert w.last_seen(bob) == future


def test_last_seen_hidden_by_privacy_is_still_stored(presence):
    e, w = presence.edge, presence.world
    ann, bob = w.friends(privacy="nobody")
    e.watch(ann, bob)
    e.leave(bob)
    assert e.update() == {bob: (0, 0)}
    assert w.last_seen(bob) > now() - 10000


def test_invisible_user_is_offline_and_keeps_the_last_seen(presence):
    e, w = presence.edge, presence.world
    ann, bob = w.friends(last_seen=1700000000123)
    e.connect(bob)
    assert e.watch(ann, bob) == {bob: (ONLINE | VISIBLE, 0)}
    w.sql("UPDATE users SET status = 'invisible' WHERE id = %s", bob)
    e.notify("REFRESH", bob)
    assert e.update() == {bob: (0, 1700000000123)}
    assert e.watch(ann, bob) == {bob: (VISIBLE, 1700000000123)}
    e.connect(bob, device=2)
    assert e.update() == {bob: (0, 1700000000123)}
    e.leave(bob)
    e.leave(bob, device=2)
    assert e.update() == {bob: (0, 1700000000123)}
    assert w.last_seen(bob) == 1700000000123


def test_unwatch_ends_the_updates(presence):
    e, w = presence.edge, presence.world
    ann, bob = w.friends()
    e.watch(ann, bob)
    time.sleep(0.01)
    e.notify("UNWATCH", bob, NOBODY)
    e.connect(bob)
    e.expect_nothing()
    assert not presence.redis.exists("watch:{%d}" % bob)


def test_unwatch_older_than_the_last_watch_is_ignored(presence):
    e, w = presence.edge, presence.world
    ann, bob = w.friends()
    e.watch(ann, bob)
    e.notify("UNWATCH", bob, received=now() - 5000)
    e.connect(bob)
    assert e.update() == {bob: (ONLINE, 0)}


# --------------------------------------------------------------------- edges

def test_route_of_a_dead_edge_is_ignored_and_purged(presence):
    e, w = presence.edge, presence.world
    dead = PresenceEdge(presence.stores)
    dead.stop_heartbeat()
    ann, bob = w.friends()
    dead.connect(bob, notify=False)
    assert e.watch(ann, bob) == {bob: (VISIBLE, 0)}
    assert not presence.redis.exists("route:{%d}" % bob)


def test_users_of_a_dead_edge_go_offline(presence):
    e, w = presence.edge, presence.world
    dying = PresenceEdge(presence.stores)
    ann, bob = w.friends()
    kim, eve = w.user(), w.user()
    w.chat(ann, kim, eve)
    dying.connect(bob)
    dying.connect(kim)
    e.connect(kim, device=2)        # another device on another edge
    dying.connect(eve)
    dying.leave(eve)                # this user left before
    e.watch(ann, bob, kim)
    wait_for(lambda: presence.redis.smembers("presence.edge:" + dying.hex)
             == {str(u).encode() for u in (bob, kim)})
    died = now()
    dying.stop_heartbeat()
    e.heartbeat()
    update = e.update()
    assert set(update) == {bob} and update[bob][0] == 0
    assert abs(update[bob][1] - (died - EDGE_TTL * 1000)) < 3000
    assert w.last_seen(bob) == update[bob][1]
    assert w.last_seen(kim) is None
    wait_for(lambda: not presence.redis.exists("presence.edge:" + dying.hex)
             and dying.hex.encode()
             not in presence.redis.smembers("presence.edges"))
    assert not presence.redis.exists("route:{%d}" % bob)


def test_users_of_an_edge_that_died_before_online_go_offline(presence):
    """The user was online only by the route; the worker finds the user all the
    same."""
    e, w = presence.edge, presence.world
    dying = PresenceEdge(presence.stores)
    ann, bob = w.friends()
    dying.connect(bob, notify=False)
    assert e.watch(ann, bob) == {bob: (ONLINE | VISIBLE, 0)}
    time.sleep(1.1)
    dying.stop_heartbeat()
    assert e.update()[bob][0] == 0


def test_many_users_of_a_dead_edge_go_offline(presence):
    e, w = presence.edge, presence.world
    dying = PresenceEdge(presence.stores)
    ann = w.user()
    [[first]] = w.sql("WITH u AS (INSERT INTO users (status) SELECT"
                      " 'available' FROM generate_series(1, 1300)"
                      " RETURNING id) SELECT min(id) FROM u")
    many = range(first, first + 1300)
    chat = w.chat(ann)
    w.sql("INSERT INTO chat_members (chat_id, user_id, role, joined_seq)"
          " SELECT %s, id, 3, 1 FROM users WHERE id >= %s", chat, first)
    pipe = presence.redis.pipeline()
    for u in many:
        pipe.hset("route:{%d}" % u, 1, f"{dying.hex}:{u}")
    pipe.execute()
    for i in range(0, 1300, 200):
        dying.notify("ONLINE", *many[i:i + 200])
        e.watch(ann, *many[i:i + 200])
    time.sleep(1.1)
    dying.stop_heartbeat()
    offline = {}
    while len(offline) < 1300:
        offline.update(e.update(15))
    assert set(offline) == set(many)
    assert not any(flags for flags, _ in offline.values())
    [[n]] = w.sql("SELECT count(*) FROM users WHERE last_seen IS NOT NULL")
    assert n == 1300


def test_user_with_another_device_on_the_edge_stays_online(presence):
    e, w = presence.edge, presence.world
    ann, bob = w.friends()
    e.connect(bob)
    e.connect(bob, device=2)
    e.watch(ann, bob)
    e.leave(bob)
    e.expect_nothing(during=DELAY + 1)
    assert presence.redis.smembers("presence.edge:" + e.hex) \
        == {str(bob).encode()}


def test_watch_of_a_dead_edge_is_deleted(presence):
    e, w = presence.edge, presence.world
    dead = PresenceEdge(presence.stores)
    ann, bob = w.friends()
    e.watch(ann, bob)
    dead.watch(ann, bob)
    time.sleep(1.1)
    dead.stop_heartbeat()
    e.connect(bob)
    assert e.update() == {bob: (ONLINE, 0)}
    assert list(presence.redis.hgetall("watch:{%d}" % bob)) \
        == [e.hex.encode()]


def test_watch_that_is_too_old_is_deleted(presence):
    e, w = presence.edge, presence.world
    ann, bob = w.friends()
    e.watch(ann, bob)
    presence.redis.hset("watch:{%d}" % bob, e.hex, now() - 901000)
    e.connect(bob)
    e.expect_nothing()
    assert not presence.redis.exists("watch:{%d}" % bob)


# -------------------------------------------------------------------- faults

def test_events_of_a_dead_worker_are_done_by_the_next(presence):
    e, w = presence.edge, presence.world
    ann, bob = w.friends()
    e.watch(ann, bob)
    r = presence.redis
    # the answer to WATCH is published before its event is acknowledged
    wait_for(lambda: r.xpending(STREAM, "presence")["pending"] == 0,
             say="acknowledged WATCH")
    presence.signal(signal.SIGSTOP)
    stat = pathlib.Path(f"/proc/{presence.pid}/stat")
    wait_for(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T",
             say="stopped worker")
    e.connect(bob)
    # another consumer reads the event and dies with it; if the stopped worker
    # was waiting in XREADGROUP, Redis has assigned the event to it already
    r.xreadgroup("presence", "presence", {STREAM: ">"})
    [read] = r.xpending_range(STREAM, "presence", "-", "+", 10)
    r.xclaim(STREAM, "presence", "presence", 0, [read["message_id"]],
             idle=20000)
    presence.signal(signal.SIGCONT)
    assert e.update() == {bob: (ONLINE, 0)}


def test_group_is_created_again_after_redis_is_emptied(presence):
    e, w = presence.edge, presence.world
    ann, bob = w.friends()
    presence.redis.flushall()
    e.heartbeat()
    assert e.watch(ann, bob) == {bob: (VISIBLE, 0)}


def test_worker_continues_after_a_redis_restart(presence):
    e, w = presence.edge, presence.world
    ann, bob = w.friends()
    presence.stores.stop_redis()
    time.sleep(0.5)
    presence.stores.start_redis()
    e = PresenceEdge(presence.stores)
    assert e.watch(ann, bob) == {bob: (VISIBLE, 0)}
    assert presence.process.poll() is None


def test_without_the_database_updates_wait(presence):
    e, w = presence.edge, presence.world
    ann, bob = w.friends()
    kim = w.user()
    w.chat(ann, kim)
    e.connect(bob)
    e.watch(ann, bob, kim)
    presence.stores.stop_pg()
    try:
        left = now()
        e.leave(bob, received=left)
        e.connect(kim)
        e.expect_nothing(during=DELAY + 1.5)
    finally:
        presence.stores.start_pg()
    updates = {}
    while len(updates) < 2:
        updates.update(e.update(20))
    assert updates == {bob: (0, left), kim: (ONLINE, 0)}
    assert w.last_seen(bob) == left


def test_two_workers_share_the_stream(presence, worker):
    e, w = presence.edge, presence.world
    worker(presence.stores.conf(), "presence")
    ann = w.user()
    friends = [w.user() for _ in range(40)]
    w.chat(ann, *friends)
    e.watch(ann, *friends)
    for f in friends:
        e.connect(f)
    online = {}
    while len(online) < 40:
        online.update(e.update())
    for f in friends:
        e.leave(f)
    offline = {}
    while len(offline) < 40:
        offline.update({u: s for u, s in e.update().items() if not s[0] & 1})
    assert set(offline) == set(friends)


def test_worker_ends_at_sigterm(presence):
    presence.signal(signal.SIGTERM)
    assert presence.process.wait(5) == 0
