"""Clean-disconnect markers: a device that disconnects with every entry leaves
a marker in its route and reconnects without a SYNC_LIST. A device that may
have missed an entry leaves no marker."""

import itertools
import os
import signal

import pytest
from edge import Edge, wait_for
from inner import put
from played import Played, new_chat

numbers = itertools.count(70000)
METRICS = "location = /metrics { chat_status metrics; }"


@pytest.fixture
def me():
    return next(numbers), next(numbers)


@pytest.fixture(scope="module")
def edge():
    with Edge(server=METRICS, http="chat_send_buffer 256k;") as e:
        yield e


@pytest.fixture
def w(edge):
    return Played(edge)


def key(user):
    return "route:{%d}" % user


def run_id(w):
    return w.redis.info("server")["run_id"][:16]


def marker(w, user, device):
    found = w.redis.hget(key(user), f"-{device}")
    return found and found.decode()


def wait_for_marker(w, user, device):
    wait_for(lambda: marker(w, user, device) == run_id(w), "the marker")


def wait_for_no_route(w, user, device):
    wait_for(lambda: w.redis.hget(key(user), device) is None,
             "the route is deleted")


def wait_until_settled(w):
    """Waits until the edge has sent Redis everything about the sessions that
    have ended: the marker of another device comes after it."""
    user, device = next(numbers), next(numbers)
    w.synced(user, device)[0].close()
    wait_for_marker(w, user, device)


def resume(w, user, device):
    """Connects; the edge must send no SYNC_LIST."""
    before = w.edge.metric("chat_edge_resumed_total")
    sock = w.edge.connect(user, device)
    assert sock.message()["type"] == "welcome"
    assert sock.message() == {"type": "sync_complete"}
    assert w.edge.metric("chat_edge_resumed_total") == before + 1
    w.expect_nothing("SYNC_LIST", "SYNC_PAGE", sock=sock)
    assert marker(w, user, device) is None
    return sock


def receipt(sock, chat, seq):
    sock.text({"type": "delivered", "chatId": str(chat), "seq": seq})
    sock.text({"type": "ping"})
    assert sock.message()["type"] == "pong"


def test_a_device_that_missed_nothing_resumes_at_once(w, me):
    w.synced(*me)[0].close()
    wait_for_marker(w, *me)
    for _ in range(3):
        resume(w, *me).close()
        wait_for_marker(w, *me)
    # a resumed session gets entries like any other
    sock, chat = resume(w, *me), new_chat()
    w.publish(w.entry(chat, 5, [me[0]]), w.entry(chat, 6, [me[0]]))
    assert [sock.message()["seq"] for _ in range(2)] == [5, 6]
    sock.close()


def test_entries_with_a_receipt_are_not_missed(w, me):
    sock, _ = w.synced(*me)
    one, two = new_chat(), new_chat()
    w.publish(w.entry(one, 1, [me[0]]), w.entry(two, 7, [me[0]]))
    assert [sock.message()["seq"] for _ in range(2)] == [1, 7]
    receipt(sock, two, 7)
    receipt(sock, one, 1)
    sock.close()
    wait_for_marker(w, *me)
    resume(w, *me).close()


@pytest.mark.parametrize("receipt_seq", [None, 1])
def test_entries_without_a_receipt_leave_no_marker(w, me, receipt_seq):
    sock, _ = w.synced(*me)
    chat = new_chat()
    w.publish(w.entry(chat, 1, [me[0]]), w.entry(chat, 2, [me[0]]))
    assert [sock.message()["seq"] for _ in range(2)] == [1, 2]
    if receipt_seq:
        receipt(sock, chat, receipt_seq)
    sock.close()
    wait_for_no_route(w, *me)
    wait_until_settled(w)
    assert marker(w, *me) is None
    w.synced(*me)[0].close()            # requests the list


def test_a_disconnect_during_catch_up_leaves_no_marker(w, me):
    sock, ev = w.catching_up(*me)
    sock.close()
    wait_for_no_route(w, *me)
    sock, ev = w.catching_up(*me)
    w.publish(w.list(ev, (new_chat(), 0, 3)))
    w.wait("SYNC_PAGE", where=lambda p: p.session == ev.session)
    sock.close()
    wait_for_no_route(w, *me)
    wait_until_settled(w)
    assert marker(w, *me) is None


@pytest.mark.parametrize("found", ["?00000000deadbeef:7", "0" * 16, "", "x"])
def test_a_marker_of_another_run_or_unconfirmed_is_ignored(w, me, found):
    w.redis.hset(key(me[0]), f"-{me[1]}", found)
    sock, _ = w.synced(*me)
    assert marker(w, *me) is None
    sock.close()


