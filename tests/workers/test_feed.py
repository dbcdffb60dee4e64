"""The committed feed: writing, delivery, trimming and its limit."""

import json
import signal
import subprocess
import time

import inner
import msg
import psycopg2
import pytest
from stores import BUILD, clean_env, wait_for

ROLES = "feed.roles"
REDO = 1


def feed(chat):
    return "message.committed:{%d}" % msg.shard(chat)


def stored(redis):
    return sum(redis.xlen("message.committed:{%d}" % s) for s in range(64))


def stat(redis, name):
    return int(redis.hget("feed.stats", name) or 0)


class Reader:
    """A process of tests/workers/feed_reader.c."""

    def __init__(self, conf, role, mode=None):
        self.out = conf.parent / f"{role}.json"
        self.process = subprocess.Popen(
            [str(BUILD / "feed_reader"), str(conf), role]
            + ([mode] if mode else []), env=clean_env(),
            stdout=open(self.out, "ab"),
            stderr=open(conf.parent / f"{role}.log", "ab"))

    def records(self):
        return [json.loads(x) for x in self.out.read_text().splitlines()]

    def seqs(self, chat, redo=True):
        return [r["seq"] for r in self.records() if r["chat"] == str(chat)
                and (redo or not r["flags"] & REDO)]

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(10)
        return self.process.returncode


@pytest.fixture
def reader():
    started = []

    def start(*args):
        started.append(Reader(*args))
        return started[-1]

    yield start

    for r in started:
        r.stop()


def wait_registered(w, n=1):
    """Waits until the message worker has seen a registered role."""
    wait_for(lambda: w.log().count("entries are written") >= n, 5)


def test_without_a_role_nothing_is_written(emptied, edge, worker):
    users = msg.make_users(emptied, 2)
    c = msg.make_chat(emptied, users)
    worker(emptied.conf(), "message")
    edge.send(c, users[0], "m0")
    time.sleep(1.3)
    for i in range(1, 5):
        edge.send(c, users[0], f"m{i}")
    assert edge.redis.keys("message.committed:*") == []
    assert edge.redis.keys("feed.*") == []


def test_every_kind_of_entry_appears_with_its_fields(emptied, edge, worker,
                                                     reader):
    a, b, d = msg.make_users(emptied, 3)
    c = msg.make_chat(emptied, [a, b])
    w = worker(emptied.conf(), "message")
    r = reader(emptied.conf(), "push")
    wait_registered(w)
    edge.send(c, a, "m1", content_type="image/png", media_id="x")
    edge.send(c, b, "m2", expires_in=60)
    for kind, mid, seq in (("EDIT", "m3", 1), ("REACT", "m4", 2),
                           ("DELETE", "m5", 1)):
        s = edge.add(kind, c, user=a, device=a * 10, message_id=mid, seq=seq,
                     content="" if kind == "DELETE" else "new")
        edge.wait(lambda x: x.type == "ENTRY" and x.session == s)
    edge.call("MEMBERS_ADD", c, a, body={"userIds": [str(d)]})
    edge.call("MEMBER_CHANGE", c, a, seq=d, body={"role": "admin"})
    edge.call("CHAT_CHANGE", c, a, body={"title": "new"})
    edge.call("MEMBER_REMOVE", c, a, seq=b)
    edge.call("CHAT_LEAVE", c, d)
    wait_for(lambda: len(r.records()) == 10)
    got = r.records()
    assert [x["seq"] for x in got] == list(range(1, 11))
    assert [x["kind"] for x in got] == [
        "message", "message", "edit", "reaction", "delete", "member_added",
        "role_changed", "chat_changed", "member_removed", "member_left"]
    assert [x["sender"] for x in got] == [a, b] + [a] * 7 + [d]
    assert [x["device"] for x in got] == [x["sender"] * 10 for x in got]
    assert [x["target"] for x in got] == [0, 0, 1, 2, 1, 0, 0, 0, 0, 0]
    assert [x["subject"] for x in got] == [0] * 5 + [d, d, 0, b, d]
    assert [x["members"] for x in got] == [2] * 5 + [3, 3, 3, 2, 1]
    assert [x["version"] for x in got] == [1] * 5 + [2, 3, 3, 4, 5]
    assert got[0]["contentType"] == "image/png"
    assert [x["flags"] for x in got] == [8, 4] + [0] * 8
    times = emptied.sql("SELECT (extract(epoch FROM created_at) * 1000)::int8"
                        " FROM entries ORDER BY seq")
    assert [x["timestamp"] for x in got] == [t for t, in times]
    for x in got:
        assert x["shard"] == msg.shard(c) and x["chat"] == str(c)
        assert x["chatType"] == 2 and x["mentions"] == 0


