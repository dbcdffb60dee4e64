"""Sends: seq, duplicates, refusals, targets, receipts."""

import json
import signal
import time

import inner
import pytest
import msg


@pytest.fixture
def chat(emptied, edge, worker):
    users = msg.make_users(emptied, 3)
    worker(emptied.conf(), "message")
    return msg.make_chat(emptied, users), users


def test_message_is_stored_and_delivered(emptied, edge, chat):
    c, (a, b, _) = chat
    edge.connect(b, b * 10)
    rec = edge.send(c, a, "m1", "héllo \"x\"")
    assert rec.type == "ENTRY" and rec.seq == 1 and rec.message_id == "m1"
    assert rec.items == [(b, 0)] and rec.device == a * 10 and rec.epoch >= 1
    frame = json.loads(rec.frame)
    assert frame["type"] == "new_message" and frame["content"] == "héllo \"x\""
    assert frame["senderId"] == str(a) and frame["chatId"] == str(c)
    rows = emptied.sql("SELECT seq, content, message_id, sender_device,"
                       " extract(epoch from created_at) * 1000 FROM entries")
    assert rows[0][:4] == (1, "héllo \"x\"", "m1", a * 10)
    assert rec.timestamp == int(rows[0][4]) == rows[0][4]
    assert emptied.sql("SELECT last_seq FROM chats") == [(1,)]
    time.sleep(0.3)
    assert edge.redis.xlen(msg.stream(c)) == 0


def test_user_with_a_new_route_before_the_xack_gets_the_entry_again(
        emptied, worker):
    """While messages arrive without a pause, the worker waits linger_us
    between PUBLISH and XACK. A user whose route changes in that time gets the
    published entry on the new route."""
    edge, other = msg.MessageEdge(emptied), msg.MessageEdge(emptied)
    a, b = msg.make_users(emptied, 2)
    worker(emptied.conf(linger_us=20000), "message")
    c = msg.make_chat(emptied, [a, b])
    here, there = edge, other
    again = []
    here.connect(b, b * 10)
    for i in range(200):
        seq = edge.send(c, a, f"m{i}").seq
        if i >= 40 and i % 4 == 0:
            if here is other:
                here.wait(lambda r: r.type == "ENTRY" and r.seq == seq)
            there.connect(b, b * 10)
            here, there = there, here
            # the next entry arrives here in any case, this one only if the
            # worker published it again
            following = edge.send(c, a, f"n{i}").seq
            here.wait(lambda r: r.type == "ENTRY" and r.seq == following
                      and (b, 0) in r.items)
            again += [r for r in here.all(lambda r: r.type == "ENTRY")
                     if r.seq == seq and (b, 0) in r.items]
            if again:
                break
    edge.close()
    other.close()
    assert again


def test_redis_tracks_only_routes(emptied, edge, chat):
    """The worker reads streams on the connection that gets invalidations: each
    event would cause one if Redis tracked more than routes."""
    c, users = chat
    for user in users:
        edge.connect(user, user * 10)
    for n in range(5):
        edge.send(c, users[0], f"m{n}")
    tracked = edge.redis.info("stats")["tracking_total_keys"]
    assert tracked == len(users)


def test_sender_gets_the_record_even_when_nobody_is_online(edge, chat):
    c, (a, *_) = chat
    rec = edge.send(c, a, "m1")
    assert rec.type == "ENTRY" and rec.items == []


def test_other_edges_get_the_entry_without_a_session(emptied, edge, chat):
    c, (a, b, d) = chat
    other = msg.MessageEdge(emptied)
    other.connect(b, b * 10)
    other.connect(b, b * 10 + 1)
    edge.connect(a, a * 10)
    edge.connect(d, d * 10)
    rec = edge.send(c, a, "m1")
    assert sorted(rec.items) == [(a, 0), (d, 0)]
    rec = other.wait(lambda r: r.type == "ENTRY")
    assert rec.session == 0 and rec.items == [(b, 0)]
    other.close()


