"""Catch-up: a session gets its missed entries first, newest chat first, in
pages, never more than 256 entries ahead of the client's receipts. Live entries
that arrive meanwhile are neither lost nor written twice."""

import itertools
import socket

import pytest
from edge import Edge
from inner import REQUESTED, FAILED, MORE, REDO
from played import Played, expect_no_frame, new_chat, seqs

WINDOW = 256
PAGE = 128
numbers = itertools.count(5000)


@pytest.fixture
def me():
    return next(numbers), next(numbers)


def receipt(sock, chat, seq, kind="delivered"):
    sock.text({"type": kind, "chatId": str(chat), "seq": seq})


def entries(sock, n):
    return [(f["chatId"], f["seq"]) for f in (sock.message("new_message")
                                              for _ in range(n))]


def seq_range(chat, first, last):
    return [(str(chat), seq) for seq in range(first, last + 1)]


def answer(w, ev):
    """Publishes a page of at most 128 entries, like the sync worker."""
    out, room = [], PAGE
    for chat, after, to in ev.body:
        n = min(to - after, room)
        out += [w.entry(chat, seq) for seq in range(after + 1, after + 1 + n)]
        room -= n
    w.publish(w.page(ev, *out))
    return len(out)


# ------------------------------------------------------------------- the list

def test_the_list_is_requested_after_welcome_and_route(w, me):
    user, device = me
    with w.edge.connect(user, device) as sock:
        assert sock.message()["type"] == "welcome"
        ev = w.wait("SYNC_LIST", where=lambda ev: ev.device == device)
        assert (ev.user, ev.body) == (user, [])
        route = w.redis.hget("route:{%d}" % user, device).decode()
        assert route == f"{ev.edge:016x}:{ev.session}"
        assert w.edges() == {ev.edge}


def test_sync_is_not_complete_before_the_list_is_answered(w, me):
    sock, ev = w.catching_up(*me)
    w.expect_nothing("SYNC_PAGE", sock=sock)
    w.publish(w.list(ev))
    assert sock.message() == {"type": "sync_complete"}
    sock.close()


def test_sync_complete_comes_once(w, me):
    sock, ev = w.catching_up(*me)
    chat = new_chat()
    for _ in range(3):
        w.publish(w.list(ev))
    assert sock.message()["type"] == "sync_complete"
    w.publish(w.entry(chat, 1, [me[0]]), w.entry(chat, 5, [me[0]]))
    w.publish(w.full_page(w.wait("SYNC_PAGE")))
    assert seqs(sock, 5) == [("new_message", n) for n in range(1, 6)]
    w.publish(w.list(ev), w.list(ev, (chat, 0, 9)))
    w.expect_nothing("SYNC_PAGE", "SYNC_LIST", sock=sock)
    sock.close()


def test_a_list_with_more_is_requested_again_before_complete(w, me):
    sock, ev = w.catching_up(*me)
    first, second = new_chat(), new_chat()
    w.publish(w.list(ev, (first, 0, 2), flags=MORE))
    answer(w, w.wait("SYNC_PAGE"))
    assert entries(sock, 2) == seq_range(first, 1, 2)
    ev = w.wait("SYNC_LIST")
    # the receipt is not stored yet: the first chat is still in the list
    w.publish(w.list(ev, (first, 0, 2), (second, 1, 2)))
    answer(w, w.wait("SYNC_PAGE"))
    assert entries(sock, 1) == seq_range(second, 2, 2)
    assert sock.message()["type"] == "sync_complete"
    sock.close()


def test_failed_and_unanswered_requests_are_repeated(w):
    """All cases run at once, because each waits for several seconds."""
    mine = [(next(numbers), next(numbers)) for _ in range(4)]
    socks = [w.catching_up(*me) for me in mine]
    chat = new_chat()
    w.publish(w.list(socks[0][1], flags=FAILED))
    for _, ev in socks[2:]:
        w.publish(w.list(ev, (chat, 0, 2)))
    late = {ev.session: w.wait("SYNC_PAGE",
                               where=lambda p, ev=ev: p.session == ev.session)
            for _, ev in socks[2:]}
    w.publish(w.page(late[socks[2][1].session], flags=FAILED))

    for sock, ev in socks[:2]:              # a failed list, a lost one
        again = w.wait("SYNC_LIST",
                       where=lambda p, ev=ev: p.session == ev.session)
        w.publish(w.list(again))
        assert sock.message()["type"] == "sync_complete"
    for sock, ev in socks[2:]:              # a failed page, a lost one
        again = w.wait("SYNC_PAGE",
                       where=lambda p, ev=ev: p.session == ev.session)
        assert again.body == [(chat, 0, 2)]
        # the late answer does not count as the answer to the new request
        w.publish(w.full_page(late[ev.session]), w.full_page(again),
                  w.full_page(again), w.full_page(late[ev.session]))
        assert seqs(sock, 3) == [("new_message", 1), ("new_message", 2),
                                 ("sync_complete", None)]
    for sock, _ in socks:
        expect_no_frame(sock)
        sock.close()


