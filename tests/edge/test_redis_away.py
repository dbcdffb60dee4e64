"""Redis dies, hangs, is emptied, is full, drops one of the two connections:
clients stay connected, are told `unavailable`, and miss nothing in the end."""

import itertools
import json
import signal
import time

import pytest
from edge import Edge, wait_for
from inner import put
from played import Played, new_chat, quiet, refused_before, seqs

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


def refused(sock, chat, message_id):
    error = schema.validate_frame(sock.message())
    assert (error["type"], error["code"], error["messageId"],
            error["chatId"]) == ("error", "unavailable", message_id,
                                 str(chat))
    assert error["retryAfter"] >= 1


def not_ready(edge):
    wait_for(lambda: edge.http("GET", "/readyz").status == 503, "503")


def post(edge, user, device, chat):
    return edge.http("POST", f"/api/v1/chats/{chat}/messages", [
        ("Authorization", f"Bearer {edge.token(user, device)}"), JSON],
        b'{"messageId":"r","content":"x"}')


def route(edge, user, device):
    return edge.redis.hget("route:{%d}" % user, device)


def resynced(w, sock, session, chat, last):
    """It asks for all that it may have missed, gets it, and not a second
    sync_complete."""
    ev = w.wait("SYNC_LIST", where=lambda ev: ev.session == session)
    assert ev.body == []
    w.publish(w.list(ev, (chat, last - 2, last)), edge=ev.edge)
    ev = w.wait("SYNC_PAGE", where=lambda ev: ev.session == session)
    w.publish(w.pages(ev), edge=ev.edge)
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
        not_ready(edge)
        for n in range(3):
            send(sock, chat, f"a-{n}")
            refused(sock, chat, f"a-{n}")
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
        w.last = dict.fromkeys(w.last, b"0-0")      # nothing is old
        w.ready()
        wait_for(lambda: route(edge, *me), "its route")
        # the mark waited for Redis
        assert w.wait("RECEIPTS").body == [(session, *me, chat, 4, 0)]
        resynced(w, sock, session, chat, 7)
        send(sock, chat, "a-1")
        ev = w.wait("SEND")
        w.publish(w.entry(chat, 9, [me[0]], of=ev))
        assert seqs(sock, 1) == [("message_ack", 9)]
        quiet(sock)
        sock.close()


def test_redis_hangs(w, me):
    """Nothing is answered for 3 s: what was on its way is refused."""
    sock, session = w.synced(*me)
    chat = new_chat()
    redis = w.edge.processes[0]
    redis.send_signal(signal.SIGSTOP)
    try:
        send(sock, chat, "hangs")
        refused(sock, chat, "hangs")
        send(sock, chat, "later")
        refused(sock, chat, "later")
        quiet(sock)
    finally:
        redis.send_signal(signal.SIGCONT)
    w.ready()
    w.publish(w.list(w.wait("SYNC_LIST",
                            where=lambda ev: ev.session == session)))
    # it was taken all the same: the resend finds it
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
    w.publish(w.entry(chat, 5, [me[0]]))            # to nobody
    w.ready()
    resynced(w, sock, session, chat, 6)
    sock.close()


def test_a_revocation_that_was_not_heard_is_found(w, me):
    sock, _ = w.synced(*me)
    w.redis.client_kill_filter(_type="pubsub")
    w.redis.zadd("device.revoked", {"%d:%d" % me: int(time.time()) + 900})
    assert sock.closed_with() == 4403
    w.ready()
    w.redis.zrem("device.revoked", "%d:%d" % me)


def test_a_newer_connection_that_was_not_heard_of_is_found(w, me):
    """Its KICK was published while nobody listened."""
    sock, _ = w.synced(*me)
    w.redis.client_kill_filter(_type="pubsub")
    w.redis.hset("route:{%d}" % me[0], me[1], "00000000deadbeef:5")
    assert sock.closed_with() == 4409
    assert route(w.edge, *me) == b"00000000deadbeef:5"
    w.ready()


def test_a_lost_command_connection_refuses_what_was_on_its_way(w, me):
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
    w.publish(w.entry(chat, 1, [me[0]], of=last))
    refusals = refused_before(sock, "last")
    # each was refused or is in the stream, and none is neither
    taken = {ev.message_id for ev in w.take("SEND")}
    assert taken | refusals == {f"n-{n}" for n in range(20)}
    sock.close()


