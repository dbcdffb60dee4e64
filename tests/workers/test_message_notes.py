"""Notes of devices that left with everything (route:{user}, "-<device>"): the
first entry that they miss takes them, before any edge is told of it; nothing
else does."""

import signal
import threading

import inner
import msg
import pytest
from stores import wait_for

RUN = b"0123456789abcdef"


@pytest.fixture
def edge(emptied):
    e = msg.Edge(emptied)
    yield e
    e.close()


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


def test_an_entry_takes_the_notes_before_it_is_told(edge, chat):
    c, (a, b, d, e) = chat
    edge.connect(a, 1)
    leave(edge, b, 5)
    leave(edge, d, 6, 7)
    edge.connect(d, 8)
    with Monitor(edge.redis) as m:
        rec = edge.send(c, a, "m1")
    assert {user for user, _ in rec.items} == {a, d}
    assert [notes(edge, u) for u in (a, b, d, e)] == [set()] * 4
    told = m.first("PUBLISH edge.")
    assert m.first(f"HDEL {key(b)} -5") < told
    assert m.first(f"HDEL {key(d)} ") < told


def test_a_note_that_came_after_the_last_entry_goes_with_the_next(edge, chat):
    c, (a, b, _, _) = chat
    for i in range(20):
        leave(edge, b, 5)
        edge.send(c, a, f"m{i}")
        assert notes(edge, b) == set()
        # and who has come back is told of the next one
        edge.connect(b, 5)
        assert {u for u, _ in edge.send(c, a, f"n{i}").items} == {b}


def test_a_note_not_yet_sure_goes_too(edge, chat):
    c, (a, b, _, _) = chat
    edge.redis.hset(key(b), "-5", "?%016x:9" % edge.id)
    edge.send(c, a, "m1")
    assert notes(edge, b) == set()


def test_what_is_no_entry_takes_no_note(edge, chat):
    c, (a, b, d, _) = chat
    edge.connect(d, 4)
    edge.send(c, a, "m1")
    leave(edge, b, 5)
    edge.add("TYPING", c, user=a, device=1, seq=1)
    edge.wait(lambda r: r.type == "NOTICE")
    edge.add("MARKS", c, user=0, body=inner.mark(
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
    assert notes(edge, e) == set()


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
        assert notes(edge, b) == set()
        assert notes(edge, d) == set()


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
    edge.redis.xreadgroup("message", "ghost", {msg.stream(c): ">"})
    leave(edge, b, 5)
    worker(emptied.conf(), "message")
    edge.wait(lambda r: r.type == "ENTRY" and r.flags & inner.REDO)
    assert notes(edge, b) == set()
