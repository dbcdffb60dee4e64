"""Catch-up: what was missed comes first, newest chat first, in pages, never
more than 256 entries ahead of the client's marks; what comes live meanwhile
is neither lost nor written twice."""

import itertools
import socket

import pytest
from edge import Edge
from inner import REQUESTED, FAILED, MORE, REDO
from played import Played, new_chat, quiet, seqs

WINDOW = 256
PAGE = 128
numbers = itertools.count(5000)


@pytest.fixture
def me():
    return next(numbers), next(numbers)


def mark(sock, chat, seq, kind="delivered"):
    sock.text({"type": kind, "chatId": str(chat), "seq": seq})


def entries(sock, n):
    return [(f["chatId"], f["seq"]) for f in (sock.message("new_message")
                                              for _ in range(n))]


def run_of(chat, first, last):
    return [(str(chat), seq) for seq in range(first, last + 1)]


def answer(w, ev):
    """A page, as the sync worker cuts it."""
    out, room = [], PAGE
    for chat, after, to in ev.body:
        n = min(to - after, room)
        out += [w.entry(chat, seq) for seq in range(after + 1, after + 1 + n)]
        room -= n
    w.publish(w.page(ev, *out))
    return len(out)


# ------------------------------------------------------------------- the list

def test_welcome_first_then_the_list_is_asked_after_the_route(w, me):
    user, device = me
    with w.edge.connect(user, device) as sock:
        assert sock.message()["type"] == "welcome"
        ev = w.wait("SYNC_LIST", where=lambda ev: ev.device == device)
        assert (ev.user, ev.body) == (user, [])
        route = w.redis.hget("route:{%d}" % user, device).decode()
        assert route == f"{ev.edge:016x}:{ev.session}"
        assert w.edges() == {ev.edge}


def test_nothing_is_complete_before_the_list_is_answered(w, me):
    sock, ev = w.asked(*me)
    w.nothing("SYNC_PAGE", of=sock)         # and no frame came before the pong
    w.publish(w.list(ev))
    assert sock.message() == {"type": "sync_complete"}
    sock.close()


def test_sync_complete_comes_once(w, me):
    sock, ev = w.asked(*me)
    chat = new_chat()
    for _ in range(3):
        w.publish(w.list(ev))
    assert sock.message()["type"] == "sync_complete"
    w.publish(w.entry(chat, 1, [me[0]]), w.entry(chat, 5, [me[0]]))
    w.publish(w.pages(w.wait("SYNC_PAGE")))
    assert seqs(sock, 5) == [("new_message", n) for n in range(1, 6)]
    w.publish(w.list(ev), w.list(ev, (chat, 0, 9)))
    w.nothing("SYNC_PAGE", "SYNC_LIST", of=sock)
    sock.close()


def test_a_list_with_more_is_asked_again_before_all_is_complete(w, me):
    sock, ev = w.asked(*me)
    first, second = new_chat(), new_chat()
    w.publish(w.list(ev, (first, 0, 2), flags=MORE))
    answer(w, w.wait("SYNC_PAGE"))
    assert entries(sock, 2) == run_of(first, 1, 2)
    ev = w.wait("SYNC_LIST")
    # the mark has not been stored yet: the first chat is still in the list
    w.publish(w.list(ev, (first, 0, 2), (second, 1, 2)))
    answer(w, w.wait("SYNC_PAGE"))
    assert entries(sock, 1) == run_of(second, 2, 2)
    assert sock.message()["type"] == "sync_complete"
    sock.close()


def test_what_failed_or_was_not_answered_is_asked_again(w):
    """Two at once: each waits for seconds."""
    mine = [(next(numbers), next(numbers)) for _ in range(4)]
    socks = [w.asked(*me) for me in mine]
    chat = new_chat()
    w.publish(w.list(socks[0][1], flags=FAILED))
    for _, ev in socks[2:]:
        w.publish(w.list(ev, (chat, 0, 2)))
    late = {ev.session: w.wait("SYNC_PAGE",
                               where=lambda p, ev=ev: p.session == ev.session)
            for _, ev in socks[2:]}
    w.publish(w.page(late[socks[2][1].session], flags=FAILED))

    for sock, ev in socks[:2]:              # the failed list, the lost one
        again = w.wait("SYNC_LIST",
                       where=lambda p, ev=ev: p.session == ev.session)
        w.publish(w.list(again))
        assert sock.message()["type"] == "sync_complete"
    for sock, ev in socks[2:]:              # the failed page, the lost one
        again = w.wait("SYNC_PAGE",
                       where=lambda p, ev=ev: p.session == ev.session)
        assert again.body == [(chat, 0, 2)]
        # the late answer is not taken for the new one's
        w.publish(w.pages(late[ev.session]), w.pages(again),
                  w.pages(again), w.pages(late[ev.session]))
        assert seqs(sock, 3) == [("new_message", 1), ("new_message", 2),
                                 ("sync_complete", None)]
    for sock, _ in socks:
        quiet(sock)
        sock.close()


