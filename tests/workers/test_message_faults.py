"""Shard owners, and faults: killed or stopped workers, stores that fail."""

import json
import signal
import time

import inner
import msg
import psycopg2
from stores import wait_for


def owners(stores):
    """{worker: number of shards}, from the advisory locks."""
    rows = stores.sql(
        "SELECT a.application_name, count(*) FROM pg_locks l JOIN"
        " pg_stat_activity a ON a.pid = l.pid WHERE l.locktype = 'advisory'"
        " AND l.classid = 1128808788 AND l.granted GROUP BY 1")
    return dict(rows)


def waiting(edge, chat):
    return edge.redis.xlen(msg.stream(chat))


def test_one_worker_takes_all_shards_within_a_second(emptied, edge, worker):
    t = time.monotonic()
    worker(emptied.conf(), "message")
    wait_for(lambda: sum(owners(emptied).values()) == 64, 3)
    assert time.monotonic() - t < 1.5
    assert emptied.sql("SELECT count(*), min(epoch) FROM shard_owners") == [
        (64, 1)]


def test_two_workers_share_the_shards_and_one_releases_them(emptied, edge,
                                                            worker):
    one = worker(emptied.conf(), "message")
    wait_for(lambda: sum(owners(emptied).values()) == 64, 3)
    two = worker(emptied.conf(), "message")
    wait_for(lambda: sorted(owners(emptied).values()) == [32, 32], 5)
    t = time.monotonic()
    assert two.stop() == 0
    assert time.monotonic() - t < 3
    wait_for(lambda: list(owners(emptied).values()) == [64], 3)
    assert edge.redis.zcard("workers:message") == 1
    one.stop()
    assert edge.redis.zcard("workers:message") == 0


def test_events_of_a_killed_worker_are_done_by_another(emptied, edge, worker):
    users = msg.make_users(emptied, 2)
    c = msg.make_chat(emptied, users)
    one = worker(emptied.conf(), "message")
    # the worker has checked every stream and reads new events
    wait_for(lambda: len(edge.redis.keys("message.owner:*")) == 64, 3)
    edge.send(c, users[0], "m0")
    wait_for(lambda: waiting(edge, c) == 0)
    # the worker dies with unfinished events: as many as one read of a stream
    # returns may be committed already
    one.signal(signal.SIGSTOP)
    for i in range(1, 90):
        edge.add("SEND", c, user=users[0], device=users[0] * 10,
                 message_id=f"m{i}", content=str(i))
    one.signal(signal.SIGKILL)
    one.process.wait()
    worker(emptied.conf(), "message")
    edge.wait(lambda r: r.type == "ENTRY" and r.seq == 90)
    got = edge.all(lambda r: r.type == "ENTRY")
    assert [r.message_id for r in got] == [f"m{i}" for i in range(90)]
    assert [i for i, r in enumerate(got) if r.flags & inner.REDO] == \
        list(range(1, 65))
    assert got[89].epoch == got[0].epoch + 1
    wait_for(lambda: waiting(edge, c) == 0)
    assert edge.redis.xlen(msg.stream(c)) == 0
    assert emptied.sql("SELECT count(*), max(seq) FROM entries") == [(90, 90)]


def test_unpublished_commit_is_published_by_the_next_owner(emptied, edge,
                                                           worker):
    """The owner died between commit and publish."""
    a, b, d = msg.make_users(emptied, 3)
    c = msg.make_chat(emptied, [a, b])
    edge.connect(b, b * 10)
    edge.connect(d, d * 10)
    one = worker(emptied.conf(), "message")
    edge.send(c, a, "m1", "x")
    edge.call("MEMBERS_ADD", c, a, body={"userIds": [str(d)]})
    one.stop()
    n = len(edge.records)
    # the same two events again, as the next owner finds them
    for kind, kw in (("SEND", {"message_id": "m1", "content": "x",
                               "session": 501}),
                     ("MEMBERS_ADD", {"flags": inner.F_REST, "session": 502,
                                      "body": json.dumps(
                                          {"userIds": [str(d)]})})):
        edge.redis.xadd(msg.stream(c), {"e": inner.event(
            kind, edge=edge.id, chat=c, user=a, device=a * 10, **kw)})
    worker(emptied.conf(), "message")
    rec = edge.wait(lambda r: r.type == "HTTP" and r.session == 502)
    assert rec.status == 200
    got = edge.records[n:]
    assert [r.type for r in got] == ["ENTRY", "ACK", "NOTICE", "ENTRY",
                                     "HTTP"]
    assert got[0].seq == 1 and got[0].flags & inner.REDO
    assert got[3].seq == 2 and got[3].flags & inner.REDO
    assert emptied.sql("SELECT count(*) FROM entries") == [(2,)]


