"""A reload: the old worker asks its clients to reconnect, serves them until
they have done so, answers every accepted request, closes with 1012 and exits.
"""

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
    """Reloads nginx; returns the pid and the edge id of the old worker."""
    [pid], [edge] = w.edge.workers(), w.edges()
    os.kill(w.edge.nginx.pid, signal.SIGHUP)
    wait_for(lambda: len(w.edge.workers()) == 2, "a new worker")
    return pid, edge


def wait_for_exit(pid, seconds=15):
    wait_for(lambda: not alive(pid), "the old worker exits", seconds=seconds)


def send(sock, chat, message_id):
    sock.text({"type": "send_message", "chatId": str(chat),
               "messageId": message_id, "content": "x"})


def take(w, message_id):
    return w.wait("SEND", where=lambda ev: ev.message_id == message_id)


def connect_to_new_worker(w, user, device, old):
    """Connects to the new worker; the welcome is read and the route is
    written."""
    while True:
        sock, ev = w.catching_up(user, device)
        if ev.edge != old:
            return sock, ev
        sock.close()                    # the old worker still accepts briefly


def test_a_client_is_served_until_its_sends_are_answered(me):
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
        w.publish(w.entry(chat, 1, [me[0]], send=ev),
                  w.entry(chat, 2, [me[0]]), edge=old)
        assert seqs(sock, 2) == [("message_ack", 1), ("new_message", 2)]

        send(sock, chat, "around")
        new, ev2 = connect_to_new_worker(w, *me, old)
        # the old worker accepts what the client sent before it saw the new
        # welcome
        send(sock, chat, "after")
        around, after = take(w, "around"), take(w, "after")
        assert around.edge == after.edge == old
        # the old connection gets both answers, although its route is deleted
        # and entry 3 went to the new connection only
        w.publish(w.list(ev2, (chat, 2, 2)), edge=ev2.edge)
        assert new.message()["type"] == "sync_complete"
        w.publish(w.entry(chat, 3, [me[0]]), edge=ev2.edge)
        w.publish(w.entry(chat, 4, send=around), w.entry(chat, 5, send=after),
                  edge=old)
        w.publish(w.entry(chat, 4, [me[0]], device=me[1]),
                  w.entry(chat, 5, [me[0]], device=me[1]), edge=ev2.edge)
        page = w.wait("SYNC_PAGE", where=lambda p: p.edge == old)
        assert page.body in ([(chat, 2, 4)], [(chat, 2, 5)])
        w.publish(w.page(page, w.entry(chat, 3), w.entry(chat, 4, send=around),
                         w.entry(chat, 5, send=after)), edge=old)
        assert seqs(sock, 3) == [("new_message", 3), ("message_ack", 4),
                                 ("message_ack", 5)]
        assert seqs(new, 3) == [("new_message", n) for n in (3, 4, 5)]
        assert sock.closed_with() == 1012
        wait_for_exit(pid)
        assert new.alive()
        new.close()


def test_an_old_worker_without_clients_exits_at_once():
    with Edge(http="chat_drain 1h;") as edge:
        w = Played(edge)
        pid, _ = reload(w)
        wait_for_exit(pid)
        assert len(edge.workers()) == 1


@pytest.mark.parametrize("drain", ["1s", "3s"])
def test_clients_that_stay_are_closed_and_the_worker_exits(drain):
    """Including clients that do not read, clients that do not answer the
    close frame, and a client whose send gets no answer."""
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
        wait_for_exit(pid, seconds=int(drain[:-1]) + 4)
        for thread in closes:
            thread.join()
        assert codes == [1012, 1012]
        for sock in (mute, mute_tls, nonreader, nonreader_tls):
            sock.close()


def test_the_old_worker_answers_a_waiting_rest_write(me):
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
        wait_for_exit(pid)


def test_worker_shutdown_timeout_overrides_chat_drain(me):
    with Edge(http="chat_drain 1h;",
              main="worker_shutdown_timeout 1s;") as edge:
        w = Played(edge)
        sock, _ = w.synced(*me)
        pid, _ = reload(w)
        assert sock.message()["type"] == "reconnect"
        assert sock.closed_with() == 1012
        wait_for_exit(pid)


def test_no_request_is_refused_during_a_reload(me):
    """A new worker takes some milliseconds to connect to Redis; requests wait
    until it has."""
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
