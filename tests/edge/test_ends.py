"""The end of a session: a device has one session over all edges; revocation
and expiry close it; receipts are flushed and the route is deleted."""

import itertools
import json
import time

import pytest
from edge import Edge, wait_for
from inner import put
from played import Played, expect_no_frame, new_chat, seqs
from wire import CLOSE, TEXT, Socket, close_payload, frame

import schema

numbers = itertools.count(9000)


@pytest.fixture
def me():
    return next(numbers), next(numbers)


def route(w, user, device):
    value = w.redis.hget("route:{%d}" % user, device)
    return value and value.decode()


def wait_for_no_route(w, user, device):
    wait_for(lambda: route(w, user, device) is None, "the route is deleted")


# ------------------------------------------------------- one device, one edge

@pytest.fixture(scope="module")
def pair():
    """Two edges that share a Redis."""
    with Edge() as one, Edge(beside=one) as two:
        yield one, two


def test_a_device_that_connects_elsewhere_is_closed_with_4409(pair, me):
    one, two = pair
    w = Played(one)
    old, ev = w.catching_up(*me)
    w.publish(w.list(ev), edge=ev.edge)
    old.message("sync_complete")
    other, _ = w.catching_up(me[0], next(numbers))  # another device: stays
    new, ev2 = w.catching_up(*me, edge=two)
    assert ev2.edge != ev.edge
    assert old.closed_with() == 4409
    # the end of the old session does not delete the new session's route
    assert route(w, *me) == f"{ev2.edge:016x}:{ev2.session}"
    expect_no_frame(new)
    expect_no_frame(other)
    # the device returns to the first edge
    again, ev3 = w.catching_up(*me)
    assert new.closed_with() == 4409
    assert route(w, *me) == f"{ev.edge:016x}:{ev3.session}"
    again.close()
    wait_for_no_route(w, *me)
    for sock in (old, other, new):
        sock.close()


def test_a_kick_for_an_ended_session_closes_no_other(pair, me):
    w = Played(pair[0])
    sock, ev = w.catching_up(*me)
    w.publish(put("KICK", user=me[0], device=me[1], status=4409,
                  session=ev.session + 1000),
              put("KICK", user=me[0], device=me[1] + 100000, status=4409),
              put("KICK", user=me[0] + 100000, device=me[1], status=4409),
              edge=ev.edge)
    expect_no_frame(sock)
    w.publish(put("KICK", user=me[0], device=me[1], status=4403),
              edge=ev.edge)
    assert sock.closed_with() == 4403


# ------------------------------------------------------------- one edge alone

API = """
    location /api/ {
        chat_auth on;
        proxy_pass http://127.0.0.1:@PORT@/worker;
    }
    location /worker { return 204; }
"""


@pytest.fixture(scope="module")
def edge():
    with Edge(server=API) as e:
        yield e


def test_a_revoked_device_is_closed_and_its_token_refused_at_once(w, me):
    user, device = me
    one, _ = w.synced(user, device)
    other, _ = w.synced(user, next(numbers))
    token = ("Authorization", f"Bearer {w.edge.token(user, device)}")
    assert w.edge.http("GET", "/api/v1/users/me", [token]).status == 204
    w.publish_to_all(put("REVOKE", user=user, device=device,
                         expires=int(time.time()) + 900))
    assert one.closed_with() == 4403
    got = w.edge.http("GET", "/api/v1/users/me", [token])
    assert schema.validate_problem(got.status, got.headers,
                                   got.body)["code"] == "device_revoked"
    response = w.edge.refused(headers=dict([token]))
    assert (response.status, response.json()["code"]) == (401,
                                                          "device_revoked")
    wait_for_no_route(w, user, device)
    expect_no_frame(other)
    other.close()


def connect_until(w, user, device, end):
    """A live session whose token expires at `end`."""
    token = w.edge.keys.token(user, device, iat=int(time.time()) - 10, exp=end)
    response, sock = w.edge.upgrade(Authorization=f"Bearer {token}")
    assert response.status == 101
    sock = Socket(sock, response.rest)
    w.publish(w.list(w.wait("SYNC_LIST")))
    assert seqs(sock, 2)[1] == ("sync_complete", None)
    return sock


