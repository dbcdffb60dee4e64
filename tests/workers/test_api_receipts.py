"""Receipt cursors that an edge writes, and the receipts of an entry."""

import uuid

import inner
import pytest
from api_client import Rest, add_chat, add_entries, soon
from stores import Worker


@pytest.fixture
def rest(stores):
    r = Rest(stores).start()
    w = Worker(stores.conf(keys_dir=r.home / "keys"), "message")
    yield r
    w.stop()
    assert r.stop() == 0


def test_entry_gets_the_time_of_the_first_cursor_that_covers_it(rest, stores):
    one, other = rest.login(), rest.login()
    chat = add_chat(stores, {one.user: {}, other.user: {}})
    add_entries(stores, chat, 1, 6, one.user)
    key = uuid.UUID(chat)
    stream = "message.sent:{%d}" % (key.bytes[15] & 63)

    def move_cursor(delivered=0, read=0):
        stores.redis().xadd(stream, {"e": inner.event(
            "RECEIPTS", chat=key, body=inner.receipt(
                1, int(other.user), int(other.device), key, delivered,
                read))})

    def rows():
        return stores.sql("SELECT mark, seq FROM mark_times WHERE chat_id = %s"
                          " ORDER BY 1, 2", chat)

    def receipt(seq):
        reply = one.get(f"/chats/{chat}/messages/{seq}/receipts")
        return reply.json["items"][0]

    move_cursor(delivered=2)
    soon(lambda: rows() == [(1, 2)], 20)
    assert receipt(2)["deliveredAt"] and receipt(2)["readAt"] is None
    assert receipt(3)["deliveredAt"] is None

    move_cursor(read=4)
    soon(lambda: rows() == [(1, 2), (1, 4), (2, 4)])
    assert receipt(1)["deliveredAt"] < receipt(3)["deliveredAt"]
    assert receipt(4)["readAt"] and not receipt(5)["read"]
    assert receipt(1)["readAt"] == receipt(4)["readAt"]

    # the same cursor, a lower one, and one with only delivered
    move_cursor(delivered=2, read=4)
    move_cursor(read=1)
    move_cursor(delivered=6)
    soon(lambda: rows() == [(1, 2), (1, 4), (1, 6), (2, 4)])
