"""The sync worker: lists and pages; the test plays the edge."""

import json
import os
import signal
import time
import uuid

import pytest
from fake_edge import FakeEdge
from inner import REQUESTED, FAILED, MORE, page_requests
from stores import wait_for

CHAT_LIMIT = 10000          # CHAT_SYNC_LIST
PAGE = 128                  # CHAT_SYNC_PAGE
PAGE_BYTES = 1048576        # CHAT_SYNC_PAGE_BYTES


class SyncEdge(FakeEdge):
    """An edge that writes requests into the stream of the user's shard."""

    def send(self, kind, user, device, body=b"", **kw):
        return self.add("session.sync:{%d}" % (user % 16), kind, user=user,
                        device=device, body=body, **kw)

    def ask(self, kind, user, device, body=b"", **kw):
        session = self.send(kind, user, device, body, **kw)
        return self.wait(lambda rec: getattr(rec, "session", 0)
                         in (0, session))

    def list(self, user, device, *asked):
        return self.ask("SYNC_LIST", user, device,
                        page_requests(*((c, 0, 0) for c in asked)))

    def page(self, user, device, *requests, number=7):
        rec = self.ask("SYNC_PAGE", user, device, page_requests(*requests),
                       seq=number)
        assert rec.type == "SYNC_PAGE" and rec.seq == number
        return rec


class World:
    """Rows as the message and API workers write them."""

    def __init__(self, stores):
        self.sql = stores.sql

    def user(self, devices=1):
        [[user]] = self.sql("INSERT INTO users DEFAULT VALUES RETURNING id")
        ids = [self.sql("INSERT INTO devices (user_id, name, platform)"
                        " VALUES (%s, 'd', 'test') RETURNING id",
                        user)[0][0] for _ in range(devices)]
        return (user, *ids)

    def chat(self, *users, last=0, ago=0, joined=1):
        chat = uuid.uuid4()
        self.sql("INSERT INTO chats (id, type, created_by, last_seq,"
                 " last_message_time) VALUES (%s, 2, 1, %s,"
                 " now() - make_interval(secs => %s))", str(chat), last, ago)
        for u in users:
            self.sql("INSERT INTO chat_members (chat_id, user_id, role,"
                     " joined_seq) VALUES (%s, %s, 3, %s)", str(chat), u,
                     joined)
        return chat

    def entries(self, chat, seqs, sender=1, device=11, content="text %s",
                **columns):
        for seq in seqs:
            row = {"chat_id": str(chat), "seq": seq, "kind": 1,
                   "sender_id": sender, "sender_device": device,
                   "created_at": "2026-01-02T03:04:05.678Z",
                   "message_id": f"m{seq}",
                   "content": content % seq if "%s" in (content or "")
                   else content, **columns}
            self.sql("INSERT INTO entries (%s) VALUES (%s)" % (
                ", ".join(row), ", ".join(["%s"] * len(row))), *row.values())

    def member(self, chat, user, **columns):
        self.sql("UPDATE chat_members SET %s WHERE chat_id = %%s"
                 " AND user_id = %%s" % ", ".join(f"{k} = %s"
                                                  for k in columns),
                 *columns.values(), str(chat), user)

    def receipt(self, device, chat, seq):
        self.sql("INSERT INTO device_marks VALUES (%s, %s, %s)"
                 " ON CONFLICT (device_id, chat_id)"
                 " DO UPDATE SET delivered_seq = excluded.delivered_seq",
                 device, str(chat), seq)


@pytest.fixture
def sync(emptied, worker):
    w = worker(emptied.conf(log_level="debug"), "sync")
    wait_for(lambda: emptied.redis().exists("session.sync:{15}"))
    w.edge, w.world, w.stores = SyncEdge(emptied), World(emptied), emptied
    return w


# ------------------------------------------------------------------- lists

def test_list_has_the_chats_with_missed_entries_newest_first(sync):
    e, w = sync.edge, sync.world
    user, device = w.user()
    old = w.chat(user, last=5, ago=100)
    new = w.chat(user, last=9, ago=1)
    middle = w.chat(user, last=3, ago=50)
    done = w.chat(user, last=4)
    w.chat(user, last=0)
    w.chat(999, last=7)
    w.receipt(device, new, 6)
    w.receipt(device, done, 4)

    rec = e.list(user, device)
    assert rec.type == "SYNC_LIST" and rec.flags == 0
    assert rec.items == [(new, 6, 9), (middle, 0, 3), (old, 0, 5)]