def test_duplicate_is_answered_with_the_first_seq(edge, chat):
    c, (a, *_) = chat
    first = edge.send(c, a, "m1", "x")
    edge.send(c, a, "m2", "y")
    rec = edge.send(c, a, "m1", "x")
    assert rec.type == "ENTRY" and rec.flags & inner.REDO and rec.seq == 1
    rec = edge.wait(lambda r: r.type == "ACK")
    assert (rec.seq, rec.timestamp) == (first.seq, first.timestamp)
    assert rec.message_id == "m1" and rec.chat == c


def test_old_duplicate_is_not_published_again(emptied, edge, chat):
    c, (a, *_) = chat
    edge.send(c, a, "m1", "x")
    emptied.sql("UPDATE entries SET created_at = created_at"
                " - interval '3 minutes'")
    rec = edge.send(c, a, "m1", "x")
    assert rec.type == "ACK" and rec.seq == 1


def test_new_worker_recognises_a_duplicate(emptied, edge, worker):
    a, b = msg.make_users(emptied, 2)
    first = worker(emptied.conf(), "message")
    c = msg.make_chat(emptied, [a, b])
    seqs = [edge.send(c, a, f"m{i}").seq for i in range(1, 4)]
    first.stop()
    second = worker(emptied.conf(), "message")

    # one batch with a duplicate between two new messages
    second.signal(signal.SIGSTOP)
    for mid in ("m4", "m2", "m5"):
        edge.add("SEND", c, user=a, device=a * 10, session=77,
                 message_id=mid, content="hello")
    second.signal(signal.SIGCONT)
    got = [edge.wait(lambda r: r.message_id == m and r.session == 77).seq
           for m in ("m4", "m2", "m5")]
    assert seqs == [1, 2, 3] and got == [4, 2, 5]
    assert emptied.sql("SELECT message_id FROM entries ORDER BY seq") == [
        ("m1",), ("m2",), ("m3",), ("m4",), ("m5",)]
    assert emptied.sql("SELECT last_seq FROM chats") == [(5,)]


def test_duplicate_with_other_content_is_message_id_reused(emptied, edge,
                                                           chat):
    c, (a, *_) = chat
    edge.send(c, a, "m1", "x")
    rec = edge.send(c, a, "m1", "y")
    assert rec.type == "FRAME" and msg.code(rec) == "message_id_reused"
    assert rec.message_id == "m1"
    assert json.loads(rec.frame)["chatId"] == str(c)
    assert emptied.sql("SELECT count(*) FROM entries") == [(1,)]


def test_duplicates_in_one_batch_are_recognised(emptied, edge, chat):
    c, (a, *_) = chat
    pipe = edge.redis.pipeline(transaction=True)
    for i, (mid, text) in enumerate([("m1", "x"), ("m1", "x"), ("m2", "z"),
                                     ("m1", "y"), ("m1", "x")]):
        pipe.xadd(msg.stream(c), {"e": inner.event(
            "SEND", edge=edge.id, chat=c, session=100 + i, user=a,
            device=a * 10, message_id=mid, content=text)})
    pipe.execute()
    edge.wait(lambda r: r.type == "ACK" and r.session == 104)
    assert emptied.sql("SELECT seq, message_id FROM entries ORDER BY seq") == [
        (1, "m1"), (2, "m2")]
    assert [msg.code(r) for r in edge.all(lambda r: r.type == "FRAME")] == [
        "message_id_reused"]


def test_same_id_of_another_device_is_another_message(edge, chat):
    c, (a, *_) = chat
    assert edge.send(c, a, "m1", device=71).seq == 1
    assert edge.send(c, a, "m1", device=72).seq == 2


def test_order_of_one_device_is_kept(emptied, edge, chat):
    c, (a, *_) = chat
    pipe = edge.redis.pipeline(transaction=False)
    for i in range(1000):
        pipe.xadd(msg.stream(c), {"e": inner.event(
            "SEND", edge=edge.id, chat=c, session=1, user=a, device=a * 10,
            message_id=f"m{i}", content=str(i))})
    pipe.execute()
    edge.wait(lambda r: r.type == "ENTRY" and r.seq == 1000, 20)
    entries = edge.all(lambda r: r.type == "ENTRY")
    assert [r.seq for r in entries] == list(range(1, 1001))
    assert [json.loads(r.frame)["content"] for r in entries] == [
        str(i) for i in range(1000)]


