"""An entry that a worker publishes reaches the connections of its targets in
order and once: as an ack on the connection that sent it, as new_message on all
others."""

import itertools
import json

import pytest
from inner import CHECK, HIDDEN, REDO, put
from played import EPOCH, TIMESTAMP, expect_no_frame, frame, new_chat, seqs

import schema

numbers = itertools.count(1000)


@pytest.fixture
def live(w):
    """Opens live connections, for a new user or for the given one."""
    made = []

    def make(user=None, device=None):
        user = user or next(numbers)
        sock, session = w.synced(user, device or next(numbers))
        sock.user, sock.session = user, session
        made.append(sock)
        return sock

    yield make
    for sock in made:
        sock.close()


def send(sock, chat, message_id, content="x"):
    sock.text({"type": "send_message", "chatId": str(chat),
               "messageId": message_id, "content": content})


# ---------------------------------------------------------------- one entry

def test_an_entry_reaches_every_device_of_its_targets_only(
        w, live):
    ann, bob, eve = live(), live(), live()
    ann2 = live(ann.user)
    chat = new_chat()
    w.publish(w.entry(chat, 7, [ann.user, bob.user], sender=9, device=99))
    for sock in (ann, ann2, bob):
        got = schema.validate_frame(sock.message())
        assert got == frame(chat, 7, messageId="m-7", senderId="9",
                            senderDeviceId="99", content="text 7",
                            contentType="text", timestamp=TIMESTAMP)
    for sock in (ann, ann2, bob, eve):
        expect_no_frame(sock)


def test_the_sending_connection_gets_the_ack_for_the_entry(w, live):
    ann = live()
    ann2, bob = live(ann.user), live()
    chat = new_chat()
    send(ann, chat, "a\"\\1", "hello")
    ev = w.wait("SEND")
    assert (ev.chat, ev.message_id, ev.content, ev.session, ev.user) == \
        (chat, "a\"\\1", "hello", ann.session, ann.user)
    w.publish(w.entry(chat, 1, [ann.user, bob.user], send=ev))
    assert schema.validate_frame(ann.message()) == {
        "type": "message_ack", "messageId": "a\"\\1", "chatId": str(chat),
        "seq": 1, "timestamp": TIMESTAMP}
    assert seqs(ann2, 1) == seqs(bob, 1) == [("new_message", 1)]
    # the ack counts as the entry: the same entry is dropped, the next follows
    w.publish(w.entry(chat, 1, [ann.user], send=ev),
              w.entry(chat, 2, [ann.user]))
    assert seqs(ann, 1) == [("new_message", 2)]


def test_an_entry_sent_by_rest_reaches_its_sender_too(w, live):
    ann = live()
    chat = new_chat()
    w.publish(put("ENTRY", items=[(ann.user, 0)], chat=chat, seq=1,
                  epoch=EPOCH, session=12345, device=0, message_id="r-1",
                  frame=json.dumps(frame(chat, 1))))
    assert seqs(ann, 1) == [("new_message", 1)]


def test_a_sender_that_is_not_a_target_gets_its_ack(w, live):
    """The device has connected elsewhere meanwhile, or its route was lost.
    The entries that the sender missed come first."""
    ann = live()
    chat = new_chat()
    send(ann, chat, "a-1")
    ev = w.wait("SEND")
    w.publish(w.entry(chat, 2, send=ev))
    w.publish(w.list(w.wait("SYNC_LIST"), (chat, 0, 2)))
    w.publish(w.page(w.wait("SYNC_PAGE"), w.entry(chat, 1),
                     w.entry(chat, 2, send=ev)))
    assert seqs(ann, 2) == [("new_message", 1), ("message_ack", 2)]