def test_list_is_per_device(sync):
    w = sync.world
    user, one, two = w.user(2)
    chat = w.chat(user, last=5)
    w.receipt(one, chat, 5)
    assert sync.edge.list(user, one).items == []
    assert sync.edge.list(user, two).items == [(chat, 0, 5)]


def test_list_without_a_receipt_starts_where_the_user_joined(sync):
    w = sync.world
    user, device = w.user()
    chat = w.chat(user, last=9, joined=7)
    assert sync.edge.list(user, device).items == [(chat, 6, 9)]
    w.receipt(device, chat, 2)          # below the first visible seq
    assert sync.edge.list(user, device).items == [(chat, 6, 9)]


def test_former_member_gets_entries_before_leaving(sync):
    w = sync.world
    user, device = w.user()
    chat = w.chat(user, last=9)
    w.member(chat, user, left_seq=5)
    assert sync.edge.list(user, device).items == [(chat, 0, 5)]
    w.receipt(device, chat, 5)
    assert sync.edge.list(user, device).items == []


def test_requested_chats_are_listed_in_the_requested_order(sync):
    w = sync.world
    user, device = w.user()
    done = w.chat(user, last=4)
    w.receipt(device, done, 4)
    missed = w.chat(user, last=9)
    left = w.chat(user, last=9)
    w.member(left, user, left_seq=2)
    w.receipt(device, left, 2)
    foreign = w.chat(999, last=3)

    rec = sync.edge.list(user, device, left, foreign, uuid.uuid4(), missed,
                         done)
    assert rec.flags == REQUESTED
    assert rec.items == [(left, 2, 2), (missed, 0, 9), (done, 4, 4)]


def test_truncated_list_has_the_flag_more(sync):
    w = sync.world
    user, device = w.user()
    w.sql("WITH c AS (INSERT INTO chats (id, type, created_by, last_seq)"
          " SELECT gen_random_uuid(), 2, 1, 1 FROM generate_series(1, %s)"
          " RETURNING id) INSERT INTO chat_members"
          " (chat_id, user_id, role, joined_seq) SELECT id, %s, 3, 1 FROM c",
          CHAT_LIMIT + 1, user)
    rec = sync.edge.list(user, device)
    assert rec.flags == MORE and len(rec.items) == CHAT_LIMIT
    w.sql("DELETE FROM chat_members WHERE ctid = (SELECT max(ctid)"
          " FROM chat_members)")
    rec = sync.edge.list(user, device)
    assert rec.flags == 0 and len(rec.items) == CHAT_LIMIT


def test_revoked_device_gets_revoke_again(sync):
    w = sync.world
    user, device, other = w.user(2)
    w.chat(user, last=3)
    w.sql("UPDATE devices SET revoked_at = now() WHERE id = %s", device)
    rec = sync.edge.list(user, device)
    assert rec.type == "REVOKE"
    assert (rec.user, rec.device) == (user, device)
    assert abs(rec.expires - (time.time() + 900)) < 5
    assert sync.edge.list(user, other).type == "SYNC_LIST"


def test_unknown_device_and_device_of_another_user_get_revoke(sync):
    w = sync.world
    user, device = w.user()
    other, _ = w.user()
    assert sync.edge.list(user, 12345).type == "REVOKE"
    assert sync.edge.list(other, device).type == "REVOKE"


def test_suspended_user_is_closed_with_4503(sync):
    w = sync.world
    user, device = w.user()
    w.sql("UPDATE users SET suspended_at = now() WHERE id = %s", user)
    rec = sync.edge.list(user, device)
    assert rec.type == "KICK" and rec.status == 4503
    assert (rec.user, rec.device, rec.session) == (user, device, 0)


# ------------------------------------------------------------------- pages

def test_page_has_the_same_frames_as_live_delivery(sync):
    w = sync.world
    user, device = w.user()
    chat = w.chat(user, last=1)
    w.entries(chat, [1], sender=41, device=42, content="grüß \"dich\"",
              reply_to=1, media_id="pic")
    [rec] = sync.edge.page(user, device, (chat, 0, 1)).items
    assert (rec.chat, rec.seq, rec.device, rec.message_id, rec.session) == (
        chat, 1, 42, "m1", 0)
    assert rec.timestamp == 1767323045678
    assert json.loads(rec.frame) == {
        "type": "new_message", "chatId": str(chat), "seq": 1,
        "kind": "message", "messageId": "m1", "senderId": "41",
        "senderDeviceId": "42", "content": "grüß \"dich\"",
        "contentType": "text", "replyTo": 1, "mediaId": "pic",
        "timestamp": "2026-01-02T03:04:05.678Z"}