def test_stopped_worker_loses_its_shards(emptied, edge, worker):
    users = msg.make_users(emptied, 2)
    c = msg.make_chat(emptied, users)
    one = worker(emptied.conf(), "message")
    first = edge.send(c, users[0], "m0")
    two = worker(emptied.conf(), "message")
    wait_for(lambda: sorted(owners(emptied).values()) == [32, 32], 5)
    chats = [msg.make_chat(emptied, users, chat=msg.new_chat(s))
             for s in range(64)]
    one.signal(signal.SIGSTOP)
    t = time.monotonic()
    for x in chats:
        edge.add("SEND", x, user=users[0], device=1, message_id="w",
                 content="w")
    for x in chats:
        edge.at = 0
        edge.wait(lambda r: r.type == "ENTRY" and r.chat == x, 12)
    assert time.monotonic() - t < 6
    assert list(owners(emptied).values()) == [64]
    time.sleep(max(0, 5 - (time.monotonic() - t)))
    one.signal(signal.SIGCONT)
    for i in range(5):
        for x in chats:
            edge.add("SEND", x, user=users[0], device=1, message_id=f"n{i}",
                     content="w")
        time.sleep(0.2)
    for x in chats:
        edge.at = 0
        edge.wait(lambda r: r.type == "ENTRY" and r.chat == x and r.seq == 6)
    wait_for(lambda: sorted(owners(emptied).values()) == [32, 32], 6)
    assert emptied.sql("SELECT count(*) FROM entries WHERE message_id <>"
                       " 'm0'") == [(64 * 6,)]
    # every chat has each seq once, and epochs only rise
    for x in chats:
        got = edge.all(lambda r: r.type == "ENTRY" and r.chat == x
                       and not r.flags & inner.REDO)
        epochs = [r.epoch for r in got]
        assert epochs == sorted(epochs)
        wait_for(lambda: waiting(edge, x) == 0, 5)
    assert one.process.poll() is None and two.process.poll() is None
    assert first.seq == 1


def test_event_becomes_a_dead_letter_after_five_failures(emptied, edge,
                                                         worker):
    users = msg.make_users(emptied, 2)
    c = msg.make_chat(emptied, users)
    pipe = edge.redis.pipeline(transaction=True)
    for i, text in enumerate(["good", "bad\0bad", "fine"]):
        pipe.xadd(msg.stream(c), {"e": inner.event(
            "SEND", edge=edge.id, chat=c, session=10 + i, user=users[0],
            device=7, message_id=f"m{i}", content=text)})
    pipe.xadd(msg.stream(c), {"e": b"\x09nonsense"})
    pipe.execute()
    worker(emptied.conf(), "message")
    rec = edge.wait(lambda r: r.type == "FRAME" and r.session == 11)
    assert msg.code(rec) == "internal" and rec.message_id == "m1"
    edge.at = 0
    assert edge.wait(lambda r: r.type == "ENTRY" and r.session == 12).seq == 2
    wait_for(lambda: edge.redis.xlen("message.sent.dead") == 2)
    dead = edge.redis.xrange("message.sent.dead")
    assert dead[0][1][b"failures"] == b"5"
    assert dead[0][1][b"stream"].decode() == msg.stream(c)
    assert dead[0][1][b"error"] == b"22021"
    assert dead[0][1][b"e"][0] == 1 and dead[1][1][b"e"] == b"\x09nonsense"
    wait_for(lambda: edge.redis.xlen(msg.stream(c)) == 0)