def test_a_list_from_before_the_subscription_was_lost_is_not_taken(w, me):
    """It does not know what was published to nobody."""
    sock, old = w.asked(*me)
    w.redis.client_kill_filter(_type="pubsub")
    new = w.wait("SYNC_LIST", where=lambda ev: ev.session == old.session)
    chat = new_chat()
    w.publish(w.list(old), w.list(new, (chat, 0, 1)))
    answer(w, w.wait("SYNC_PAGE"))
    assert entries(sock, 1) == run_of(chat, 1, 1)
    assert sock.message()["type"] == "sync_complete"
    sock.close()


# ------------------------------------------------------------------ the pages

def test_the_newest_chat_comes_first_and_pages_are_filled(w, me):
    sock, ev = w.asked(*me)
    a, b, c = (new_chat() for _ in range(3))
    w.publish(w.list(ev, (a, 10, 20), (b, 0, 100), (c, 7, 200)))
    ev = w.wait("SYNC_PAGE")
    assert ev.body == [(a, 10, 20), (b, 0, 100), (c, 7, 7 + PAGE - 110)]
    assert answer(w, ev) == PAGE
    assert entries(sock, PAGE) == (run_of(a, 11, 20) + run_of(b, 1, 100)
                                   + run_of(c, 8, 25))
    ev = w.wait("SYNC_PAGE")
    assert ev.body == [(c, 25, 25 + PAGE)]
    answer(w, ev)
    assert entries(sock, PAGE) == run_of(c, 26, 25 + PAGE)
    # the window is full
    w.nothing("SYNC_PAGE", of=sock)
    mark(sock, b, 100)
    answer(w, w.wait("SYNC_PAGE"))
    assert entries(sock, 47) == run_of(c, 154, 200)
    assert sock.message()["type"] == "sync_complete"
    sock.close()


@pytest.mark.parametrize("kind", ["delivered", "read"])
def test_at_most_256_are_unacknowledged(w, me, kind):
    sock, ev = w.asked(*me)
    chat, got, acked = new_chat(), 0, 0
    w.publish(w.list(ev, (chat, 1000, 2000)))
    while got < 1000:
        ev = w.wait("SYNC_PAGE")
        [(_, after, to)] = ev.body
        assert after == 1000 + got and to - 1000 - acked <= WINDOW
        n = answer(w, ev)
        assert entries(sock, n) == run_of(chat, after + 1, to)
        got += n
        if got - acked == WINDOW:
            w.nothing("SYNC_PAGE", of=sock)
            acked += 200
            mark(sock, chat, 1000 + acked, kind)
            mark(sock, chat, 1000 + acked - 50, kind)   # falls: no more room
            mark(sock, chat, 1000 + acked, kind)
    assert sock.message()["type"] == "sync_complete"
    sock.close()


def test_a_mark_beyond_what_was_sent_opens_no_more_than_was_sent(w, me):
    sock, ev = w.asked(*me)
    chat = new_chat()
    w.publish(w.list(ev, (chat, 0, 2000)))
    mark(sock, chat, 2 ** 63 - 1)
    mark(sock, new_chat(), 1900)
    for _ in range(2):
        answer(w, w.wait("SYNC_PAGE"))
    entries(sock, WINDOW)
    mark(sock, new_chat(), 1900)
    w.nothing("SYNC_PAGE", of=sock)
    mark(sock, chat, 2 ** 63 - 1)
    for _ in range(2):
        answer(w, w.wait("SYNC_PAGE"))
    entries(sock, WINDOW)
    w.nothing("SYNC_PAGE", of=sock)
    sock.close()


def test_a_short_page_goes_on_where_it_ended(w, me):
    """The worker cuts at 1 MiB too."""
    sock, ev = w.asked(*me)
    chat = new_chat()
    w.publish(w.list(ev, (chat, 0, 9)))
    for seq in range(1, 10):
        ev = w.wait("SYNC_PAGE")
        assert ev.body == [(chat, seq - 1, 9)]
        w.publish(w.page(ev, w.entry(chat, seq)))
    assert entries(sock, 9) == run_of(chat, 1, 9)
    assert sock.message()["type"] == "sync_complete"
    sock.close()


