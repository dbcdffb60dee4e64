"""Redis dies, hangs, is emptied, is full or closes one of the two connections.
Clients stay connected, get `unavailable` errors, and miss nothing."""

import itertools
import json
import signal
import time

import pytest
from edge import Edge, wait_for
from inner import put
from played import Played, expect_no_frame, new_chat, refused_before, seqs

import schema

numbers = itertools.count(20000)
JSON = ("Content-Type", "application/json")


@pytest.fixture
def me():
    return next(numbers), next(numbers)


@pytest.fixture(scope="module")
def edge():
    with Edge(http="chat_stream_limit 100;", server="""
            location /metrics { chat_status metrics; }
            location /api/ {
                chat_auth on;
                chat_enqueue on;
                proxy_pass http://127.0.0.1:@PORT@/worker;
            }
            location /worker { return 200; }
            """) as e:
        yield e


def send(sock, chat, message_id):
    sock.text({"type": "send_message", "chatId": str(chat),
               "messageId": message_id, "content": "x"})


def expect_refused(sock, chat, message_id):
    error = schema.validate_frame(sock.message())
    assert (error["type"], error["code"], error["messageId"],
            error["chatId"]) == ("error", "unavailable", message_id,
                                 str(chat))
    assert error["retryAfter"] >= 1


def wait_until_not_ready(edge):
    wait_for(lambda: edge.http("GET", "/readyz").status == 503, "503")


def post(edge, user, device, chat):
    return edge.http("POST", f"/api/v1/chats/{chat}/messages", [
        ("Authorization", f"Bearer {edge.token(user, device)}"), JSON],
        b'{"messageId":"r","content":"x"}')


def route(edge, user, device):
    return edge.redis.hget("route:{%d}" % user, device)


def expect_resync(w, sock, session, chat, last):
    """The session requests everything that it may have missed, gets the
    entries, and gets no second sync_complete."""
    ev = w.wait("SYNC_LIST", where=lambda ev: ev.session == session)
    assert ev.body == []
    w.publish(w.list(ev, (chat, last - 2, last)), edge=ev.edge)
    ev = w.wait("SYNC_PAGE", where=lambda ev: ev.session == session)
    w.publish(w.full_page(ev), edge=ev.edge)
    assert seqs(sock, ev.body[0][2] - ev.body[0][1]) == [
        ("new_message", n) for n in range(ev.body[0][1] + 1, last + 1)]
    w.publish(w.entry(chat, last + 1, [ev.user]), edge=ev.edge)
    assert seqs(sock, 1) == [("new_message", last + 1)]


def test_redis_dies_and_comes_back_empty(me):
    with Edge(server="""
            location /api/ {
                chat_auth on;
                chat_enqueue on;
                proxy_pass http://127.0.0.1:@PORT@/worker;
            }
            location /worker { return 200; }
            """) as edge:
        w = Played(edge)
        sock, session = w.synced(*me)
        chat = new_chat()
        w.publish(w.entry(chat, 4, [me[0]]))
        assert seqs(sock, 1) == [("new_message", 4)]

        edge.processes[0].kill()
        edge.processes[0].wait()
        wait_until_not_ready(edge)
        for n in range(3):
            send(sock, chat, f"a-{n}")
            expect_refused(sock, chat, f"a-{n}")
        sock.text({"type": "typing", "chatId": str(chat), "active": True})
        sock.text({"type": "delivered", "chatId": str(chat), "seq": 4})
        sock.text({"type": "ping"})
        assert sock.message()["type"] == "pong"
        got = post(edge, *me, chat)
        problem = schema.validate_problem(got.status, got.headers, got.body)
        assert (got.status, problem["code"]) == (503, "unavailable")
        assert int(got.headers["retry-after"]) >= 1

        edge.redis_socket.unlink(missing_ok=True)
        edge.start_redis()
        w = Played(edge)
        w.last = dict.fromkeys(w.last, b"0-0")      # every event is new
        w.ready()
        wait_for(lambda: route(edge, *me), "the route is written")
        # the receipt waited for Redis
        assert w.wait("RECEIPTS").body == [(session, *me, chat, 4, 0)]
        expect_resync(w, sock, session, chat, 7)
        send(sock, chat, "a-1")
        ev = w.wait("SEND")
        w.publish(w.entry(chat, 9, [me[0]], send=ev))
        assert seqs(sock, 1) == [("message_ack", 9)]
        expect_no_frame(sock)
        sock.close()