def test_two_roles_get_all_entries_in_order(emptied, edge, worker, reader):
    users = msg.make_users(emptied, 2)
    chats = [msg.make_chat(emptied, users) for _ in range(20)]
    w = worker(emptied.conf(), "message")
    one = reader(emptied.conf(), "push")
    two = reader(emptied.conf(), "search")
    wait_registered(w)
    wait_for(lambda: edge.redis.zcard(ROLES) == 2)
    for i in range(25):
        for c in chats:
            edge.add("SEND", c, user=users[0], device=1, message_id=f"m{i}",
                     content="x")
    for r in one, two:
        wait_for(lambda: len(r.records()) == 500, 20)
        for c in chats:
            assert r.seqs(c) == list(range(1, 26))
    # both have acknowledged
    wait_for(lambda: stored(edge.redis) == 0)
    wait_for(lambda: stat(edge.redis, "written") == 500)
    wait_for(lambda: stat(edge.redis, "trimmed_by_ack")
             == stat(edge.redis, "stream_entries"))
    assert stat(edge.redis, "dropped_by_limit") == 0


def test_worker_killed_between_commit_and_publish_loses_no_entry(
        emptied, edge, worker, reader):
    a, b, *more = msg.make_users(emptied, 6)
    c = msg.make_chat(emptied, [a, b])
    one = worker(emptied.conf(), "message")
    r = reader(emptied.conf(), "push")
    wait_registered(one)
    # the worker has checked every stream: new events are not done as a redo
    wait_for(lambda: len(edge.redis.keys("message.owner:*")) == 64)
    edge.send(c, a, "m1", "x")
    wait_for(lambda: r.seqs(c) == [1])
    # the next owner finds both the events and their effects in the database
    one.signal(signal.SIGSTOP)
    edge.add("SEND", c, user=a, device=a * 10, message_id="m2", content="x")
    edge.add("MEMBERS_ADD", c, flags=inner.F_REST, user=a, device=a * 10,
             body=json.dumps({"userIds": [str(u) for u in more]}))
    edge.add("SEND", c, user=b, device=b * 10, message_id="m3", content="x")
    edge.add("MEMBER_REMOVE", c, flags=inner.F_REST, user=a, device=a * 10,
             seq=b)
    events = edge.redis.xrange(msg.stream(c))
    assert len(events) == 4
    # Redis refuses PUBLISH: the worker commits and can do nothing more
    edge.redis.execute_command("ACL", "SETUSER", "default", "-publish",
                               "-xadd", "-xdel")
    try:
        one.signal(signal.SIGCONT)
        wait_for(lambda: emptied.sql("SELECT count(*) FROM entries")
                 == [(8,)])
        one.signal(signal.SIGKILL)
        one.process.wait()
    finally:
        edge.redis.execute_command("ACL", "SETUSER", "default", "+publish",
                                   "+xadd", "+xdel")
    assert edge.redis.xlen(msg.stream(c)) == 4
    assert r.seqs(c) == [1]
    worker(emptied.conf(), "message")
    wait_for(lambda: set(r.seqs(c)) == set(range(1, 9)))
    assert r.seqs(c, redo=False) == [1]
    wait_for(lambda: edge.redis.xlen(msg.stream(c)) == 0)


def test_records_of_a_dead_consumer_are_claimed(emptied, edge, worker, reader):
    users = msg.make_users(emptied, 2)
    c = msg.make_chat(emptied, users)
    w = worker(emptied.conf(), "message")
    dead = reader(emptied.conf(), "push", "noack")
    wait_registered(w)
    edge.send(c, users[0], "m1")
    wait_for(lambda: dead.seqs(c) == [1])
    dead.kill()
    edge.send(c, users[0], "m2")
    time.sleep(4.5)
    assert edge.redis.xlen(feed(c)) == 2        # without an ack, no trim
    r = reader(emptied.conf(), "push")
    wait_for(lambda: sorted(r.seqs(c)) == [1, 2], 20)
    wait_for(lambda: edge.redis.xlen(feed(c)) == 0)