def test_a_page_above_the_send_buffer_is_no_reason_to_close():
    """The client reads; only its network is slower than a page is large."""
    with Edge(websocket="chat_send_buffer 256k;") as edge:
        w = Played(edge)
        sock, ev = w.asked()
        chat, text = new_chat(), "x" * 30000
        w.publish(w.list(ev, (chat, 0, 64)))
        seq = 0
        while seq < 64:
            for ev in w.take("SYNC_PAGE"):
                [(_, after, to)] = ev.body
                w.publish(w.page(ev, *(w.entry(chat, n, text=text) for n in
                                       range(after + 1, min(to, after + 34)
                                             + 1))))
            try:
                frame = sock.message(timeout=0.05)
            except socket.timeout:
                continue
            seq += 1
            assert (frame["type"], frame["seq"]) == ("new_message", seq)
        assert sock.message()["type"] == "sync_complete"
        sock.close()


# ------------------------------------------------------------ live, meanwhile

def test_live_entries_wait_for_the_list(w, me):
    sock, ev = w.asked(*me)
    behind, fresh = new_chat(), new_chat()
    w.publish(w.entry(behind, 6, [me[0]]), w.entry(fresh, 3, [me[0]]),
              w.entry(fresh, 4, [me[0]]))
    # read before 6 was committed: neither it nor the fresh chat is in it
    w.publish(w.list(ev, (behind, 2, 5)))
    while True:
        ev = w.wait("SYNC_PAGE")
        answer(w, ev)
        if sum(to - after for _, after, to in ev.body) == 6 or not w.unread:
            break
    got = entries(sock, 6)
    assert [e for e in got if e[0] == str(behind)] == run_of(behind, 3, 6)
    assert [e for e in got if e[0] == str(fresh)] == run_of(fresh, 3, 4)
    assert sock.message()["type"] == "sync_complete"
    sock.close()


def test_a_live_entry_of_a_chat_that_is_done_already_is_not_lost(w, me):
    sock, ev = w.asked(*me)
    first, second = new_chat(), new_chat()
    w.publish(w.list(ev, (first, 0, 128), (second, 0, 1)))
    answer(w, w.wait("SYNC_PAGE"))
    assert entries(sock, 128) == run_of(first, 1, 128)
    ev = w.wait("SYNC_PAGE")
    assert ev.body == [(second, 0, 1)]
    w.publish(w.entry(first, 129, [me[0]]))
    answer(w, ev)
    answer(w, w.wait("SYNC_PAGE"))
    assert entries(sock, 2) == run_of(second, 1, 1) + run_of(first, 129, 129)
    assert sock.message()["type"] == "sync_complete"
    w.publish(w.entry(first, 130, [me[0]]))
    assert entries(sock, 1) == run_of(first, 130, 130)
    sock.close()


def test_a_chat_guessed_from_a_live_entry_has_a_window_too(w, me):
    """The entry came before the list said how far behind the device is: its
    marks count from there."""
    sock, ev = w.asked(*me)
    chat = new_chat()
    w.publish(w.entry(chat, 1001, [me[0]]))
    w.publish(w.list(ev, (chat, 0, 1001)))
    got = 0
    while got < 1001:
        n = answer(w, w.wait("SYNC_PAGE"))
        assert entries(sock, n) == run_of(chat, got + 1, got + n)
        got += n
        mark(sock, chat, got)
    assert sock.message()["type"] == "sync_complete"
    sock.close()


def test_an_own_send_while_catching_up_is_acknowledged_in_its_place(w, me):
    sock, ev = w.asked(*me)
    chat = new_chat()
    sock.text({"type": "send_message", "chatId": str(chat),
               "messageId": "own", "content": "x"})
    own = w.wait("SEND")
    w.publish(w.entry(chat, 3, [me[0]], of=own))
    w.publish(w.list(ev, (chat, 1, 3)))
    ev = w.wait("SYNC_PAGE")
    w.publish(w.page(ev, w.entry(chat, 2), w.entry(chat, 3, of=own)))
    assert seqs(sock, 3) == [("new_message", 2), ("message_ack", 3),
                             ("sync_complete", None)]
    sock.close()


def test_a_redone_entry_while_catching_up_is_not_written_twice(w, me):
    sock, ev = w.asked(*me)
    done, behind = new_chat(), new_chat()
    w.publish(w.list(ev, (behind, 4, 6)))
    page = w.wait("SYNC_PAGE")
    w.publish(w.entry(done, 8, [me[0]], flags=REDO),
              w.entry(behind, 5, [me[0]], flags=REDO))
    answer(w, page)
    ev = w.wait("SYNC_LIST")
    assert ev.body == [(done, 0, 0)]
    w.publish(w.list(ev, (done, 8, 8), flags=REQUESTED))
    assert entries(sock, 2) == run_of(behind, 5, 6)
    assert sock.message()["type"] == "sync_complete"
    w.publish(w.entry(done, 9, [me[0]]), w.entry(behind, 7, [me[0]]))
    assert entries(sock, 2) == run_of(done, 9, 9) + run_of(behind, 7, 7)
    sock.close()