def test_event_that_kills_its_owners_becomes_a_dead_letter(emptied, edge,
                                                           worker):
    users = msg.make_users(emptied, 2)
    c = msg.make_chat(emptied, users)
    shard = msg.shard(c)
    attempts = "message.attempts:{%d}" % shard
    s = edge.add("SEND", c, user=users[0], device=7, message_id="m",
                 content="x")
    edge.add("SEND", c, user=users[0], device=7, message_id="m2",
             content="harmless")
    [(bad, _), (good, _)] = edge.redis.xrange(msg.stream(c))
    edge.redis.hset(attempts, bad, 5)
    edge.redis.hset(attempts, good, 2)
    worker(emptied.conf(), "message")
    rec = edge.wait(lambda r: r.type == "FRAME" and r.session == s)
    assert msg.code(rec) == "internal"
    edge.wait(lambda r: r.type == "ENTRY" and r.message_id == "m2")
    assert edge.redis.xlen("message.sent.dead") == 1
    assert emptied.sql("SELECT content FROM entries") == [("harmless",)]
    wait_for(lambda: not edge.redis.exists(attempts))


def test_attempts_are_counted_before_a_takeover_redoes_events(
        emptied, edge, worker):
    """Each worker that starts the events waits for a row and is killed."""
    a, b = msg.make_users(emptied, 2)
    c = msg.make_chat(emptied, [a, b])
    shard = msg.shard(c)
    attempts = "message.attempts:{%d}" % shard
    one = worker(emptied.conf(), "message")
    wait_for(lambda: sum(owners(emptied).values()) == 64, 3)
    edge.send(c, a, "m0")
    db = psycopg2.connect(emptied.dsn)
    db.cursor().execute("SELECT FROM chats WHERE id = %s FOR UPDATE",
                        [str(c)])
    for i in range(1, 4):
        edge.add("SEND", c, user=a, device=a * 10, message_id=f"m{i}",
                 content="x")
    ids = [eid for eid, _ in edge.redis.xrange(msg.stream(c))]
    for n in range(4):
        wait_for(lambda: emptied.sql("SELECT pid FROM pg_stat_activity"
                                     " WHERE wait_event_type = 'Lock'"))
        counts = edge.redis.hgetall(attempts)
        assert edge.redis.get("message.owner:{%d}" % shard)
        # the first owner counts nothing; events with two attempts are
        # done one by one
        assert counts == ({} if n == 0 else
                          {i: b"%d" % min(n, 2) for i in ids} |
                          {ids[0]: b"%d" % n})
        one.signal(signal.SIGKILL)
        one.process.wait()
        emptied.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE wait_event_type = 'Lock'")
        one = worker(emptied.conf(), "message")
    db.rollback()
    db.close()
    edge.wait(lambda r: r.type == "ENTRY" and r.message_id == "m3")
    assert emptied.sql("SELECT count(*), max(seq) FROM entries") == [(4, 4)]
    assert edge.redis.exists("message.sent.dead") == 0
    wait_for(lambda: not edge.redis.exists(attempts))


def test_reconnects_of_the_owner_are_not_counted_as_attempts(emptied, edge,
                                                             worker):
    a, b = msg.make_users(emptied, 2)
    c = msg.make_chat(emptied, [a, b])
    worker(emptied.conf(), "message")
    edge.send(c, a, "m0")
    for i in range(1, 8):
        edge.add("SEND", c, user=a, device=a * 10, message_id=f"m{i}",
                 content="x")
        emptied.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name = ANY(%s)", list(owners(emptied)))
        edge.wait(lambda r: r.type == "ENTRY" and r.message_id == f"m{i}")
    assert edge.redis.exists("message.sent.dead") == 0


def test_worker_continues_after_redis_is_emptied(emptied, edge, worker):
    users = msg.make_users(emptied, 2)
    c = msg.make_chat(emptied, users)
    worker(emptied.conf(), "message")
    edge.connect(users[1], 5)
    assert edge.send(c, users[0], "m1").items == [(users[1], 0)]
    edge.redis.flushall()
    time.sleep(0.05)
    rec = edge.send(c, users[0], "m2", timeout=3)
    assert rec.seq == 2 and rec.items == []     # the route is lost, too
    edge.connect(users[1], 5)
    rec = edge.send(c, users[0], "m3")
    assert rec.seq == 3 and rec.items == [(users[1], 0)]
    assert sum(owners(emptied).values()) == 64