def test_a_batch_keeps_its_order(w, live):
    ann = live()
    chats = [new_chat() for _ in range(5)]
    w.publish(*(w.entry(chats[seq % 5], seq // 5 + 1, [ann.user])
                for seq in range(2000)))
    got = [ann.message() for _ in range(2000)]
    assert [(f["chatId"], f["seq"]) for f in got] == \
        [(str(chats[seq % 5]), seq // 5 + 1) for seq in range(2000)]


# ------------------------------------------------------ duplicates and gaps

def test_an_entry_that_was_already_written_is_dropped(w, live):
    ann = live()
    chat = new_chat()
    for batch in ([5], [5, 4], [1, 5, 6], [6, 7]):
        w.publish(*(w.entry(chat, seq, [ann.user], flags=REDO if seq < 5
                            else 0) for seq in batch))
    assert seqs(ann, 3) == [("new_message", seq) for seq in (5, 6, 7)]
    w.expect_nothing("SYNC_PAGE", sock=ann)


def test_a_gap_is_fetched_before_later_entries_are_written(w, live):
    ann = live()
    chat, other = new_chat(), new_chat()
    w.publish(w.entry(chat, 3, [ann.user]), w.entry(chat, 7, [ann.user]),
              w.entry(other, 1, [ann.user]))
    assert seqs(ann, 2) == [("new_message", 3), ("new_message", 1)]
    ev = w.wait("SYNC_PAGE")
    assert ev.session == ann.session and ev.body == [(chat, 3, 7)]
    # an entry that arrives meanwhile waits
    w.publish(w.entry(chat, 8, [ann.user]))
    w.publish(w.full_page(ev))
    w.publish(w.full_page(w.wait("SYNC_PAGE")))
    assert seqs(ann, 5) == [("new_message", seq) for seq in range(4, 9)]
    w.publish(w.entry(chat, 9, [ann.user]))
    assert seqs(ann, 1) == [("new_message", 9)]
    w.expect_nothing("SYNC_PAGE", "SYNC_LIST", sock=ann)


def test_an_own_send_after_a_gap_is_acked_in_order(w, live):
    ann = live()
    chat = new_chat()
    w.publish(w.entry(chat, 1, [ann.user]))
    send(ann, chat, "a-1")
    own = w.wait("SEND")
    w.publish(w.entry(chat, 3, [ann.user], send=own))
    ev = w.wait("SYNC_PAGE")
    assert ev.body == [(chat, 1, 3)]
    w.publish(w.page(ev, w.entry(chat, 2), w.entry(chat, 3, send=own)))
    assert seqs(ann, 3) == [("new_message", 1), ("new_message", 2),
                            ("message_ack", 3)]


def test_a_redone_entry_of_an_unknown_chat_needs_its_receipts(w, live):
    """Only the receipts show whether the device already has the entry."""
    ann = live()
    seen, unseen = new_chat(), new_chat()
    w.publish(w.entry(seen, 5, [ann.user], flags=REDO),
              w.entry(unseen, 5, [ann.user], flags=REDO))
    for _ in range(2):
        ev = w.wait("SYNC_LIST")
        w.publish(w.list(ev, *((chat, 3 if chat == unseen else 6, 6)
                               for chat, _, _ in ev.body)))
    ev = w.wait("SYNC_PAGE")
    assert ev.body == [(unseen, 3, 6)]
    w.publish(w.full_page(ev))
    assert [(f["chatId"], f["seq"]) for f in
            (ann.message() for _ in range(3))] == [
                (str(unseen), seq) for seq in (4, 5, 6)]
    w.publish(w.entry(seen, 6, [ann.user], flags=REDO),
              w.entry(seen, 7, [ann.user]))
    assert seqs(ann, 1) == [("new_message", 7)]


def test_a_returning_member_catches_up_from_the_own_receipt(w, live):
    ann = live()
    chat = new_chat()
    w.publish(w.entry(chat, 9, [(ann.user, CHECK)]))
    ev = w.wait("SYNC_LIST")
    assert [item[0] for item in ev.body] == [chat]
    w.publish(w.list(ev, (chat, 2, 9)))
    ev = w.wait("SYNC_PAGE")
    assert ev.body == [(chat, 2, 9)]
    w.publish(w.full_page(ev))
    assert seqs(ann, 7) == [("new_message", seq) for seq in range(3, 10)]


def test_a_former_member_gets_nothing_of_a_checked_chat(w, live):
    ann = live()
    chat = new_chat()
    w.publish(w.entry(chat, 9, [(ann.user, CHECK)]))
    w.publish(w.list(w.wait("SYNC_LIST")))
    w.expect_nothing("SYNC_PAGE", "SYNC_LIST", sock=ann)


def test_entries_of_a_former_shard_owner_are_dropped(w, live):
    ann = live()
    chat = new_chat()
    w.publish(w.entry(chat, 1, [ann.user]),
              w.entry(chat, 2, [ann.user], epoch=EPOCH - 1, text="stale"),
              w.entry(chat, 2, [ann.user], text="the owner's"))
    assert seqs(ann, 1) == [("new_message", 1)]
    assert ann.message()["content"] == "the owner's"
    w.expect_nothing("SYNC_PAGE", sock=ann)


@pytest.mark.parametrize("seq", [1, 2 ** 53 + 1, 2 ** 63 - 2])
def test_seqs_up_to_the_limit_of_63_bits(w, live, seq):
    ann = live()
    chat = new_chat()
    w.publish(w.entry(chat, seq, [ann.user]),
              w.entry(chat, seq + 1, [ann.user]),
              w.entry(chat, seq, [ann.user]))
    assert seqs(ann, 2) == [("new_message", seq), ("new_message", seq + 1)]
    w.expect_nothing("SYNC_PAGE", sock=ann)


# --------------------------------------------------------- acks and refusals

def test_a_duplicate_is_answered_at_once_with_the_first_seq(w, live):
    ann = live()
    chat = new_chat()
    send(ann, chat, "a-1")
    ev = w.wait("SEND")
    w.publish(w.entry(chat, 4, [ann.user], send=ev))
    assert seqs(ann, 1) == [("message_ack", 4)]
    for _ in range(2):
        send(ann, chat, "a-1")
        ev = w.wait("SEND")
        w.publish(w.entry(chat, 4, [ann.user], send=ev, flags=REDO),
                  put("ACK", chat=chat, seq=4, session=ev.session,
                      message_id="a-1"))
        assert seqs(ann, 1) == [("message_ack", 4)]
    expect_no_frame(ann)


def test_each_of_several_equal_sends_is_answered_once(w, live):
    ann = live()
    chat = new_chat()
    for _ in range(3):
        send(ann, chat, "a-1")
    first, second, third = (w.wait("SEND") for _ in range(3))
    w.publish(w.entry(chat, 1, [ann.user], send=first))
    for ev in (second, third):
        w.publish(w.entry(chat, 1, [ann.user], send=ev, flags=REDO),
                  put("ACK", chat=chat, seq=1, session=ev.session,
                      message_id="a-1"))
    assert seqs(ann, 3) == [("message_ack", 1)] * 3
    expect_no_frame(ann)


def test_a_duplicate_of_an_earlier_connection_is_acked_in_order(
        w, live):
    """The ack takes the entry's place among the fetched entries."""
    ann = live()
    chat = new_chat()
    send(ann, chat, "a-1")
    ev = w.wait("SEND")
    w.publish(w.entry(chat, 2, [ann.user], send=ev, flags=REDO),
              put("ACK", chat=chat, seq=2, session=ev.session,
                  message_id="a-1"))
    w.publish(w.list(w.wait("SYNC_LIST"), (chat, 0, 3)))
    page = w.wait("SYNC_PAGE")
    w.publish(w.page(page, w.entry(chat, 1), w.entry(chat, 2, send=ev),
                     w.entry(chat, 3)))
    assert seqs(ann, 3) == [("new_message", 1), ("message_ack", 2),
                            ("new_message", 3)]
    expect_no_frame(ann)


def test_a_duplicate_below_the_receipt_waits_for_the_receipt(
        w, live):
    ann = live()
    chat = new_chat()
    send(ann, chat, "a-1")
    ev = w.wait("SEND")
    w.publish(w.entry(chat, 2, [ann.user], send=ev, flags=REDO),
              put("ACK", chat=chat, seq=2, session=ev.session,
                  message_id="a-1"))
    w.publish(w.list(w.wait("SYNC_LIST"), (chat, 2, 3)))
    w.publish(w.page(w.wait("SYNC_PAGE"), w.entry(chat, 3)))
    assert seqs(ann, 2) == [("message_ack", 2), ("new_message", 3)]
    expect_no_frame(ann)


def test_a_duplicate_ahead_of_a_known_chat_waits_for_the_page(w, live):
    ann = live()
    chat = new_chat()
    w.publish(w.entry(chat, 1, [ann.user]))
    assert seqs(ann, 1) == [("new_message", 1)]
    send(ann, chat, "a-1")
    ev = w.wait("SEND")
    w.publish(put("ACK", chat=chat, seq=3, session=ev.session,
                  message_id="a-1"))
    page = w.wait("SYNC_PAGE")
    w.publish(w.page(page, w.entry(chat, 2), w.entry(chat, 3, send=ev)))
    assert seqs(ann, 2) == [("new_message", 2), ("message_ack", 3)]
    expect_no_frame(ann)


def test_a_refusal_reaches_only_the_sender_and_ends_the_send(w, live):
    ann = live()
    ann2 = live(ann.user)
    chat = new_chat()
    send(ann, chat, "a-1")
    ev = w.wait("SEND")
    refusal = {"type": "error", "code": "not_member", "message": "No.",
               "messageId": "a-1", "chatId": str(chat)}
    w.publish(put("FRAME", chat=chat, session=ev.session, message_id="a-1",
                  frame=json.dumps(refusal)))
    assert ann.message() == refusal
    # the edge no longer waits for "a-1": an entry with this id that another
    # connection of the device sent later comes as new_message
    w.publish(w.entry(chat, 1, [ann.user], message_id="a-1",
                      device=ev.device, sender=ann.user))
    assert seqs(ann, 1) == seqs(ann2, 1) == [("new_message", 1)]


def test_an_answer_for_an_ended_session_is_dropped(w, live):
    ann = live()
    chat = new_chat()
    w.publish(put("ACK", chat=chat, seq=4, session=2 ** 64 - 1,
                  message_id="a-1"),
              put("FRAME", session=2 ** 63, frame="{}"),
              put("HTTP", session=2 ** 62, status=200, frame="{}"),
              put("SYNC_LIST", session=2 ** 62),
              put("SYNC_PAGE", session=2 ** 62, seq=1),
              w.entry(chat, 1, [2 ** 63 - 1]),
              w.entry(chat, 1, [ann.user]))
    assert seqs(ann, 1) == [("new_message", 1)]


def test_a_record_of_a_later_version_is_skipped(w, live):
    ann = live()
    chat = new_chat()
    later = bytes([3, 0, 0, 0, 200, 0, 7])
    w.publish(later, w.entry(chat, 1, [ann.user]), later)
    assert seqs(ann, 1) == [("new_message", 1)]


# ------------------------------------------------------------------ notices

def test_a_notice_skips_the_excluded_device(w, live):
    ann, bob = live(), live()
    device = next(numbers)
    ann2 = live(ann.user, device)
    receipt = {"type": "receipt", "chatId": str(new_chat()),
               "userId": str(ann.user), "read": 3, "delivered": 3}
    w.publish(put("NOTICE", items=[(ann.user, 0), (bob.user, 0)],
                  device=device, frame=json.dumps(receipt)))
    assert ann.message() == bob.message() == receipt
    expect_no_frame(ann2)


def test_a_user_who_may_not_see_an_entry_gets_only_its_seq(w, live):
    ann, bob = live(), live()
    chat = new_chat()
    w.publish(w.entry(chat, 1, [(ann.user, HIDDEN), bob.user]))
    assert schema.validate_frame(ann.message()) == frame(chat, 1, "hidden")
    assert bob.message()["content"] == "text 1"
    w.publish(w.entry(chat, 2, [ann.user, bob.user]))
    assert seqs(ann, 1) == seqs(bob, 1) == [("new_message", 2)]
