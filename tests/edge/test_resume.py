"""A device that leaves with everything leaves a note in its route, and comes
back without a question; whatever it may have missed leaves none."""

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


def note(w, user, device):
    found = w.redis.hget(key(user), f"-{device}")
    return found and found.decode()


def noted(w, user, device):
    wait_for(lambda: note(w, user, device) == run_id(w), "the note")


def no_route(w, user, device):
    wait_for(lambda: w.redis.hget(key(user), device) is None, "no route")


def settled(w):
    """All that the edge had to say after an end has been said: another
    device's note comes behind it."""
    user, device = next(numbers), next(numbers)
    w.synced(user, device)[0].close()
    noted(w, user, device)


def resumes(w, user, device):
    """Connects without a question."""
    before = w.edge.metric("chat_edge_resumed_total")
    sock = w.edge.connect(user, device)
    assert sock.message()["type"] == "welcome"
    assert sock.message() == {"type": "sync_complete"}
    assert w.edge.metric("chat_edge_resumed_total") == before + 1
    w.nothing("SYNC_LIST", "SYNC_PAGE", of=sock)
    assert note(w, user, device) is None
    return sock


def mark(sock, chat, seq):
    sock.text({"type": "delivered", "chatId": str(chat), "seq": seq})
    sock.text({"type": "ping"})
    assert sock.message()["type"] == "pong"


def test_who_missed_nothing_comes_back_without_a_question(w, me):
    w.synced(*me)[0].close()
    noted(w, *me)
    for _ in range(3):
        resumes(w, *me).close()
        noted(w, *me)
    # and is served as any other
    sock, chat = resumes(w, *me), new_chat()
    w.publish(w.entry(chat, 5, [me[0]]), w.entry(chat, 6, [me[0]]))
    assert [sock.message()["seq"] for _ in range(2)] == [5, 6]
    sock.close()


def test_what_is_marked_is_not_missed(w, me):
    sock, _ = w.synced(*me)
    one, two = new_chat(), new_chat()
    w.publish(w.entry(one, 1, [me[0]]), w.entry(two, 7, [me[0]]))
    assert [sock.message()["seq"] for _ in range(2)] == [1, 7]
    mark(sock, two, 7)
    mark(sock, one, 1)
    sock.close()
    noted(w, *me)
    resumes(w, *me).close()


@pytest.mark.parametrize("marked", [None, 1])
def test_what_is_not_marked_is_asked_for(w, me, marked):
    sock, _ = w.synced(*me)
    chat = new_chat()
    w.publish(w.entry(chat, 1, [me[0]]), w.entry(chat, 2, [me[0]]))
    assert [sock.message()["seq"] for _ in range(2)] == [1, 2]
    if marked:
        mark(sock, chat, marked)
    sock.close()
    no_route(w, *me)
    settled(w)
    assert note(w, *me) is None
    w.synced(*me)[0].close()            # the list is asked for


def test_who_was_still_catching_up_is_asked_for(w, me):
    sock, ev = w.asked(*me)
    sock.close()
    no_route(w, *me)
    sock, ev = w.asked(*me)
    w.publish(w.list(ev, (new_chat(), 0, 3)))
    w.wait("SYNC_PAGE", where=lambda p: p.session == ev.session)
    sock.close()
    no_route(w, *me)
    settled(w)
    assert note(w, *me) is None


@pytest.mark.parametrize("found", ["?00000000deadbeef:7", "0" * 16, "", "x"])
def test_a_note_of_another_run_or_not_yet_sure_is_not_believed(w, me, found):
    w.redis.hset(key(me[0]), f"-{me[1]}", found)
    sock, _ = w.synced(*me)
    assert note(w, *me) is None
    sock.close()


def test_a_note_is_for_its_device_alone(w, me):
    w.synced(*me)[0].close()
    noted(w, *me)
    sock, _ = w.synced(me[0], next(numbers))    # is asked for
    noted(w, *me)
    sock.close()


def test_notes_alone_do_not_last_and_routes_do(w, me):
    user, one = me
    two = next(numbers)
    stays, _ = w.synced(user, two)
    w.synced(user, one)[0].close()
    noted(w, user, one)
    assert w.redis.ttl(key(user)) == -1
    stays.close()
    noted(w, user, two)
    assert 0 < w.redis.ttl(key(user)) <= 3600
    sock = resumes(w, user, one)
    assert w.redis.ttl(key(user)) == -1
    sock.close()


def test_a_revoked_device_leaves_no_note(w, me):
    sock, _ = w.synced(*me)
    w.publish(put("KICK", user=me[0], device=me[1], status=4403))
    assert sock.closed_with() == 4403
    no_route(w, *me)
    settled(w)
    assert note(w, *me) is None


def test_a_device_that_is_elsewhere_leaves_no_note_here(w, me):
    old, _ = w.synced(*me)
    new, ev = w.asked(*me)
    assert old.closed_with() == 4409
    old.close()
    settled(w)
    assert note(w, *me) is None
    new.close()


def test_an_entry_on_its_way_while_the_client_leaves(w, me):
    """The edge finds both at once, in whatever order."""
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
        no_route(w, user, device)
        settled(w)
        assert note(w, user, device) in (None, f"?{route_of(w, _)}")


def route_of(w, session):
    [edge] = w.edges()
    return f"{edge:016x}:{session}"


def test_the_subscription_is_lost_before_it_has_answered(w, me):
    """What was published then is lost as well."""
    [pid] = w.edge.workers()
    sock, session = w.synced(*me)
    os.kill(pid, signal.SIGSTOP)
    try:
        sock.close()
        w.redis.client_kill_filter(_type="pubsub")
    finally:
        os.kill(pid, signal.SIGCONT)
    no_route(w, *me)
    w.ready()
    settled(w)
    assert note(w, *me) in (None, f"?{route_of(w, session)}")
    w.synced(*me)[0].close()


def test_a_session_that_must_look_again_before_its_route_is_there(w, me):
    """Redis is slow with the route; meanwhile the subscription is lost."""
    w.synced(*me)[0].close()
    noted(w, *me)
    w.redis.execute_command("CLIENT", "PAUSE", "600", "WRITE")
    sock = w.edge.connect(*me)
    assert sock.message()["type"] == "welcome"
    w.redis.client_kill_filter(_type="pubsub")
    ev = w.wait("SYNC_LIST", where=lambda ev: ev.device == me[1])
    w.publish(w.list(ev))
    assert sock.message() == {"type": "sync_complete"}
    sock.close()


def test_an_entry_that_ends_the_session_is_missed(w):
    """Its queue is full of what is no entry, and all it has had is marked."""
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
        wait_for(lambda: w.edge.metric(batches) >= read + n, "it is read")
    sock.close()
    for less in range(3):
        user = next(numbers)
        sock = fill(user, n - 2 - less)
        w.publish(w.entry(new_chat(), 1, [user], text="x" * 100000))
        no_route(w, user, user)
        settled(w)
        assert note(w, user, user) is None or note(w, user, user)[0] == "?"
        sock.close()
