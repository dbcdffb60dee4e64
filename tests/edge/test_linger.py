"""While messages come without a pause, they leave for Redis together; none is
lost or out of order for it, and what is no message does not wait."""

import itertools
import time

import pytest
from edge import Edge
from played import Played, new_chat, refused_before

numbers = itertools.count(70000)
MESSAGES = 200
WRITES = "chat_edge_event_writes_total"


def world(gather):
    return Edge(http=f"chat_linger {gather};",
                server="location /metrics { chat_status metrics; }")


def send(sock, chat, message_id):
    sock.text({"type": "send_message", "chatId": str(chat),
               "messageId": message_id, "content": "x"})


def without_a_pause(edge, w, sock, chat, messages=MESSAGES):
    """Sends one every 2 ms, and returns in how many writes they left."""
    before = edge.metric(WRITES)
    sent = [f"g-{n}" for n in range(messages)]
    for message_id in sent:
        send(sock, chat, message_id)
        time.sleep(0.002)       # the pace, not a wait for anything
    came = [w.wait("SEND").message_id for _ in sent]
    assert came == sent
    return edge.metric(WRITES) - before


def test_messages_without_a_pause_leave_together():
    """A window of 20 ms has ten of them."""
    with world("20ms") as edge:
        w = Played(edge)
        sock, _ = w.synced(next(numbers), next(numbers))
        assert without_a_pause(edge, w, sock, new_chat()) < MESSAGES / 2
        sock.close()


def test_nothing_gathers_when_it_is_off():
    """A write takes what one turn and one millisecond bring: of messages 2 ms
    apart one, unless the machine stood still meanwhile."""
    with world("0") as edge:
        w = Played(edge)
        sock, _ = w.synced(next(numbers), next(numbers))
        most = 0
        for _ in range(5):
            most = max(most, without_a_pause(edge, w, sock, new_chat()))
            if most > MESSAGES / 2:
                break
        assert most > MESSAGES / 2
        sock.close()


@pytest.mark.parametrize("quiet", [0, 0.1])
def test_what_waits_when_redis_is_lost_is_refused(quiet):
    """The commands are not written yet: the sender is told all the same, and
    the next ones are taken by the new connection."""
    with world("20ms") as edge:
        w = Played(edge)
        user = next(numbers)
        sock, session = w.synced(user, next(numbers))
        chat = new_chat()
        without_a_pause(edge, w, sock, chat, 40)
        for n in range(20):
            send(sock, chat, f"n-{n}")
            if n == 10:
                w.redis.client_kill_filter(_type="normal", skipme=True)
        time.sleep(quiet)       # the timer may end while there is none
        w.ready()
        w.publish(w.list(w.wait("SYNC_LIST",
                                where=lambda ev: ev.session == session)))
        send(sock, chat, "last")
        last = w.wait("SEND", where=lambda ev: ev.message_id == "last")
        w.publish(w.entry(chat, 1, [user], of=last))
        refusals = refused_before(sock, "last")
        taken = {ev.message_id for ev in w.take("SEND")}
        assert taken | refusals == {f"n-{n}" for n in range(20)}
        sock.close()
