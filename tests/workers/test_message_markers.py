"""Notes of devices that left with everything (route:{user}, "-<device>"): the
first entry that they miss takes them, nothing else does. And what is owed to
whom Redis has forgotten."""

import signal
import threading

import inner
import msg
import psycopg2
import pytest
from stores import wait_for

RUN = b"0123456789abcdef"


@pytest.fixture
def chat(emptied, worker):
    users = msg.make_users(emptied, 4)
    worker(emptied.conf(), "message")
    return msg.make_chat(emptied, users), users


def key(user):
    return "route:{%d}" % user


def leave(edge, user, *devices):
    for device in devices:
        edge.redis.hdel(key(user), str(device))
        edge.redis.hset(key(user), f"-{device}", RUN)


def notes(edge, user):
    return {int(f[1:]) for f in edge.redis.hkeys(key(user)) if f[:1] == b"-"}


def gone(edge, user):
    """The edge is told first."""
    wait_for(lambda: notes(edge, user) == set(), 3)


class Monitor:
    """What clients say to Redis meanwhile."""

    def __init__(self, redis):
        self.commands = []
        self.redis = redis
        self.there = threading.Event()
        self.thread = threading.Thread(target=self.listen, daemon=True)

    def listen(self):
        with self.redis.monitor() as m:
            self.there.set()
            for said in m.listen():
                self.commands.append(said["command"])
                if said["command"].startswith("ECHO over"):
                    return

    def __enter__(self):
        self.thread.start()
        assert self.there.wait(5)
        return self

    def __exit__(self, *_):
        self.redis.echo("over")
        self.thread.join(5)

    def first(self, start):
        return next(i for i, c in enumerate(self.commands)
                    if c.startswith(start))


def test_an_entry_takes_the_notes_right_after_it_is_told(edge, chat):
    """Not before: a route that we have changed ourselves is not tracked, and
    who leaves it then would not be noticed."""
    c, (a, b, d, e) = chat
    edge.connect(a, 1)
    leave(edge, b, 5)
    leave(edge, d, 6, 7)
    edge.connect(d, 8)
    with Monitor(edge.redis) as m:
        rec = edge.send(c, a, "m1")
        wait_for(lambda: edge.redis.xlen(msg.stream(c)) == 0)
    assert {user for user, _ in rec.items} == {a, d}
    assert [notes(edge, u) for u in (a, b, d, e)] == [set()] * 4
    told = m.first("PUBLISH edge.")
    assert m.first(f"HDEL {key(b)} -5") > told
    assert m.first(f"HDEL {key(d)} ") > told
    assert m.first("XDEL") > max(m.first(f"HDEL {key(b)} "),
                                 m.first(f"HDEL {key(d)} "))


def test_a_note_that_came_after_the_last_entry_goes_with_the_next(edge, chat):
    c, (a, b, _, _) = chat
    for i in range(20):
        leave(edge, b, 5)
        edge.send(c, a, f"m{i}")
        gone(edge, b)
        # and who has come back is told of the next one
        edge.connect(b, 5)
        assert {u for u, _ in edge.send(c, a, f"n{i}").items} == {b}


def test_however_many_devices_a_user_has_had(edge, chat):
    c, (a, b, _, _) = chat
    leave(edge, b, *range(100, 150))
    edge.send(c, a, "m1")
    gone(edge, b)


def test_a_note_not_yet_sure_goes_too(edge, chat):
    c, (a, b, _, _) = chat
    edge.redis.hset(key(b), "-5", "?%016x:9" % edge.id)
    edge.send(c, a, "m1")
    gone(edge, b)


def test_what_is_no_entry_takes_no_note(edge, chat):
    c, (a, b, d, _) = chat
    edge.connect(d, 4)
    edge.send(c, a, "m1")
    leave(edge, b, 5)
    edge.add("TYPING", c, user=a, device=1, seq=1)
    edge.wait(lambda r: r.type == "NOTICE")
    edge.add("RECEIPTS", c, user=0, body=inner.receipt(
        session=1, user=a, device=1, chat=c, delivered=1, read=1))
    edge.wait(lambda r: r.type == "NOTICE")
    assert notes(edge, b) == {5}