def test_a_list_from_before_a_lost_subscription_is_dropped(w, me):
    """The old list lacks what was published while nobody subscribed."""
    sock, old = w.catching_up(*me)
    w.redis.client_kill_filter(_type="pubsub")
    new = w.wait("SYNC_LIST", where=lambda ev: ev.session == old.session)
    chat = new_chat()
    w.publish(w.list(old), w.list(new, (chat, 0, 1)))
    answer(w, w.wait("SYNC_PAGE"))
    assert entries(sock, 1) == seq_range(chat, 1, 1)
    assert sock.message()["type"] == "sync_complete"
    sock.close()


# ------------------------------------------------------------------ the pages

def test_the_newest_chat_comes_first_and_pages_are_full(w, me):
    sock, ev = w.catching_up(*me)
    a, b, c = (new_chat() for _ in range(3))
    w.publish(w.list(ev, (a, 10, 20), (b, 0, 100), (c, 7, 200)))
    ev = w.wait("SYNC_PAGE")
    assert ev.body == [(a, 10, 20), (b, 0, 100), (c, 7, 7 + PAGE - 110)]
    assert answer(w, ev) == PAGE
    assert entries(sock, PAGE) == (seq_range(a, 11, 20) + seq_range(b, 1, 100)
                                   + seq_range(c, 8, 25))
    ev = w.wait("SYNC_PAGE")
    assert ev.body == [(c, 25, 25 + PAGE)]
    answer(w, ev)
    assert entries(sock, PAGE) == seq_range(c, 26, 25 + PAGE)
    # the window is full
    w.expect_nothing("SYNC_PAGE", sock=sock)
    receipt(sock, b, 100)
    answer(w, w.wait("SYNC_PAGE"))
    assert entries(sock, 47) == seq_range(c, 154, 200)
    assert sock.message()["type"] == "sync_complete"
    sock.close()


@pytest.mark.parametrize("kind", ["delivered", "read"])
def test_at_most_256_entries_are_unacknowledged(w, me, kind):
    sock, ev = w.catching_up(*me)
    chat, got, acked = new_chat(), 0, 0
    w.publish(w.list(ev, (chat, 1000, 2000)))
    while got < 1000:
        ev = w.wait("SYNC_PAGE")
        [(_, after, to)] = ev.body
        assert after == 1000 + got and to - 1000 - acked <= WINDOW
        n = answer(w, ev)
        assert entries(sock, n) == seq_range(chat, after + 1, to)
        got += n
        if got - acked == WINDOW:
            w.expect_nothing("SYNC_PAGE", sock=sock)
            acked += 200
            receipt(sock, chat, 1000 + acked, kind)
            receipt(sock, chat, 1000 + acked - 50, kind)   # lower: ignored
            receipt(sock, chat, 1000 + acked, kind)
    assert sock.message()["type"] == "sync_complete"
    sock.close()


def test_a_receipt_counts_at_most_what_was_sent(w, me):
    sock, ev = w.catching_up(*me)
    chat = new_chat()
    w.publish(w.list(ev, (chat, 0, 2000)))
    receipt(sock, chat, 2 ** 63 - 1)
    receipt(sock, new_chat(), 1900)
    for _ in range(2):
        answer(w, w.wait("SYNC_PAGE"))
    entries(sock, WINDOW)
    receipt(sock, new_chat(), 1900)
    w.expect_nothing("SYNC_PAGE", sock=sock)
    receipt(sock, chat, 2 ** 63 - 1)
    for _ in range(2):
        answer(w, w.wait("SYNC_PAGE"))
    entries(sock, WINDOW)
    w.expect_nothing("SYNC_PAGE", sock=sock)
    sock.close()


def test_the_next_request_starts_where_a_short_page_ended(w, me):
    """The sync worker also ends a page at 1 MiB."""
    sock, ev = w.catching_up(*me)
    chat = new_chat()
    w.publish(w.list(ev, (chat, 0, 9)))
    for seq in range(1, 10):
        ev = w.wait("SYNC_PAGE")
        assert ev.body == [(chat, seq - 1, 9)]
        w.publish(w.page(ev, w.entry(chat, seq)))
    assert entries(sock, 9) == seq_range(chat, 1, 9)
    assert sock.message()["type"] == "sync_complete"
    sock.close()


