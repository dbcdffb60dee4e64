"""Messages that arrive without a pause are written to Redis together. None is
lost or out of order."""

import itertools
import time

import pytest
from edge import Edge
from played import Played, new_chat, refused_before

numbers = itertools.count(70000)
MESSAGES = 200
WRITES = "chat_edge_event_writes_total"


def lingering_edge(linger):
    return Edge(http=f"chat_linger {linger};",
                server="location /metrics { chat_status metrics; }")


def send(sock, chat, message_id):
    sock.text({"type": "send_message", "chatId": str(chat),
               "messageId": message_id, "content": "x"})


def send_every_2_ms(edge, w, sock, chat, messages=MESSAGES):
    """Sends a message every 2 ms; returns the number of writes to Redis."""
    before = edge.metric(WRITES)
    sent = [f"g-{n}" for n in range(messages)]
    for message_id in sent:
        send(sock, chat, message_id)
        time.sleep(0.002)       # the rate of messages
    arrived = [w.wait("SEND").message_id for _ in sent]
    assert arrived == sent
    return edge.metric(WRITES) - before


def test_messages_without_a_pause_are_written_together():
    """A window of 20 ms contains ten messages."""
    with lingering_edge("20ms") as edge:
        w = Played(edge)
        sock, _ = w.synced(next(numbers), next(numbers))
        assert send_every_2_ms(edge, w, sock, new_chat()) < MESSAGES / 2
        sock.close()


def test_messages_do_not_wait_when_chat_linger_is_0():
    """A write contains the messages of one loop iteration and of the same
    millisecond: one of messages 2 ms apart, unless the machine stalls."""
    with lingering_edge("0") as edge:
        w = Played(edge)
        sock, _ = w.synced(next(numbers), next(numbers))
        most = 0
        for _ in range(5):
            most = max(most, send_every_2_ms(edge, w, sock, new_chat()))
            if most > MESSAGES / 2:
                break
        assert most > MESSAGES / 2
        sock.close()


@pytest.mark.parametrize("pause", [0, 0.1])
def test_messages_that_wait_when_redis_is_lost_are_refused(pause):
    """The commands are not written yet: their senders get an error, and the
    new connection accepts later messages."""
    with lingering_edge("20ms") as edge:
        w = Played(edge)
        user = next(numbers)
        sock, session = w.synced(user, next(numbers))
        chat = new_chat()
        send_every_2_ms(edge, w, sock, chat, 40)
        for n in range(20):
            send(sock, chat, f"n-{n}")
            if n == 10:
                w.redis.client_kill_filter(_type="normal", skipme=True)
        time.sleep(pause)       # the timer may expire without a connection
        w.ready()
        w.publish(w.list(w.wait("SYNC_LIST",
                                where=lambda ev: ev.session == session)))
        send(sock, chat, "last")
        last = w.wait("SEND", where=lambda ev: ev.message_id == "last")
        w.publish(w.entry(chat, 1, [user], send=last))
        refusals = refused_before(sock, "last")
        taken = {ev.message_id for ev in w.take("SEND")}
        assert taken | refusals == {f"n-{n}" for n in range(20)}
        sock.close()