def test_stranger_gets_not_found_and_former_member_not_member(
        emptied, edge, chat):
    c, (a, b, d) = chat
    stranger = 9999
    assert msg.code(edge.send(c, stranger, "s1")) == "not_found"
    assert msg.code(edge.send(msg.new_chat(), a, "s2")) == "not_found"
    assert edge.call("MEMBER_REMOVE", c, a, seq=b)[0] == 204
    assert msg.code(edge.send(c, b, "s3")) == "not_member"
    status, body = edge.post(c, b, "s4")
    assert (status, body["code"]) == (403, "not_member")


def test_reply_to_a_missing_entry_is_bad_field(edge, chat):
    c, (a, *_) = chat
    assert msg.code(edge.send(c, a, "m0", reply_to=1)) == "bad_field"
    edge.send(c, a, "m1")
    rec = edge.send(c, a, "m2", reply_to=1)
    assert json.loads(rec.frame)["replyTo"] == 1


def test_rest_send_answers_201_then_200(edge, chat):
    c, (a, b, _) = chat
    edge.connect(a, a * 10)
    status, body = edge.post(c, a, "m1", "x")
    assert status == 201 and body["seq"] == 1 and "type" not in body
    rec = edge.all(lambda r: r.type == "ENTRY")[0]
    assert rec.session == 0 and rec.items == [(a, 0)]
    status, again = edge.post(c, a, "m1", "x")
    assert status == 200 and again == body
    status, body = edge.post(c, a, "m1", "y")
    assert status == 409 and body["code"] == "message_id_reused"


def test_rest_body_is_checked_after_membership(edge, chat):
    c, (a, *_) = chat
    assert edge.call("SEND", c, 9999, body="{")[0] == 404
    status, body = edge.call("SEND", c, a, body="{")
    assert (status, body["code"]) == (400, "bad_request")
    status, body = edge.call("SEND", c, a, body={"content": "x"})
    assert (status, body["code"]) == (400, "bad_field")


def test_expiry_counts_from_the_commit(emptied, edge, chat):
    c, (a, *_) = chat
    rec = edge.send(c, a, "m1", expires_in=60)
    assert json.loads(rec.frame)["expiresIn"] == 60
    assert emptied.sql("SELECT expires_at - created_at = interval '60 s'"
                       " FROM entries") == [(True,)]


def test_receipts_only_rise_and_are_published(emptied, edge, chat):
    c, (a, b, d) = chat
    edge.connect(a, a * 10)
    edge.connect(b, b * 10)
    edge.connect(b, b * 10 + 1)
    for i in range(3):
        edge.send(c, a, f"m{i}")

    def receipts(*items):
        body = b"".join(inner.receipt(1, u, dev, c, de, re)
                        for u, dev, de, re in items)
        edge.redis.xadd(msg.stream(c), {"e": inner.event(
            "RECEIPTS", edge=edge.id, body=body)})

    receipts((b, b * 10, 2, 0))
    rec = edge.wait(lambda r: r.type == "NOTICE")
    assert json.loads(rec.frame) == {
        "type": "receipt", "chatId": str(c), "userId": str(b), "delivered": 2,
        "read": 0}
    assert rec.items == [(a, 0)] and rec.device == 0

    receipts((b, b * 10, 3, 1), (b, b * 10 + 1, 1, 0), (b, b * 10, 1, 1))
    rec = edge.wait(lambda r: r.type == "NOTICE")
    assert json.loads(rec.frame)["delivered"] == 3
    assert json.loads(rec.frame)["read"] == 1 and rec.items == [(a, 0)]
    rec = edge.wait(lambda r: r.type == "NOTICE")
    assert rec.items == [(b, 0)] and rec.device == b * 10
    assert emptied.sql("SELECT device_id, delivered_seq FROM device_marks"
                       " ORDER BY 1") == [(b * 10, 3), (b * 10 + 1, 1)]
    assert emptied.sql("SELECT delivered_seq, read_seq FROM chat_members"
                       " WHERE user_id = %s", b) == [(3, 1)]

    receipts((b, b * 10, 2, 1))     # a lower cursor: no notice
    edge.expect_nothing(lambda r: r.type == "NOTICE")
    assert emptied.sql("SELECT delivered_seq FROM device_marks WHERE"
                       " device_id = %s", b * 10) == [(3,)]