def test_unregistered_role_does_not_keep_records(emptied, edge, worker,
                                                 reader):
    users = msg.make_users(emptied, 2)
    c = msg.make_chat(emptied, users)
    w = worker(emptied.conf(), "message")
    off = reader(emptied.conf(), "search", "noack")
    on = reader(emptied.conf(), "push")
    wait_registered(w)
    wait_for(lambda: edge.redis.zcard(ROLES) == 2)
    edge.send(c, users[0], "m1")
    wait_for(lambda: off.seqs(c) == [1] and on.seqs(c) == [1])
    time.sleep(4.5)
    assert edge.redis.xlen(feed(c)) == 1
    assert off.stop() == 0
    assert reader(emptied.conf(), "search",
                  "unregister").process.wait(10) == 0
    wait_for(lambda: edge.redis.xlen(feed(c)) == 0)
    assert edge.redis.zrange(ROLES, 0, -1) == [b"push"]
    on.stop()
    edge.send(c, users[0], "m2")
    assert edge.redis.xlen(feed(c)) >= 1
    assert emptied.ctl("feed", "drop", "push").stdout == ""
    wait_for(lambda: "no role is registered" in w.log())
    wait_for(lambda: edge.redis.xlen(feed(c)) == 0)
    edge.send(c, users[0], "m3")
    time.sleep(0.2)
    assert edge.redis.xlen(feed(c)) == 0


def test_backlog_of_a_dead_role_is_limited_and_logged(emptied, edge, worker,
                                                      reader):
    users = msg.make_users(emptied, 2)
    c = msg.make_chat(emptied, users)
    w = worker(emptied.conf(feed_limit=10), "message")
    dead = reader(emptied.conf(), "webhook")
    live = reader(emptied.conf(), "push")
    wait_registered(w)
    wait_for(lambda: edge.redis.zcard(ROLES) == 2)
    dead.kill()
    edge.redis.zadd(ROLES, {"webhook": int(time.time() * 1000) - 60000})
    for i in range(30):
        edge.send(c, users[0], f"m{i}")
    wait_for(lambda: edge.redis.xlen(feed(c)) == 10)
    wait_for(lambda: stat(edge.redis, "dropped_by_limit") == 20)
    for i in range(30, 35):
        edge.send(c, users[0], f"m{i}")
    wait_for(lambda: stat(edge.redis, "dropped_by_limit") == 25)
    lines = [x for x in w.log().splitlines() if "feed_limit=10" in x]
    assert len(lines) == 1
    assert f"shard={msg.shard(c)} role=webhook is dead" in lines[0]
    wait_for(lambda: live.seqs(c) == list(range(1, 36)))
    done = emptied.ctl("feed").stdout.splitlines()
    rows = {x.split()[0]: x.split()[1:] for x in done if x}
    assert rows["webhook"][0] == "10" and rows["webhook"][-1] == "(dead)"
    assert rows["push"][:2] == ["0", "0"]
    assert rows["stored"] == ["10"] and rows["dropped_by_limit"] == ["25"]
    # a role that returns gets the remaining records
    again = reader(emptied.conf(), "webhook")
    wait_for(lambda: again.seqs(c) == list(range(26, 36)))
    wait_for(lambda: edge.redis.xlen(feed(c)) == 0)


def test_feed_continues_after_redis_is_emptied(emptied, edge, worker, reader):
    users = msg.make_users(emptied, 2)
    c = msg.make_chat(emptied, users)
    w = worker(emptied.conf(), "message")
    r = reader(emptied.conf(), "push")
    wait_registered(w)
    edge.send(c, users[0], "m1")
    wait_for(lambda: r.seqs(c) == [1])
    edge.redis.flushall()
    wait_for(lambda: edge.redis.exists(ROLES), 5)
    time.sleep(1.2)
    edge.send(c, users[0], "m2")
    wait_for(lambda: r.seqs(c)[-1] == 2)


def test_ctl_feed_drop_of_an_unknown_role_fails(emptied):
    assert emptied.ctl("feed", "drop", "none", check=False).returncode == 1
    assert emptied.ctl("feed", "drop", "NO ROLE", check=False).returncode == 2
    assert "stored 0" in emptied.ctl("feed").stdout