def test_next_message_uses_a_changed_route(emptied, edge, worker):
    users = msg.make_users(emptied, 2)
    c = msg.make_chat(emptied, users)
    worker(emptied.conf(), "message")
    edge.send(c, users[0], "m0")
    for i in range(50):
        edge.connect(users[1], 5)
        assert edge.send(c, users[0], f"a{i}").items == [(users[1], 0)]
        edge.redis.hdel("route:{%d}" % users[1], "5")
        assert edge.send(c, users[0], f"b{i}").items == []


def test_routes_of_a_dead_edge_are_purged(emptied, edge, worker):
    users = msg.make_users(emptied, 2)
    c = msg.make_chat(emptied, users)
    worker(emptied.conf(), "message")
    edge.redis.hset("route:{%d}" % users[1], "5", "00000000deadbeef:1")
    edge.redis.hset("route:{%d}" % users[1], "6", "%016x:1" % edge.id)
    edge.send(c, users[0], "m1")
    wait_for(lambda: edge.redis.hkeys("route:{%d}" % users[1]) == [b"6"], 3)
    assert edge.send(c, users[0], "m2").items == [(users[1], 0)]


def test_edge_without_a_subscription_keeps_its_routes(emptied, edge, worker):
    users = msg.make_users(emptied, 2)
    c = msg.make_chat(emptied, users)
    worker(emptied.conf(), "message")
    edge.redis.set("edge:00000000deadbeef", "1")
    edge.redis.hset("route:{%d}" % users[1], "5", "00000000deadbeef:1")
    edge.send(c, users[0], "m1")
    time.sleep(0.7)
    edge.send(c, users[0], "m2")
    assert edge.redis.hlen("route:{%d}" % users[1]) == 1


def test_chat_changed_in_the_database_is_read_again(emptied, edge, worker):
    a, b, d = msg.make_users(emptied, 3)
    c = msg.make_chat(emptied, [a, b])
    worker(emptied.conf(), "message")
    edge.connect(d, d * 10)
    edge.send(c, a, "m1")
    emptied.sql("INSERT INTO chat_members (chat_id, user_id, role, joined_seq)"
                " VALUES (%s, %s, 3, 1)", str(c), d)
    emptied.sql("UPDATE chats SET members_version = members_version + 1")
    assert edge.send(c, a, "m2").items == [(d, 0)]


def test_worker_continues_after_a_redis_restart(emptied, edge, worker):
    users = msg.make_users(emptied, 2)
    c = msg.make_chat(emptied, users)
    w = worker(emptied.conf(), "message")
    edge.send(c, users[0], "m1")
    edge.close()
    emptied.stop_redis()
    time.sleep(1)
    emptied.start_redis()
    again = msg.MessageEdge(emptied)
    assert again.send(c, users[0], "m2", timeout=15).seq == 2
    assert w.process.poll() is None
    again.close()


def test_database_restart_loses_and_duplicates_no_message(emptied, edge,
                                                          worker):
    users = msg.make_users(emptied, 2)
    c = msg.make_chat(emptied, users)
    w = worker(emptied.conf(), "message")
    edge.send(c, users[0], "m0")
    for i in range(1, 400):
        edge.add("SEND", c, user=users[0], device=users[0] * 10,
                 message_id=f"m{i}", content=str(i), session=i + 1000)
        if i == 200:
            emptied.stop_pg(signal.SIGQUIT)
            emptied.start_pg()
    answered = {}
    end = time.monotonic() + 15
    while len(answered) < 399 and time.monotonic() < end:
        for r in edge.all(lambda r: r.type in ("ENTRY", "FRAME", "ACK")):
            if r.session > 1000:
                answered[r.session] = r
        time.sleep(0.1)
    assert len(answered) == 399
    refused = [r for r in answered.values() if r.type == "FRAME"]
    assert {msg.code(r) for r in refused} <= {"unavailable"}
    rows = emptied.sql("SELECT seq, message_id FROM entries ORDER BY seq")
    assert [r[0] for r in rows] == list(range(1, len(rows) + 1))
    assert len(rows) + len(refused) == 400
    numbers = [int(r[1][1:]) for r in rows]
    assert numbers == sorted(numbers)
    for r in answered.values():
        if r.type != "FRAME":
            assert rows[r.seq - 1][1] == r.message_id
    assert w.process.poll() is None