def test_redis_hangs(w, me):
    """Redis answers nothing for 3 s: the waiting sends are refused."""
    sock, session = w.synced(*me)
    chat = new_chat()
    redis = w.edge.processes[0]
    redis.send_signal(signal.SIGSTOP)
    try:
        send(sock, chat, "hangs")
        expect_refused(sock, chat, "hangs")
        send(sock, chat, "later")
        expect_refused(sock, chat, "later")
        expect_no_frame(sock)
    finally:
        redis.send_signal(signal.SIGCONT)
    w.ready()
    w.publish(w.list(w.wait("SYNC_LIST",
                            where=lambda ev: ev.session == session)))
    # Redis accepted the send all the same: the resend is a duplicate
    first = w.wait("SEND")
    send(sock, chat, "hangs")
    ev = w.wait("SEND")
    assert first.message_id == ev.message_id == "hangs"
    w.publish(put("ACK", chat=chat, seq=1, session=ev.session,
                  message_id="hangs"))
    assert seqs(sock, 1) == [("message_ack", 1)]
    sock.close()


# ------------------------------------------------------------ one connection

def test_a_lost_subscription_is_followed_by_a_resync(w, me):
    sock, session = w.synced(*me)
    chat = new_chat()
    w.publish(w.entry(chat, 4, [me[0]]))
    assert seqs(sock, 1) == [("new_message", 4)]
    w.redis.client_kill_filter(_type="pubsub")
    w.publish(w.entry(chat, 5, [me[0]]))            # published to nobody
    w.ready()
    expect_resync(w, sock, session, chat, 6)
    sock.close()


def test_a_missed_revocation_is_found_later(w, me):
    sock, _ = w.synced(*me)
    w.redis.client_kill_filter(_type="pubsub")
    w.redis.zadd("device.revoked", {"%d:%d" % me: int(time.time()) + 900})
    assert sock.closed_with() == 4403
    w.ready()
    w.redis.zrem("device.revoked", "%d:%d" % me)


def test_a_newer_connection_with_a_missed_kick_is_found(w, me):
    """The KICK was published while the subscription was lost."""
    sock, _ = w.synced(*me)
    w.redis.client_kill_filter(_type="pubsub")
    w.redis.hset("route:{%d}" % me[0], me[1], "00000000deadbeef:5")
    assert sock.closed_with() == 4409
    assert route(w.edge, *me) == b"00000000deadbeef:5"
    w.ready()


def test_a_lost_command_connection_refuses_waiting_sends(w, me):
    sock, session = w.synced(*me)
    chat = new_chat()
    for n in range(20):
        send(sock, chat, f"n-{n}")
        if n == 10:
            w.redis.client_kill_filter(_type="normal", skipme=True)
    w.ready()
    w.publish(w.list(w.wait("SYNC_LIST",
                            where=lambda ev: ev.session == session)))
    assert route(w.edge, *me)
    send(sock, chat, "last")
    last = w.wait("SEND", where=lambda ev: ev.message_id == "last")
    w.publish(w.entry(chat, 1, [me[0]], send=last))
    refusals = refused_before(sock, "last")
    # every send was refused or is in the stream
    taken = {ev.message_id for ev in w.take("SEND")}
    assert taken | refusals == {f"n-{n}" for n in range(20)}
    sock.close()


def test_a_route_is_deleted_when_redis_is_back(edge, me):
    """Otherwise the workers would never send this device a push."""
    w = Played(edge)
    sock, _ = w.synced(*me)
    other, _ = w.synced(next(numbers), next(numbers))
    w.redis.config_set("requirepass", "sesame")
    try:
        w.redis.client_kill_filter(_type="normal", skipme=True)
        w.redis.client_kill_filter(_type="pubsub")
        wait_until_not_ready(edge)
        closes = edge.metric("chat_edge_closes_total")
        sock.close()
        wait_for(lambda: edge.metric("chat_edge_closes_total") > closes,
                 "the edge notices the disconnect")
        assert route(edge, *me)
    finally:
        w.redis.config_set("requirepass", "")
    w.ready()
    wait_for(lambda: not route(edge, *me), "the route is deleted")
    expect_no_frame(other)
    other.close()


