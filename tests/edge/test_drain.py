"""A reload: the old worker tells its clients to reconnect, serves them until
they have, answers what it took, closes with 1012, and ends."""

import itertools
import os
import signal
import threading

import pytest
from edge import Edge, wait_for
from inner import put
from played import Played, new_chat, seqs

numbers = itertools.count(30000)


@pytest.fixture
def me():
    return next(numbers), next(numbers)


def alive(pid):
    return os.path.exists(f"/proc/{pid}") and \
        open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0] != "Z"


def reload(w):
    """The old worker's pid and edge."""
    [pid], [edge] = w.edge.workers(), w.edges()
    os.kill(w.edge.nginx.pid, signal.SIGHUP)
    wait_for(lambda: len(w.edge.workers()) == 2, "a new worker")
    return pid, edge


def ended(pid, seconds=15):
    wait_for(lambda: not alive(pid), "the old worker ends", seconds=seconds)


def send(sock, chat, message_id):
    sock.text({"type": "send_message", "chatId": str(chat),
               "messageId": message_id, "content": "x"})


def take(w, message_id):
    return w.wait("SEND", where=lambda ev: ev.message_id == message_id)


def moved(w, user, device, old):
    """The client's new connection, on the new worker: its welcome read and
    its route written."""
    while True:
        sock, ev = w.asked(user, device)
        if ev.edge != old:
            return sock, ev
        sock.close()                    # the old one still accepts a moment


def test_a_client_is_served_until_it_has_moved_and_all_is_answered(me):
    with Edge(http="chat_drain 10s;") as edge:
        w = Played(edge)
        sock, session = w.synced(*me)
        chat = new_chat()
        pid, old = reload(w)
        frame = sock.message()
        assert frame["type"] == "reconnect" and 0 <= frame["after"] < 10000

        # served as before
        send(sock, chat, "before")
        ev = take(w, "before")
        assert (ev.edge, ev.session) == (old, session)
        w.publish(w.entry(chat, 1, [me[0]], of=ev),
                  w.entry(chat, 2, [me[0]]), edge=old)
        assert seqs(sock, 2) == [("message_ack", 1), ("new_message", 2)]

        send(sock, chat, "around")
        new, ev2 = moved(w, *me, old)
        # the old one hears what was sent before the welcome was seen
        send(sock, chat, "after")
        around, after = take(w, "around"), take(w, "after")
        assert around.edge == after.edge == old
        # and is owed both answers, though its route has gone: also the one
        # behind an entry that went to the new connection alone
        w.publish(w.list(ev2, (chat, 2, 2)), edge=ev2.edge)
        assert new.message()["type"] == "sync_complete"
        w.publish(w.entry(chat, 3, [me[0]]), edge=ev2.edge)
        w.publish(w.entry(chat, 4, of=around), w.entry(chat, 5, of=after),
                  edge=old)
        w.publish(w.entry(chat, 4, [me[0]], device=me[1]),
                  w.entry(chat, 5, [me[0]], device=me[1]), edge=ev2.edge)
        page = w.wait("SYNC_PAGE", where=lambda p: p.edge == old)
        assert page.body in ([(chat, 2, 4)], [(chat, 2, 5)])
        w.publish(w.page(page, w.entry(chat, 3), w.entry(chat, 4, of=around),
                         w.entry(chat, 5, of=after)), edge=old)
        assert seqs(sock, 3) == [("new_message", 3), ("message_ack", 4),
                                 ("message_ack", 5)]
        assert seqs(new, 3) == [("new_message", n) for n in (3, 4, 5)]
        assert sock.closed_with() == 1012
        ended(pid)
        assert new.alive()
        new.close()


def test_an_old_worker_without_clients_ends_at_once():
    with Edge(http="chat_drain 1h;") as edge:
        w = Played(edge)
        pid, _ = reload(w)
        ended(pid)
        assert len(edge.workers()) == 1


@pytest.mark.parametrize("drain", ["1s", "3s"])
def test_who_does_not_move_is_closed_and_the_worker_ends_in_time(drain):
    """Also who does not read, who does not answer the close frame, and who
    waits for an answer that does not come."""
    with Edge(http=f"chat_drain {drain}; chat_send_buffer 16m;",
              tls=True) as edge:
        w = Played(edge)
        chat = new_chat()
        users = [next(numbers) for _ in range(6)]
        polite, waiting, mute, mute_tls, nonreader, nonreader_tls = (
            w.synced(user, user, sock=edge.open(tls, window))[0]
            for user, tls, window in zip(
                users, (False, False, False, True, False, True),
                (None, None, None, None, 4096, 4096)))
        send(waiting, chat, "no-answer")
        take(w, "no-answer")
        for n in range(150):
            w.publish(*(w.entry(chat, n * 10 + i, users[4:],
                                text="x" * 4000) for i in range(1, 11)))
        pid, old = reload(w)
        closes = [threading.Thread(target=lambda s=s: codes.append(
            s.closed_with())) for s in (polite, waiting)]
        codes = []
        for thread in closes:
            thread.start()
        ended(pid, seconds=int(drain[:-1]) + 4)
        for thread in closes:
            thread.join()
        assert codes == [1012, 1012]
        for sock in (mute, mute_tls, nonreader, nonreader_tls):
            sock.close()


def test_a_rest_write_that_waits_gets_its_answer_from_the_old_worker(me):
    with Edge(http="chat_drain 5s;", server="""
            location /api/ {
                chat_auth on;
                chat_enqueue on;
                proxy_pass http://127.0.0.1:@PORT@/worker;
            }
            location /worker { return 200; }
            """) as edge:
        w = Played(edge)
        answers = []
        thread = threading.Thread(target=lambda: answers.append(edge.http(
            "POST", f"/api/v1/chats/{new_chat()}/messages",
            [("Authorization", f"Bearer {edge.token(*me)}"),
             ("Content-Type", "application/json")],
            b'{"messageId":"r","content":"x"}')))
        thread.start()
        ev = w.wait("SEND")
        pid, old = reload(w)
        wait_for(lambda: len(w.edges()) == 2, "the new edge")
        w.publish(put("HTTP", session=ev.session, status=201,
                      frame='{"seq":1}'), edge=old)
        thread.join()
        assert (answers[0].status, answers[0].json()) == (201, {"seq": 1})
        ended(pid)


def test_worker_shutdown_timeout_is_the_last_word(me):
    with Edge(http="chat_drain 1h;",
              main="worker_shutdown_timeout 1s;") as edge:
        w = Played(edge)
        sock, _ = w.synced(*me)
        pid, _ = reload(w)
        assert sock.message()["type"] == "reconnect"
        assert sock.closed_with() == 1012
        ended(pid)


def test_no_request_is_refused_around_a_reload(me):
    """A new worker has no Redis for its first milliseconds: requests wait."""
    with Edge(http="chat_drain 1s;", server="""
            location /api/ {
                chat_auth on;
                proxy_pass http://127.0.0.1:@PORT@/worker;
            }
            location /worker { return 204; }
            """) as edge:
        token = ("Authorization", f"Bearer {edge.token(*me)}")
        for _ in range(3):
            old = edge.workers()
            os.kill(edge.nginx.pid, signal.SIGHUP)
            statuses = set()
            while set(edge.workers()) & set(old):
                statuses.add(edge.http("GET", "/api/v1/x", [token]).status)
                response, sock = edge.upgrade(Authorization=token[1])
                statuses.add(response.status)
                sock.close()
            assert statuses == {101, 204}