def test_a_page_above_the_send_buffer_does_not_close():
    """The client reads, but its network is slow."""
    with Edge(websocket="chat_send_buffer 256k;") as edge:
        w = Played(edge)
        sock, ev = w.catching_up()
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


# ----------------------------------------------- live entries during catch-up

def test_live_entries_wait_for_the_list(w, me):
    sock, ev = w.catching_up(*me)
    behind, fresh = new_chat(), new_chat()
    w.publish(w.entry(behind, 6, [me[0]]), w.entry(fresh, 3, [me[0]]),
              w.entry(fresh, 4, [me[0]]))
    # this list was read before 6 was committed: the list contains neither 6
    # nor the fresh chat
    w.publish(w.list(ev, (behind, 2, 5)))
    while True:
        ev = w.wait("SYNC_PAGE")
        answer(w, ev)
        if sum(to - after for _, after, to in ev.body) == 6 or not w.unread:
            break
    got = entries(sock, 6)
    assert [e for e in got if e[0] == str(behind)] == seq_range(behind, 3, 6)
    assert [e for e in got if e[0] == str(fresh)] == seq_range(fresh, 3, 4)
    assert sock.message()["type"] == "sync_complete"
    sock.close()


def test_a_live_entry_of_a_completed_chat_is_not_lost(w, me):
    sock, ev = w.catching_up(*me)
    first, second = new_chat(), new_chat()
    w.publish(w.list(ev, (first, 0, 128), (second, 0, 1)))
    answer(w, w.wait("SYNC_PAGE"))
    assert entries(sock, 128) == seq_range(first, 1, 128)
    ev = w.wait("SYNC_PAGE")
    assert ev.body == [(second, 0, 1)]
    w.publish(w.entry(first, 129, [me[0]]))
    answer(w, ev)
    answer(w, w.wait("SYNC_PAGE"))
    assert entries(sock, 2) == (seq_range(second, 1, 1)
                                + seq_range(first, 129, 129))
    assert sock.message()["type"] == "sync_complete"
    w.publish(w.entry(first, 130, [me[0]]))
    assert entries(sock, 1) == seq_range(first, 130, 130)
    sock.close()


def test_a_cursor_from_a_live_entry_has_a_window_too(w, me):
    """The entry arrives before the list with the device's position. Receipts
    count from the position in the list."""
    sock, ev = w.catching_up(*me)
    chat = new_chat()
    w.publish(w.entry(chat, 1001, [me[0]]))
    w.publish(w.list(ev, (chat, 0, 1001)))
    got = 0
    while got < 1001:
        n = answer(w, w.wait("SYNC_PAGE"))
        assert entries(sock, n) == seq_range(chat, got + 1, got + n)
        got += n
        receipt(sock, chat, got)
    assert sock.message()["type"] == "sync_complete"
    sock.close()


def test_an_own_send_during_catch_up_is_acked_in_order(w, me):
    sock, ev = w.catching_up(*me)
    chat = new_chat()
    sock.text({"type": "send_message", "chatId": str(chat),
               "messageId": "own", "content": "x"})
    own = w.wait("SEND")
    w.publish(w.entry(chat, 3, [me[0]], send=own))
    w.publish(w.list(ev, (chat, 1, 3)))
    ev = w.wait("SYNC_PAGE")
    w.publish(w.page(ev, w.entry(chat, 2), w.entry(chat, 3, send=own)))
    assert seqs(sock, 3) == [("new_message", 2), ("message_ack", 3),
                             ("sync_complete", None)]
    sock.close()


def test_a_redone_entry_during_catch_up_is_written_once(w, me):
    sock, ev = w.catching_up(*me)
    done, behind = new_chat(), new_chat()
    w.publish(w.list(ev, (behind, 4, 6)))
    page = w.wait("SYNC_PAGE")
    w.publish(w.entry(done, 8, [me[0]], flags=REDO),
              w.entry(behind, 5, [me[0]], flags=REDO))
    answer(w, page)
    ev = w.wait("SYNC_LIST")
    assert ev.body == [(done, 0, 0)]
    w.publish(w.list(ev, (done, 8, 8), flags=REQUESTED))
    assert entries(sock, 2) == seq_range(behind, 5, 6)
    assert sock.message()["type"] == "sync_complete"
    w.publish(w.entry(done, 9, [me[0]]), w.entry(behind, 7, [me[0]]))
    assert entries(sock, 2) == seq_range(done, 9, 9) + seq_range(behind, 7, 7)
    sock.close()