# -------------------------------------------------------- emptied, full, slow

def test_routes_are_restored_and_resynced_after_flushall(w, me):
    sock, session = w.synced(*me)
    chat = new_chat()
    w.publish(w.entry(chat, 4, [me[0]]))
    assert seqs(sock, 1) == [("new_message", 4)]
    [edge] = w.edges()
    w.redis.flushall()
    wait_for(lambda: route(w.edge, *me), "the route is written")
    # the edge is not ready until an API worker has filled the set of revoked
    # devices again
    wait_until_not_ready(w.edge)
    send(sock, chat, "early")
    expect_refused(sock, chat, "early")
    w.redis.zadd("device.revoked", {"0:0": 9999999999})
    w.redis.zadd("workers:message", {"edge-test": 1 << 50})
    w.ready()
    assert w.edges() == {edge}
    w.last = dict.fromkeys(w.last, b"0-0")
    expect_resync(w, sock, session, chat, 7)
    sock.close()


def test_the_later_connection_stays_after_flushall(w, me):
    """The device has connected to another edge before this edge notices the
    FLUSHALL."""
    sock, _ = w.synced(*me)
    w.redis.pipeline().flushall().hset(
        "route:{%d}" % me[0], me[1], "00000000deadbeef:5").zadd(
        "device.revoked", {"0:0": 9999999999}).zadd(
        "workers:message", {"edge-test": 1 << 50}).execute()
    kicks = w.redis.pubsub(ignore_subscribe_messages=True)
    kicks.subscribe("edge.00000000deadbeef")
    kicks.get_message(timeout=5)
    assert sock.closed_with() == 4409
    assert route(w.edge, *me) == b"00000000deadbeef:5"
    assert kicks.get_message(timeout=0.2) is None
    w.ready()


def test_a_full_redis_refuses_sends_and_closes_nothing(w, me):
    sock, session = w.synced(*me)
    chat, other = new_chat(), (next(numbers), next(numbers))
    w.redis.config_set("maxmemory", "1")
    try:
        send(sock, chat, "full")
        expect_refused(sock, chat, "full")
        got = post(w.edge, *me, chat)
        assert (got.status, json.loads(got.body)["code"]) == (503,
                                                              "unavailable")
        # no worker can find a device that connects now
        new = w.edge.connect(*other)
        assert new.message()["type"] == "welcome"
        assert not route(w.edge, *other)
    finally:
        w.redis.config_set("maxmemory", "0")
    send(sock, chat, "room")
    w.publish(w.entry(chat, 1, [me[0]], send=w.wait("SEND")))
    assert seqs(sock, 1) == [("message_ack", 1)]
    ev = w.wait("SYNC_LIST", where=lambda ev: ev.device == other[1])
    assert route(w.edge, *other)
    w.publish(w.list(ev))
    assert new.message()["type"] == "sync_complete"
    sock.close()
    new.close()


def test_a_stream_above_its_limit_accepts_no_event(w, me):
    sock, session = w.synced(*me)
    chat, other = new_chat(), new_chat()
    while other.bytes[15] & 63 == chat.bytes[15] & 63:
        other = new_chat()
    stream = "message.sent:{%d}" % (chat.bytes[15] & 63)
    pipe = w.redis.pipeline()
    for _ in range(101):
        pipe.xadd(stream, {"x": "waits"})
    pipe.execute()
    refusals = 0

    def full():
        nonlocal refusals
        send(sock, chat, "full")
        sock.text({"type": "ping"})
        if sock.message()["type"] == "pong":
            return False
        refusals += 1
        return sock.message()["type"] == "pong"

    wait_for(full, "the edge applies the limit")
    send(sock, chat, "full")
    expect_refused(sock, chat, "full")
    got = post(w.edge, *me, chat)
    assert (got.status, json.loads(got.body)["code"]) == (503, "unavailable")
    send(sock, other, "elsewhere")          # another shard
    w.last[stream.encode()] = b"$"
    wait_for(lambda: w.redis.xlen("message.sent:{%d}"
                                  % (other.bytes[15] & 63)),
             "the other shard accepts the send")
    w.redis.delete(stream)

    def room():
        send(sock, chat, "room")
        sock.text({"type": "ping"})
        return sock.message()["type"] == "pong" or not sock.message()

    wait_for(room, "the edge accepts sends again")
    sock.close()