def test_page_has_the_order_of_its_requests(sync):
    w = sync.world
    user, device = w.user()
    one = w.chat(user, last=9)
    two = w.chat(user, last=9)
    w.entries(one, range(1, 10))
    w.entries(two, range(1, 10))
    page = sync.edge.page(user, device, (two, 6, 8), (one, 0, 2), (two, 0, 1))
    assert [(r.chat, r.seq) for r in page.items] == [
        (two, 7), (two, 8), (one, 1), (one, 2), (two, 1)]


def test_page_has_only_entries_that_the_user_may_see(sync):
    w = sync.world
    user, device = w.user()
    joined = w.chat(user, last=9, joined=4)
    left = w.chat(user, last=9)
    w.member(left, user, left_seq=3)
    foreign = w.chat(999, last=9)
    for chat in joined, left, foreign:
        w.entries(chat, range(1, 10))
    page = sync.edge.page(user, device, (foreign, 0, 9), (joined, 0, 5),
                          (left, 2, 9))
    assert [(r.chat, r.seq) for r in page.items] == [
        (joined, 4), (joined, 5), (left, 3)]


def test_hidden_and_expired_entries_keep_only_their_seq(sync):
    w = sync.world
    user, device = w.user()
    chat = w.chat(user, last=5)
    w.entries(chat, [1, 2, 4, 5], content="secret")
    w.entries(chat, [3], content="secret", expires_at="2026-01-03T00:00:00Z")
    w.member(chat, user, hidden="{[1,3)}")
    items = sync.edge.page(user, device, (chat, 0, 5)).items
    frames = [json.loads(r.frame) for r in items]
    for f in frames[:3]:
        assert f == {"type": "new_message", "chatId": str(chat),
                     "seq": f["seq"], "kind": "hidden"}
    assert [f["kind"] for f in frames[3:]] == ["message", "message"]
    # the sender's edge still finds its in-flight message
    assert [r.message_id for r in items[:3]] == ["m1", "m2", "m3"]


def test_entry_that_will_expire_has_its_time(sync):
    w = sync.world
    user, device = w.user()
    chat = w.chat(user, last=1)
    w.entries(chat, [1], created_at="now", expires_at="tomorrow")
    w.sql("UPDATE entries SET expires_at = created_at + interval '1 hour'")
    [rec] = sync.edge.page(user, device, (chat, 0, 1)).items
    assert json.loads(rec.frame)["expiresIn"] == 3600


def test_page_has_edited_and_deleted_messages(sync):
    w = sync.world
    user, device = w.user()
    chat = w.chat(user, last=4)
    w.entries(chat, [1], content="now", edited_at="2026-01-02T04:00:00Z")
    w.entries(chat, [2], content="gone", deleted_at="2026-01-02T04:00:00Z")
    w.entries(chat, [3], content="now", kind=2, target=1)
    w.entries(chat, [4], content=None, kind=3, target=2)
    frames = [json.loads(r.frame) for r in
              sync.edge.page(user, device, (chat, 0, 4)).items]
    assert frames[0]["content"] == "now"
    assert frames[0]["editedAt"] == "2026-01-02T04:00:00.000Z"
    assert frames[1]["deleted"] is True and "content" not in frames[1]
    assert (frames[2]["kind"], frames[2]["target"]) == ("edit", 1)
    assert (frames[3]["kind"], frames[3]["target"]) == ("delete", 2)


def test_entry_of_an_added_member_has_user_and_role(sync):
    w = sync.world
    user, device = w.user()
    chat = w.chat(user, last=1)
    w.entries(chat, [1], kind=5, content=None, subject=77, role=2,
              message_id=None, device=None)
    [rec] = sync.edge.page(user, device, (chat, 0, 1)).items
    frame = json.loads(rec.frame)
    assert frame["kind"] == "member_added"
    assert frame["userId"] == "77" and frame["role"] == "admin"
    assert rec.device == 0 and rec.message_id is None