def test_a_session_ends_with_its_token(w, me):
    end = int(time.time()) + 2
    sock = connect_until(w, *me, end)
    assert sock.closed_with() == 4401
    assert time.time() >= end
    wait_for_no_route(w, *me)


def test_a_session_that_expires_a_wheel_round_later_stays(w, me):
    end = int(time.time()) + 2
    later = connect_until(w, next(numbers), next(numbers), end + 1024)
    sock = connect_until(w, *me, end)
    assert sock.closed_with() == 4401
    expect_no_frame(later)
    later.close()


def test_the_answer_to_a_close_frame_ends_the_connection(w, me):
    sock, _ = w.synced(*me)
    sock.send(CLOSE, close_payload(1000, "bye"))
    assert sock.closed_with() == 1000
    wait_for_no_route(w, *me)


def test_a_disconnected_client_leaves_no_route(w, me):
    sock, _ = w.synced(*me)
    assert route(w, *me)
    sock.close()
    wait_for_no_route(w, *me)


def test_frames_after_a_close_frame_are_ignored(w, me):
    sock, _ = w.synced(*me)
    sock.raw(frame(CLOSE, close_payload(1000))
             + frame(TEXT, json.dumps({
                 "type": "send_message", "chatId": str(new_chat()),
                 "messageId": "late", "content": "x"})))
    assert sock.closed_with() == 1000
    w.expect_nothing("SEND")


# ------------------------------------------------------------------- receipts

def receipt(sock, chat, seq, kind="delivered"):
    sock.text({"type": kind, "chatId": str(chat), "seq": seq})


def read_receipts(w, device, *chats):
    """Reads the receipts of a device until each of these chats has one.
    Returns the highest receipts and the number of events for each chat."""
    got, times = {}, {}
    while not set(chats) <= set(got):
        ev = w.wait("RECEIPTS")
        for _, _, sender, chat, delivered, read in ev.body:
            if sender == device:
                old = got.get(chat, (0, 0))
                got[chat] = (max(old[0], delivered), max(old[1], read))
                times[chat] = times.get(chat, 0) + 1
    return got, times


def test_receipts_are_coalesced_and_the_highest_wins(w, me):
    sock, session = w.synced(*me)
    a, b = new_chat(), new_chat()
    w.publish(w.entry(a, 500, [me[0]]))
    sock.message()
    for seq in [*range(1, 401), 17, 500, 3]:
        receipt(sock, a, seq)
    receipt(sock, a, 450, "read")
    receipt(sock, b, 7, "read")
    expect_no_frame(sock)
    got, times = read_receipts(w, me[1], a, b)
    # the edge sends them within one or two ticks of its timer
    while got[a] != (500, 450):
        more, again = read_receipts(w, me[1], a)
        got[a] = tuple(max(pair) for pair in zip(got[a], more[a]))
        times[a] += again[a]
    assert got[b] == (0, 7)
    assert times[a] <= 5 and times[b] == 1
    sock.close()


@pytest.mark.parametrize("ending", ["close", "break"])
def test_receipts_are_flushed_when_the_connection_ends(w, me, ending):
    sock, session = w.synced(*me)
    chats = [new_chat() for _ in range(70)]
    for chat in chats:
        receipt(sock, chat, 9)
    if ending == "close":
        sock.send(CLOSE, close_payload(1001))
        assert sock.closed_with() == 1001
    else:
        sock.close()
    got, _ = read_receipts(w, me[1], *chats)
    assert set(got.values()) == {(9, 0)}


def test_receipts_of_many_sessions_are_one_event_per_shard(w):
    chat = new_chat()
    mine = [(next(numbers), next(numbers)) for _ in range(20)]
    socks = [w.synced(*me)[0] for me in mine]
    for sock in socks:
        receipt(sock, chat, 3)
    found, events = set(), 0
    while len(found) < len(mine):
        ev = w.wait("RECEIPTS")
        assert ev.flags == 0
        found |= {(user, device) for _, user, device, target, _, _ in ev.body
                  if target == chat}
        events += 1
    assert found == set(mine) and events < 10
    for sock in socks:
        sock.close()