def test_a_marker_is_valid_for_its_device_only(w, me):
    w.synced(*me)[0].close()
    wait_for_marker(w, *me)
    sock, _ = w.synced(me[0], next(numbers))    # requests its list
    wait_for_marker(w, *me)
    sock.close()


def test_markers_expire_when_a_user_has_no_route(w, me):
    user, one = me
    two = next(numbers)
    stays, _ = w.synced(user, two)
    w.synced(user, one)[0].close()
    wait_for_marker(w, user, one)
    assert w.redis.ttl(key(user)) == -1
    stays.close()
    wait_for_marker(w, user, two)
    assert 0 < w.redis.ttl(key(user)) <= 3600
    sock = resume(w, user, one)
    assert w.redis.ttl(key(user)) == -1
    sock.close()


def test_a_revoked_device_leaves_no_marker(w, me):
    sock, _ = w.synced(*me)
    w.publish(put("KICK", user=me[0], device=me[1], status=4403))
    assert sock.closed_with() == 4403
    wait_for_no_route(w, *me)
    wait_until_settled(w)
    assert marker(w, *me) is None


def test_a_device_that_is_connected_elsewhere_leaves_no_marker(w, me):
    old, _ = w.synced(*me)
    new, ev = w.catching_up(*me)
    assert old.closed_with() == 4409
    old.close()
    wait_until_settled(w)
    assert marker(w, *me) is None
    new.close()


def test_an_entry_published_during_the_disconnect_is_not_lost(w, me):
    """The edge reads the entry and the disconnect at once, in either order."""
    [pid] = w.edge.workers()
    for i in range(20):
        user, device = next(numbers), next(numbers)
        sock, _ = w.synced(user, device)
        os.kill(pid, signal.SIGSTOP)
        try:
            if i % 2:
                sock.close()
            w.publish(w.entry(new_chat(), 1, [user]))
            sock.close()
        finally:
            os.kill(pid, signal.SIGCONT)
        wait_for_no_route(w, user, device)
        wait_until_settled(w)
        assert marker(w, user, device) in (None, f"?{route_of(w, _)}")


def route_of(w, session):
    [edge] = w.edges()
    return f"{edge:016x}:{session}"


def test_a_subscription_lost_during_the_disconnect(w, me):
    """An entry that was published meanwhile would be lost too."""
    [pid] = w.edge.workers()
    sock, session = w.synced(*me)
    os.kill(pid, signal.SIGSTOP)
    try:
        sock.close()
        w.redis.client_kill_filter(_type="pubsub")
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_for_no_route(w, *me)
    w.ready()
    wait_until_settled(w)
    assert marker(w, *me) in (None, f"?{route_of(w, session)}")
    w.synced(*me)[0].close()


def test_a_resync_before_the_route_is_written(w, me):
    """Redis writes the route late; meanwhile the subscription is lost."""
    w.synced(*me)[0].close()
    wait_for_marker(w, *me)
    w.redis.execute_command("CLIENT", "PAUSE", "600", "WRITE")
    sock = w.edge.connect(*me)
    assert sock.message()["type"] == "welcome"
    w.redis.client_kill_filter(_type="pubsub")
    ev = w.wait("SYNC_LIST", where=lambda ev: ev.device == me[1])
    w.publish(w.list(ev))
    assert sock.message() == {"type": "sync_complete"}
    sock.close()


def test_an_entry_that_closes_a_slow_session_is_missed(w):
    """The session's queue is full of notices, and every entry that it got has
    a receipt."""
    def fill(user, n):
        sock, _ = w.synced(user, user,
                           sock=w.edge.open(False, window=4096))
        for _ in range(n):
            w.publish(put("NOTICE", items=[(user, 0)],
                          frame='"' + "x" * 20000 + '"'))
        return sock

    closed = "chat_edge_too_slow_total"
    batches = "chat_edge_batches_total"
    user, n = next(numbers), 0
    before, read = w.edge.metric(closed), w.edge.metric(batches)
    sock = fill(user, 0)
    while w.edge.metric(closed) == before:
        n += 1
        w.publish(put("NOTICE", items=[(user, 0)],
                      frame='"' + "x" * 20000 + '"'))
        wait_for(lambda: w.edge.metric(batches) >= read + n,
                 "the batch is read")
    sock.close()
    for less in range(3):
        user = next(numbers)
        sock = fill(user, n - 2 - less)
        w.publish(w.entry(new_chat(), 1, [user], text="x" * 100000))
        wait_for_no_route(w, user, user)
        wait_until_settled(w)
        assert marker(w, user, user) is None or marker(w, user, user)[0] == "?"
        sock.close()