def test_a_route_that_could_not_be_deleted_is_deleted_later(edge, me):
    """Else workers would send this device no push for ever."""
    w = Played(edge)
    sock, _ = w.synced(*me)
    here, _ = w.synced(next(numbers), next(numbers))
    w.redis.config_set("requirepass", "sesame")
    try:
        w.redis.client_kill_filter(_type="normal", skipme=True)
        w.redis.client_kill_filter(_type="pubsub")
        not_ready(edge)
        closes = edge.metric("chat_edge_closes_total")
        sock.close()
        wait_for(lambda: edge.metric("chat_edge_closes_total") > closes,
                 "it is seen gone")
        assert route(edge, *me)
    finally:
        w.redis.config_set("requirepass", "")
    w.ready()
    wait_for(lambda: not route(edge, *me), "its route is deleted")
    quiet(here)
    here.close()


# -------------------------------------------------------- emptied, full, slow

def test_flushall_brings_routes_back_and_a_resync(w, me):
    sock, session = w.synced(*me)
    chat = new_chat()
    w.publish(w.entry(chat, 4, [me[0]]))
    assert seqs(sock, 1) == [("new_message", 4)]
    [edge] = w.edges()
    w.redis.flushall()
    wait_for(lambda: route(w.edge, *me), "its route")
    # not ready: which devices are revoked is not known, until the API worker
    # has filled the set again
    not_ready(w.edge)
    send(sock, chat, "early")
    refused(sock, chat, "early")
    w.redis.zadd("device.revoked", {"0:0": 9999999999})
    w.redis.zadd("workers:message", {"edge-test": 1 << 50})
    w.ready()
    assert w.edges() == {edge}
    w.last = dict.fromkeys(w.last, b"0-0")
    resynced(w, sock, session, chat, 7)
    sock.close()


def test_after_flushall_the_connection_that_came_later_stays(w, me):
    """This edge is the last to notice: the device has connected to another
    meanwhile."""
    sock, _ = w.synced(*me)
    w.redis.pipeline().flushall().hset(
        "route:{%d}" % me[0], me[1], "00000000deadbeef:5").zadd(
        "device.revoked", {"0:0": 9999999999}).zadd(
        "workers:message", {"edge-test": 1 << 50}).execute()
    heard = w.redis.pubsub(ignore_subscribe_messages=True)
    heard.subscribe("edge.00000000deadbeef")
    heard.get_message(timeout=5)
    assert sock.closed_with() == 4409
    assert route(w.edge, *me) == b"00000000deadbeef:5"
    assert heard.get_message(timeout=0.2) is None
    w.ready()


def test_a_full_redis_refuses_sends_and_the_connection_lives(w, me):
    sock, session = w.synced(*me)
    chat, other = new_chat(), (next(numbers), next(numbers))
    w.redis.config_set("maxmemory", "1")
    try:
        send(sock, chat, "full")
        refused(sock, chat, "full")
        got = post(w.edge, *me, chat)
        assert (got.status, json.loads(got.body)["code"]) == (503,
                                                              "unavailable")
        # a device that connects now cannot be found by any worker
        new = w.edge.connect(*other)
        assert new.message()["type"] == "welcome"
        assert not route(w.edge, *other)
    finally:
        w.redis.config_set("maxmemory", "0")
    send(sock, chat, "room")
    w.publish(w.entry(chat, 1, [me[0]], of=w.wait("SEND")))
    assert seqs(sock, 1) == [("message_ack", 1)]
    ev = w.wait("SYNC_LIST", where=lambda ev: ev.device == other[1])
    assert route(w.edge, *other)
    w.publish(w.list(ev))
    assert new.message()["type"] == "sync_complete"
    sock.close()
    new.close()


def test_a_stream_above_its_limit_takes_nothing_more(w, me):
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

    wait_for(full, "the limit is seen")
    send(sock, chat, "full")
    refused(sock, chat, "full")
    got = post(w.edge, *me, chat)
    assert (got.status, json.loads(got.body)["code"]) == (503, "unavailable")
    send(sock, other, "elsewhere")          # another shard
    w.last[stream.encode()] = b"$"
    wait_for(lambda: w.redis.xlen("message.sent:{%d}"
                                  % (other.bytes[15] & 63)), "it is taken")
    w.redis.delete(stream)

    def room():
        send(sock, chat, "room")
        sock.text({"type": "ping"})
        return sock.message()["type"] == "pong" or not sock.message()

    wait_for(room, "there is room")
    sock.close()