def test_page_has_a_limit_of_entries(sync):
    w = sync.world
    user, device = w.user()
    one = w.chat(user, last=100)
    two = w.chat(user, last=100)
    for chat in one, two:
        w.sql("INSERT INTO entries (chat_id, seq, kind, sender_id, created_at,"
              " content) SELECT %s, i, 1, 1, now(), 'x'"
              " FROM generate_series(1, 100) i", str(chat))
    items = sync.edge.page(user, device, (one, 0, 100), (two, 0, 100)).items
    assert [(r.chat, r.seq) for r in items] == (
        [(one, i) for i in range(1, 101)] + [(two, i) for i in range(1, 29)])
    assert len(items) == PAGE


def test_page_has_a_limit_of_bytes_and_is_never_empty(sync):
    w = sync.world
    user, device = w.user()
    chat = w.chat(user, last=100)
    w.sql("INSERT INTO entries (chat_id, seq, kind, sender_id, created_at,"
          " content) SELECT %s, i, 1, 1, now(), repeat(chr(1), 32768)"
          " FROM generate_series(1, 100) i", str(chat))
    items = sync.edge.page(user, device, (chat, 0, 100)).items
    size = sum(len(r.frame) for r in items)
    assert [r.seq for r in items] == list(range(1, len(items) + 1))
    assert PAGE_BYTES - 262144 < size <= PAGE_BYTES


def test_page_without_missed_entries_is_empty(sync):
    w = sync.world
    user, device = w.user()
    chat = w.chat(user, last=3)
    w.entries(chat, range(1, 4))
    assert sync.edge.page(user, device, (chat, 3, 9)).items == []
    assert sync.edge.page(user, device).items == []
    assert sync.edge.page(user, device, (uuid.uuid4(), 0, 9)).items == []


def test_seqs_beyond_63_bits_are_accepted(sync):
    w = sync.world
    user, device = w.user()
    chat = w.chat(user, last=3)
    w.entries(chat, range(1, 4))
    page = sync.edge.page(user, device, (chat, 0, 2 ** 63 - 1))
    assert len(page.items) == 3
    assert sync.edge.page(user, device, (chat, 2 ** 64 - 1, 5)).type


# ----------------------------------------------------------------- requests

def test_old_and_malformed_requests_are_dropped(sync):
    e, w, r = sync.edge, sync.world, sync.stores.redis()
    user, device = w.user()
    stream = "session.sync:{%d}" % (user % 16)
    e.send("SYNC_LIST", user, device,
           received=int(time.time() * 1000) - 11000)
    r.xadd(stream, {"e": b"nonsense"})
    r.xadd(stream, {"x": b"1"})
    e.send("SEND", user, device)
    e.send("SYNC_PAGE", user, device, b"half a request")
    e.send("SYNC_PAGE", user, device,
           page_requests(*((uuid.uuid4(), 0, 1) for _ in range(33))))
    e.expect_nothing()
    assert e.list(user, device).items == []
    wait_for(lambda: sum(r.xlen("session.sync:{%d}" % i)
                         for i in range(16)) == 0)


def test_requests_of_every_shard_are_answered(sync):
    e, w = sync.edge, sync.world
    people = [w.user() for _ in range(32)]
    asked = {e.send("SYNC_LIST", *p) for p in people}
    assert {e.wait().session for _ in people} == asked


def test_many_requests_are_each_answered_once(sync):
    e, w = sync.edge, sync.world
    user, device = w.user()
    asked = [e.send("SYNC_LIST", user, device) for _ in range(300)]
    assert [e.wait().session for _ in asked] == asked
    e.expect_nothing()


