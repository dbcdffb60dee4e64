"""Clean-disconnect markers, fields "-<device>" of route:{user}.

The first entry that a device misses removes its marker, and nothing else does.
Also: entries that are published although Redis lost their events.
"""

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


def markers(edge, user):
    return {int(f[1:]) for f in edge.redis.hkeys(key(user)) if f[:1] == b"-"}


def wait_removed(edge, user):
    """The worker removes markers only after it has published the entry."""
    wait_for(lambda: markers(edge, user) == set(), 3)


class Monitor:
    """The commands that Redis gets in a `with` block."""

    def __init__(self, redis):
        self.commands = []
        self.redis = redis
        self.listening = threading.Event()
        self.thread = threading.Thread(target=self.listen, daemon=True)

    def listen(self):
        with self.redis.monitor() as m:
            self.listening.set()
            for entry in m.listen():
                self.commands.append(entry["command"])
                if entry["command"].startswith("ECHO over"):
                    return

    def __enter__(self):
        self.thread.start()
        assert self.listening.wait(5)
        return self

    def __exit__(self, *_):
        self.redis.echo("over")
        self.thread.join(5)

    def first(self, start):
        return next(i for i, c in enumerate(self.commands)
                    if c.startswith(start))


def test_entry_removes_markers_right_after_it_is_published(edge, chat):
    """Not before: Redis does not track a key that the worker itself has
    changed, so the worker would not notice a device that leaves then."""
    c, (a, b, d, e) = chat
    edge.connect(a, 1)
    leave(edge, b, 5)
    leave(edge, d, 6, 7)
    edge.connect(d, 8)
    with Monitor(edge.redis) as m:
        rec = edge.send(c, a, "m1")
        wait_for(lambda: edge.redis.xlen(msg.stream(c)) == 0)
    assert {user for user, _ in rec.items} == {a, d}
    assert [markers(edge, u) for u in (a, b, d, e)] == [set()] * 4
    published = m.first("PUBLISH edge.")
    assert m.first(f"HDEL {key(b)} -5") > published
    assert m.first(f"HDEL {key(d)} ") > published
    assert m.first("XDEL") > max(m.first(f"HDEL {key(b)} "),
                                 m.first(f"HDEL {key(d)} "))


def test_next_entry_removes_a_new_marker(edge, chat):
    c, (a, b, _, _) = chat
    for i in range(20):
        leave(edge, b, 5)
        edge.send(c, a, f"m{i}")
        wait_removed(edge, b)
        # a device that has returned gets the next entry
        edge.connect(b, 5)
        assert {u for u, _ in edge.send(c, a, f"n{i}").items} == {b}


def test_entry_removes_the_markers_of_many_devices(edge, chat):
    c, (a, b, _, _) = chat
    leave(edge, b, *range(100, 150))
    edge.send(c, a, "m1")
    wait_removed(edge, b)


def test_entry_removes_an_unconfirmed_marker(edge, chat):
    c, (a, b, _, _) = chat
    edge.redis.hset(key(b), "-5", "?%016x:9" % edge.id)
    edge.send(c, a, "m1")
    wait_removed(edge, b)


def test_typing_and_receipts_remove_no_marker(edge, chat):
    c, (a, b, d, _) = chat
    edge.connect(d, 4)
    edge.send(c, a, "m1")
    # until the batch is acknowledged, a changed route is published to again
    wait_for(lambda: edge.redis.xlen(msg.stream(c)) == 0)
    leave(edge, b, 5)
    edge.add("TYPING", c, user=a, device=1, seq=1)
    edge.wait(lambda r: r.type == "NOTICE")
    edge.add("RECEIPTS", c, user=0, body=inner.receipt(
        session=1, user=a, device=1, chat=c, delivered=1, read=1))
    edge.wait(lambda r: r.type == "NOTICE")
    assert markers(edge, b) == {5}


def test_marker_of_a_removed_member_stays(edge, chat):
    c, (a, b, _, e) = chat
    edge.connect(a, 1)
    assert edge.call("MEMBER_REMOVE", c, a, seq=b)[0] == 204
    leave(edge, b, 5)
    leave(edge, e, 5)
    edge.send(c, a, "m1")
    assert markers(edge, b) == {5}
    wait_removed(edge, e)


def test_every_kind_of_entry_removes_markers(edge, chat):
    c, (a, b, d, e) = chat
    edge.send(c, a, "m1")
    for change in (
            lambda: edge.call("MEMBER_REMOVE", c, a, seq=b),
            lambda: edge.call("MEMBERS_ADD", c, a,
                              body={"userIds": [str(b)]}),
            lambda: edge.call("CHAT_CHANGE", c, a, body={"title": "x"})):
        leave(edge, b, 5)
        leave(edge, d, 5)
        change()
        wait_removed(edge, b)
        wait_removed(edge, d)


def test_redone_entry_of_a_dead_worker_removes_markers(emptied, edge, worker):
    """The worker committed and did not publish; then the device connected
    and left."""
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
    wait_removed(edge, b)


def test_redone_removal_removes_the_marker_of_the_removed_member(
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
    wait_removed(edge, b)


def test_committed_entry_is_published_although_redis_lost_its_event(
        emptied, edge, worker):
    """While the worker waits for a row, Redis restarts empty, and devices
    connect, find nothing new and leave with markers."""
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
        wait_removed(again, b)
        assert again.send(c, a, "m3").seq == 3
    finally:
        again.close()
        db.close()