def test_who_may_not_see_it_keeps_the_note(edge, chat):
    c, (a, b, _, e) = chat
    edge.connect(a, 1)
    assert edge.call("MEMBER_REMOVE", c, a, seq=b)[0] == 204
    leave(edge, b, 5)
    leave(edge, e, 5)
    edge.send(c, a, "m1")
    assert notes(edge, b) == {5}
    gone(edge, e)


def test_every_kind_of_entry_takes_it(edge, chat):
    c, (a, b, d, e) = chat
    edge.send(c, a, "m1")
    for what in (lambda: edge.call("MEMBER_REMOVE", c, a, seq=b),
                 lambda: edge.call("MEMBERS_ADD", c, a,
                                   body={"userIds": [str(b)]}),
                 lambda: edge.call("CHAT_CHANGE", c, a, body={"title": "x"})):
        leave(edge, b, 5)
        leave(edge, d, 5)
        what()
        gone(edge, b)
        gone(edge, d)


def test_what_a_dead_worker_left_takes_it(emptied, edge, worker):
    """It had committed, and told nobody; then the device came and went."""
    a, b = msg.make_users(emptied, 2)
    c = msg.make_chat(emptied, [a, b])
    one = worker(emptied.conf(), "message")
    edge.send(c, a, "m1")
    wait_for(lambda: edge.redis.xlen(msg.stream(c)) == 0)
    one.signal(signal.SIGKILL)
    one.process.wait()
    edge.add("SEND", c, user=a, device=a * 10, message_id="m1",
             content="hello")
    leave(edge, b, 5)
    worker(emptied.conf(), "message")
    edge.wait(lambda r: r.type == "ENTRY" and r.flags & inner.REDO)
    gone(edge, b)


def test_a_departure_that_was_not_told_takes_the_note_of_who_departed(
        emptied, edge, worker):
    a, b = msg.make_users(emptied, 2)
    c = msg.make_chat(emptied, [a, b])
    one = worker(emptied.conf(), "message")
    edge.send(c, a, "m1")
    assert edge.call("MEMBER_REMOVE", c, a, seq=b)[0] == 204
    edge.send(c, a, "m2")
    wait_for(lambda: edge.redis.xlen(msg.stream(c)) == 0)
    one.signal(signal.SIGKILL)
    one.process.wait()
    edge.connect(b, 6)
    leave(edge, b, 5)
    edge.add("MEMBER_REMOVE", c, flags=inner.F_REST, user=a, device=a * 10,
             body="", seq=b)
    worker(emptied.conf(), "message")
    rec = edge.wait(lambda r: r.type == "ENTRY" and r.flags & inner.REDO)
    assert rec.seq == 2 and (b, 0) in rec.items
    gone(edge, b)


def test_what_was_committed_is_told_although_redis_lost_its_event(
        emptied, edge, worker):
    """The worker waits for a row; meanwhile Redis comes back empty, devices
    connect, find nothing and leave with everything."""
    a, b = msg.make_users(emptied, 2)
    c = msg.make_chat(emptied, [a, b])
    worker(emptied.conf(), "message")
    edge.send(c, a, "m1")
    db = psycopg2.connect(emptied.dsn)
    db.cursor().execute("SELECT FROM chats WHERE id = %s FOR UPDATE",
                        [str(c)])
    edge.add("SEND", c, user=a, device=a * 10, message_id="m2", content="x")
    wait_for(lambda: emptied.sql("SELECT pid FROM pg_stat_activity"
                                 " WHERE wait_event_type = 'Lock'"))
    emptied.stop_redis()
    emptied.start_redis()
    again = msg.MessageEdge(emptied)
    try:
        again.connect(a, 1)
        leave(again, b, 5)
        db.rollback()
        rec = again.wait(lambda r: r.type == "ENTRY")
        assert (rec.seq, rec.message_id) == (2, "m2")
        assert rec.flags & inner.REDO and rec.items == [(a, 0)]
        gone(again, b)
        assert again.send(c, a, "m3").seq == 3
    finally:
        again.close()
        db.close()