def test_batched_requests_get_the_same_answers_as_single_ones(sync):
    e, w = sync.edge, sync.world
    shared = w.chat(last=4, ago=5)
    people = []
    for missed in (0, 1, 3, 32, 33, 40):
        user, device, other = w.user(2)
        w.sql("INSERT INTO chat_members (chat_id, user_id, role, joined_seq)"
              " VALUES (%s, %s, 3, 1)", str(shared), user)
        w.receipt(device, shared, 4)
        for i in range(missed):
            w.chat(user, last=i + 1, ago=i)
        people += [(user, device), (user, other)]
    revoked = w.user()
    w.sql("UPDATE devices SET revoked_at = now() WHERE id = %s", revoked[1])
    suspended = w.user()
    w.sql("UPDATE users SET suspended_at = now() WHERE id = %s", suspended[0])
    people += [revoked, suspended, (people[0][0], people[2][1])]

    def fields(rec):
        return (rec.type, getattr(rec, "flags", None),
                getattr(rec, "items", None), getattr(rec, "user", None),
                getattr(rec, "device", None))

    alone = sorted(repr(fields(e.list(*p))) for p in people)

    sync.signal(signal.SIGSTOP)
    for p in people:
        e.send("SYNC_LIST", *p)
    asked = e.send("SYNC_LIST", *people[2], page_requests((shared, 0, 0)))
    sync.signal(signal.SIGCONT)

    got = [e.wait() for _ in range(len(people) + 1)]
    [answer] = [r for r in got if getattr(r, "session", 0) == asked]
    assert answer.flags == REQUESTED and answer.items == [(shared, 4, 4)]
    got.remove(answer)
    assert sorted(repr(fields(r)) for r in got) == alone


def test_two_workers_share_the_work(sync, worker):
    e, w = sync.edge, sync.world
    other = worker(sync.stores.conf(), "sync")
    user, device = w.user()
    time.sleep(0.5)
    asked = {e.send("SYNC_LIST", user, device) for _ in range(100)}
    assert {e.wait().session for _ in asked} == asked
    e.expect_nothing()
    # one worker is enough; a request that a killed worker had read is lost,
    # and the edge sends it again
    os.kill(other.pid, signal.SIGKILL)
    other.process.wait(10)
    e.send("SYNC_LIST", user, device)
    assert e.list(user, device).type == "SYNC_LIST"


def test_sigterm_ends_the_worker_at_once(sync):
    start = time.monotonic()
    assert sync.stop() == 0
    assert time.monotonic() - start < 2


# ------------------------------------------------------------------ outages

def test_answers_without_the_database_have_the_flag_failed(sync):
    e, w = sync.edge, sync.world
    user, device = w.user()
    chat = w.chat(user, last=1)
    w.entries(chat, [1])
    assert e.list(user, device).flags == 0
    sync.stores.stop_pg()
    try:
        for _ in range(3):
            start = time.monotonic()
            rec = e.list(user, device)
            assert rec.type == "SYNC_LIST" and rec.flags & FAILED
            page = e.page(user, device, (chat, 0, 1))
            assert page.flags & FAILED and page.items == []
            assert time.monotonic() - start < 3
    finally:
        sync.stores.start_pg()
    wait_for(lambda: e.list(user, device).items == [(chat, 0, 1)], 10)
    assert len(e.page(user, device, (chat, 0, 1)).items) == 1


def test_worker_gives_up_a_hanging_database_within_13_seconds(sync):
    e, w = sync.edge, sync.world
    user, device = w.user()
    assert e.list(user, device).flags == 0
    backends = [p for [p] in w.sql(
        "SELECT pid FROM pg_stat_activity"
        " WHERE application_name = 'chat-worker sync'")]
    assert len(backends) == 1
    os.kill(backends[0], signal.SIGSTOP)
    try:
        e.send("SYNC_LIST", user, device)
        rec = e.wait(timeout=13)
        assert rec.flags & FAILED
        wait_for(lambda: e.list(user, device).flags == 0, 10)
    finally:
        os.kill(backends[0], signal.SIGCONT)


def test_terminated_database_connection_is_replaced(sync):
    e, w = sync.edge, sync.world
    user, device = w.user()
    assert e.list(user, device).flags == 0
    w.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
          " WHERE application_name = 'chat-worker sync'")
    wait_for(lambda: e.list(user, device).flags == 0, 5)


def test_groups_are_created_again_after_redis_is_emptied(sync):
    e, w = sync.edge, sync.world
    user, device = w.user()
    assert e.list(user, device).flags == 0
    sync.stores.redis().flushall()
    assert e.list(user, device).flags == 0


def test_worker_continues_after_a_redis_restart(sync):
    w = sync.world
    user, device = w.user()
    assert sync.edge.list(user, device).flags == 0
    sync.stores.stop_redis()
    time.sleep(0.5)
    sync.stores.start_redis()
    wait_for(lambda: sync.stores.redis().exists("session.sync:{15}"), 10)
    assert SyncEdge(sync.stores).list(user, device).flags == 0