def test_without_database_sends_are_answered_unavailable(
        emptied, edge, worker):
    users = msg.make_users(emptied, 2)
    c = msg.make_chat(emptied, users)
    worker(emptied.conf(), "message")
    edge.send(c, users[0], "m0")
    emptied.stop_pg(signal.SIGQUIT)
    try:
        edge.add("TYPING", c, user=users[0], device=1, seq=1)
        rec = edge.send(c, users[0], "m1", timeout=8)
        assert msg.code(rec) == "unavailable"
        assert json.loads(rec.frame)["retryAfter"] == 2
        status, body = edge.post(c, users[0], "m2")
        assert (status, body["code"], body["retryAfter"]) == (
            503, "unavailable", 2)
    finally:
        emptied.start_pg()
    wait_for(lambda: sum(owners(emptied).values()) == 64, 8)
    assert edge.send(c, users[0], "m3").seq == 2


def test_without_database_each_send_is_refused_exactly_once(
        emptied, edge, worker):
    """The last owner of the shard refuses the send, unless the shard has got
    another owner since."""
    users = msg.make_users(emptied, 2)
    chats = [msg.make_chat(emptied, users, chat=msg.new_chat(s))
             for s in range(64)]
    worker(emptied.conf(), "message")
    worker(emptied.conf(), "message")
    wait_for(lambda: sorted(owners(emptied).values()) == [32, 32], 5)
    for c in chats:
        edge.send(c, users[0], "m0")
    emptied.stop_pg(signal.SIGQUIT)
    try:
        # before that, the workers may treat new events as possibly committed
        wait_for(lambda: edge.redis.zcard("workers:message") == 0, 3)
        edge.redis.set("message.owner:{9}", "another")
        for i, c in enumerate(chats):
            edge.add("SEND", c, user=users[0], device=1, message_id="m1",
                     content="x", session=1000 + i)
        wait_for(lambda: sum(edge.redis.xlen(msg.stream(c))
                             for c in chats) == 1, 8)
        assert edge.redis.xlen("message.sent:{9}") == 1
        edge.expect_nothing(lambda r: False)
        got = [r.session for r in edge.all(lambda r: r.type == "FRAME")]
        assert sorted(got) == [1000 + i for i in range(64) if i != 9]
    finally:
        emptied.start_pg()
    wait_for(lambda: sum(owners(emptied).values()) == 64, 8)
    edge.wait(lambda r: r.type == "ENTRY" and r.session == 1009)
    assert emptied.sql("SELECT count(*) FROM entries") == [(65,)]


def test_each_message_is_stored_once_although_workers_are_killed(
        emptied, edge, worker):
    users = msg.make_users(emptied, 8)
    chats = [msg.make_chat(emptied, users[i:i + 2], kind=1)
             for i in range(0, 8, 2)]
    n = 1500
    w = worker(emptied.conf(batch_max=32), "message")
    for i in range(n):
        c = chats[i % 4]
        user = users[i % 4 * 2]
        edge.add("SEND", c, user=user, device=user * 10, message_id=f"m{i}",
                 content=str(i), session=i + 1)
        if i % 250 == 249:
            w.signal(signal.SIGKILL)
            w.process.wait()
            w = worker(emptied.conf(batch_max=32), "message")

    wait_for(lambda: len({r.session for r in edge.all(
        lambda r: r.type in ("ENTRY", "ACK"))} - {0}) == n, 20)
    for k, c in enumerate(chats):
        rows = emptied.sql("SELECT seq, content FROM entries WHERE chat_id ="
                           " %s ORDER BY seq", str(c))
        assert [r[0] for r in rows] == list(range(1, len(rows) + 1))
        assert [int(r[1]) for r in rows] == list(range(k, n, 4))
        wait_for(lambda: edge.redis.xlen(msg.stream(c)) == 0)
    assert edge.redis.exists("message.sent.dead") == 0