def test_receipt_above_last_seq_and_for_a_foreign_chat_is_refused(edge, chat):
    c, (a, b, _) = chat
    body = (inner.receipt(77, b, b * 10, c, 5, 0)
            + inner.receipt(78, 9999, 1, c, 1, 0))
    edge.redis.xadd(msg.stream(c), {"e": inner.event(
        "RECEIPTS", edge=edge.id, body=body)})
    rec = edge.wait(lambda r: r.type == "FRAME" and r.session == 77)
    assert msg.code(rec) == "bad_field"
    rec = edge.wait(lambda r: r.type == "FRAME" and r.session == 78)
    assert msg.code(rec) == "not_found" and rec.message_id is None


def test_typing_goes_to_the_others_and_is_not_stored(emptied, edge, chat):
    c, (a, b, d) = chat
    for u in (a, b):
        edge.connect(u, u * 10)
    edge.add("TYPING", c, user=a, device=a * 10, seq=1)
    rec = edge.wait(lambda r: r.type == "NOTICE")
    assert json.loads(rec.frame) == {"type": "typing", "chatId": str(c),
                                     "userId": str(a), "active": True}
    assert rec.items == [(b, 0)]
    s = edge.add("TYPING", c, user=9999, device=1, seq=0)
    rec = edge.wait(lambda r: r.type == "FRAME" and r.session == s)
    assert msg.code(rec) == "not_found"
    assert emptied.sql("SELECT count(*) FROM entries") == [(0,)]


def test_edits_deletes_and_reactions_are_applied(emptied, edge, chat):
    c, (a, b, d) = chat
    edge.send(c, a, "m1", "old")

    def act(kind, user, mid, seq, content=None):
        s = edge.add(kind, c, user=user, device=user * 10, message_id=mid,
                     seq=seq, content=content)
        return edge.wait(lambda r: r.type in ("ENTRY", "ACK", "FRAME")
                         and r.session == s)

    assert msg.code(act("EDIT", b, "e0", 1, "no")) == "forbidden"
    rec = act("EDIT", a, "e1", 1, "new")
    frame = json.loads(rec.frame)
    assert (frame["kind"], frame["target"], frame["content"]) == (
        "edit", 1, "new")
    assert emptied.sql("SELECT content, edited_at IS NOT NULL FROM entries"
                       " WHERE seq = 1") == [("new", True)]
    # a duplicate is compared with the first content
    assert edge.send(c, a, "m1", "old").seq == 1
    assert msg.code(act("REACT", b, "e1", 99, "+")) == "not_found"
    rec = act("REACT", b, "r1", 1, "👍")
    assert json.loads(rec.frame)["emoji"] == "👍"
    assert msg.code(act("DELETE", b, "d0", 1)) == "forbidden"
    rec = act("DELETE", a, "d1", 1)
    assert json.loads(rec.frame)["kind"] == "delete"
    assert emptied.sql("SELECT content, deleted_at IS NOT NULL FROM entries"
                       " WHERE seq = 1") == [(None, True)]
    # duplicates are answered even after the target is deleted
    assert act("DELETE", a, "d1", 1).seq == rec.seq
    assert act("EDIT", a, "e1", 1, "new").seq == 2
    assert msg.code(act("EDIT", a, "e1", 1, "other")) == "message_id_reused"
    assert msg.code(act("EDIT", a, "e2", 1, "late")) == "not_found"
    # a duplicate of a deleted message does not show its content
    rec = edge.send(c, a, "m1", "old")
    assert "old" not in rec.frame and json.loads(rec.frame)["deleted"]
