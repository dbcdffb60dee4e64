"""Chats, members, history and receipts as each reader sees them."""

import datetime
import uuid

import psycopg2
import pytest
from api_client import Rest, add_chat, add_entries


@pytest.fixture(scope="module")
def rest(stores):
    r = Rest(stores).start()
    yield r
    assert r.stop() == 0


@pytest.fixture
def two(rest):
    return rest.login(), rest.login()


def at(second):
    return datetime.datetime(2026, 1, 1, 0, 0, second,
                             tzinfo=datetime.timezone.utc)


def seqs(reply):
    assert reply.status == 200, reply
    return [e["seq"] for e in reply.json["items"]]


# -------------------------------------------------------------------- list

def test_new_user_has_no_chats(rest):
    assert rest.login().get("/chats").json == {"items": [],
                                               "nextCursor": None}


def test_chat_object_has_all_fields(stores, two):
    one, other = two
    chat = add_chat(stores, {
        one.user: {"role": 1, "read_seq": 2, "delivered_seq": 9},
        other.user: {"role": 3}}, title="A \"title\"")
    add_entries(stores, chat, 1, 5, other.user)
    stores.sql("INSERT INTO device_marks VALUES (%s, %s, 4)", one.device, chat)
    item = one.get(f"/chats/{chat}").json
    entry = item.pop("lastEntry")
    assert item.pop("createdAt").endswith("Z")
    assert item == {
        "chatId": chat, "type": "group", "title": "A \"title\"", "lastSeq": 5,
        "delivered": 4, "read": 2, "unreadCount": 3, "role": "owner",
        "memberCount": 2}
    assert entry["seq"] == 5 and entry["content"] == "m5"
    assert entry["chatId"] == chat and entry["kind"] == "message"
    assert entry["senderId"] == other.user and entry["messageId"] == "id-5"
    assert "type" not in entry
    listed = one.get("/chats").json["items"]
    assert len(listed) == 1 and listed[0]["lastEntry"] == entry


def test_direct_chat_names_the_peer(stores, two):
    one, other = two
    chat = add_chat(stores, {one.user: {}, other.user: {}}, kind=1, title=None)
    item = one.get(f"/chats/{chat}").json
    assert item["type"] == "direct" and item["title"] is None
    assert item["peerId"] == other.user and "memberCount" not in item
    assert item["lastEntry"] is None and item["lastSeq"] == 0
    assert (item["delivered"], item["read"], item["unreadCount"]) == (0, 0, 0)


def test_chats_are_paged_newest_activity_first(stores, rest):
    ann = rest.login()
    chats = [add_chat(stores, {ann.user: {}}, active=at(i)) for i in range(5)]
    same = sorted((add_chat(stores, {ann.user: {}}, active=at(9))
                   for _ in range(4)), reverse=True)
    expected = same + chats[::-1]
    for limit in (1, 2, 3, 9, 100):
        seen, cursor = [], ""
        while cursor is not None:
            page = ann.get(f"/chats?limit={limit}{cursor}").json
            assert len(page["items"]) <= limit
            seen += [c["chatId"] for c in page["items"]]
            cursor = page["nextCursor"] and "&cursor=" + page["nextCursor"]
        assert seen == expected, limit


def test_left_and_cleared_chats_are_not_listed(stores, two):
    one, other = two
    add_chat(stores, {one.user: {"left_seq": 3}, other.user: {}}, last=7)
    cleared = add_chat(stores, {one.user: {"cleared_seq": 7}, other.user: {}},
                       kind=1, last=7)
    assert one.get("/chats").json["items"] == []
    assert len(other.get("/chats").json["items"]) == 2
    add_entries(stores, cleared, 8, 8, other.user)
    assert [c["chatId"] for c in one.get("/chats").json["items"]] == [cleared]


def test_unread_counts_visible_messages_of_others(stores, two):
    one, other = two
    chat = add_chat(stores, {one.user: {"joined_seq": 3, "hidden": "{[8,9)}"},
                             other.user: {}})
    add_entries(stores, chat, 1, 4, other.user)                  # 3, 4 count
    add_entries(stores, chat, 5, 5, one.user)                    # own
    add_entries(stores, chat, 6, 6, other.user, kind=4)          # reaction
    add_entries(stores, chat, 7, 7, other.user, deleted_at=at(1))
    add_entries(stores, chat, 8, 8, other.user)                  # hidden
    add_entries(stores, chat, 9, 9, other.user, expires_at=at(1))
    add_entries(stores, chat, 10, 10, other.user)                # counts
    item = one.get(f"/chats/{chat}").json
    assert item["unreadCount"] == 3
    assert item["delivered"] == 2 and item["read"] == 2
    stores.sql("UPDATE chat_members SET read_seq = 4 WHERE chat_id = %s AND"
               " user_id = %s", chat, one.user)
    assert one.get(f"/chats/{chat}").json["unreadCount"] == 1


def test_unread_count_stops_at_ten_thousand(stores, two):
    one, other = two
    chat = add_chat(stores, {one.user: {}, other.user: {}}, last=10050)
    stores.sql("INSERT INTO entries (chat_id, seq, kind, sender_id,"
               " sender_device, created_at, message_id, content)"
               " SELECT %s, s, 1, %s, 1, now(), 'u' || s, 'x'"
               " FROM generate_series(1, 10050) s", chat, other.user)
    assert one.get(f"/chats/{chat}").json["unreadCount"] == 10000


def test_last_entry_that_the_caller_may_not_see_is_hidden(stores, two):
    one, other = two
    chat = add_chat(stores, {one.user: {}, other.user: {}})
    add_entries(stores, chat, 1, 1, other.user, expires_at=at(1))
    assert one.get(f"/chats/{chat}").json["lastEntry"] == {
        "chatId": chat, "seq": 1, "kind": "hidden"}
    late = add_chat(stores, {one.user: {"joined_seq": 6}, other.user: {}},
                    last=5)
    assert one.get(f"/chats/{late}").json["lastEntry"] is None


@pytest.mark.parametrize("limit", [
    "0", "101", "-1", "x", "", "1.5", "%31%00", "9223372036854775808",
    "99999999999999999999", "1;DROP", "01", "+1", "%201"])
@pytest.mark.parametrize("path", ["/chats", "/devices"])
def test_limit_out_of_range_is_bad_field(two, path, limit):
    reply = two[0].get(f"{path}?limit={limit}")
    assert (reply.status, reply.code) == (400, "bad_field")
    assert reply.json["errors"][0]["field"] == "limit"


@pytest.mark.parametrize("cursor", ["", "x", "AAAA", "%27", "A" * 32 + "!",
                                    "A" * 300, "A" * 31, "A" * 33])
def test_malformed_cursor_is_bad_field(two, cursor):
    reply = two[0].get(f"/chats?cursor={cursor}")
    assert (reply.status, reply.code) == (400, "bad_field")


@pytest.mark.parametrize("cursor", ["A" * 32, "_" * 32,
                                    "_____3___________________________"[:32]])
def test_cursor_of_arbitrary_bytes_causes_no_error(two, cursor):
    assert two[0].get(f"/chats?cursor={cursor}").status in (200, 400)


# ------------------------------------------------------------------ access

ROUTES = ["", "/members", "/messages", "/messages/1/receipts"]
MALFORMED_IDS = ["x", "0", "%27%20OR%201=1", "%00",
                 "0199a3c1-7b1e-7cc3-9d2f-6f0b8a51c2d",
                 "0199a3c17b1e7cc39d2f6f0b8a51c2d4",
                 "0199a3c1-7b1e-7cc3-9d2f-6f0b8a51c2d4%00"]


@pytest.mark.parametrize("route", ROUTES)
def test_foreign_unknown_and_malformed_ids_get_one_answer(stores, two, route):
    one, other = two
    chat = add_chat(stores, {other.user: {}})
    add_entries(stores, chat, 1, 1, other.user)
    answers = {one.get(f"/chats/{c}{route}").text
               for c in [chat, str(uuid.uuid4())] + MALFORMED_IDS}
    assert len(answers) == 1
    reply = one.get(f"/chats/{chat}{route}")
    assert (reply.status, reply.code) == (404, "not_found")


@pytest.mark.parametrize("route,code", [
    ("", "not_member"), ("/members", "not_member"),
    ("/messages/1/receipts", "not_member"), ("/messages", None)])
def test_former_member_may_read_entries_before_leaving(stores, two, route,
                                                       code):
    one, other = two
    chat = add_chat(stores, {one.user: {"left_seq": 2}, other.user: {}})
    add_entries(stores, chat, 1, 4, other.user)
    reply = one.get(f"/chats/{chat}{route}")
    if code:
        assert (reply.status, reply.code) == (403, code)
    else:
        assert seqs(reply) == [1, 2]
        assert reply.json["complete"] is True


def test_upper_case_id_is_the_same_chat(stores, two):
    chat = add_chat(stores, {two[0].user: {}})
    assert two[0].get(f"/chats/{chat.upper()}").json["chatId"] == chat


# ----------------------------------------------------------------- members

def test_members_are_paged(stores, two):
    one, other = two
    users = {one.user: {"role": 1}, other.user: {"role": 2}}
    users.update({9000000 + i: {} for i in range(5)})
    users[9000099] = {"left_seq": 1}
    chat = add_chat(stores, users)
    reply = one.get(f"/chats/{chat}/members")
    assert reply.json["nextCursor"] is None
    assert reply.json["items"][:2] == [
        {"userId": one.user, "role": "owner"},
        {"userId": other.user, "role": "admin"}]
    assert len(reply.json["items"]) == 7
    seen, cursor = [], ""
    while cursor is not None:
        page = one.get(f"/chats/{chat}/members?limit=3{cursor}").json
        seen += page["items"]
        cursor = page["nextCursor"] and "&cursor=" + page["nextCursor"]
    assert seen == reply.json["items"]


# ----------------------------------------------------------------- history

@pytest.fixture(scope="module")
def long_chat(rest, stores):
    """A chat of 120 entries with two members."""
    one, other = rest.login(), rest.login()
    chat = add_chat(stores, {one.user: {}, other.user: {}})
    add_entries(stores, chat, 1, 120, other.user)
    return one, chat


@pytest.mark.parametrize("query,expected,complete", [
    ("", range(71, 121), False),
    ("?limit=3", range(118, 121), False),
    ("?limit=100", range(21, 121), False),
    ("?before=121&limit=2", [119, 120], False),
    ("?before=120&limit=2", [118, 119], False),
    ("?before=3", [1, 2], True),
    ("?before=2", [1], True),
    ("?before=1", [], True),
    ("?before=9223372036854775807&limit=1", [120], False),
    ("?before=51", range(1, 51), True),
    ("?before=52", range(2, 52), False),
    ("?after=0&limit=3", [1, 2, 3], False),
    ("?after=0&limit=100", range(1, 101), False),
    ("?after=70", range(71, 121), True),
    ("?after=69", range(70, 120), False),
    ("?after=119", [120], True),
    ("?after=120", [], True),
    ("?after=9223372036854775807", [], True)])
def test_history_is_paged(long_chat, query, expected, complete):
    one, chat = long_chat
    reply = one.get(f"/chats/{chat}/messages{query}")
    assert seqs(reply) == list(expected)
    assert reply.json["complete"] is complete
    assert set(reply.json) == {"items", "complete"}


@pytest.mark.parametrize("query", [
    "?before=0", "?before=-1", "?before=x", "?before=", "?before",
    "?before=9223372036854775808", "?before=99999999999999999999",
    "?before=1%20OR%201=1", "?before=1'", "?before=1.0", "?before=+1",
    "?after=-1", "?after=", "?after=x", "?after=00", "?after=01",
    "?after=9223372036854775808", "?after=1;SELECT", "?before=%00",
    "?before=5&after=1", "?after=0&before=1", "?limit=0", "?limit=101"])
def test_numbers_out_of_range_are_bad_field(long_chat, query):
    one, chat = long_chat
    reply = one.get(f"/chats/{chat}/messages{query}")
    assert (reply.status, reply.code) == (400, "bad_field"), query
    assert reply.json["errors"]


def test_empty_chat_has_an_empty_complete_page(stores, two):
    chat = add_chat(stores, {two[0].user: {}})
    for query in ("", "?before=5", "?after=0"):
        assert two[0].get(f"/chats/{chat}/messages{query}").json == {
            "items": [], "complete": True}


def test_history_begins_where_the_member_joined(stores, two):
    one, other = two
    chat = add_chat(stores, {one.user: {"joined_seq": 4}, other.user: {}})
    add_entries(stores, chat, 1, 6, other.user)
    for query in ("", "?after=0", "?before=100"):
        reply = one.get(f"/chats/{chat}/messages{query}")
        assert seqs(reply) == [4, 5, 6] and reply.json["complete"] is True
    assert seqs(one.get(f"/chats/{chat}/messages?before=4")) == []


def test_entries_that_the_reader_may_not_see_are_hidden(stores, two):
    one, other = two
    chat = add_chat(stores, {one.user: {"hidden": "{[2,3)}"}, other.user: {}})
    add_entries(stores, chat, 1, 2, other.user)
    add_entries(stores, chat, 3, 3, other.user, expires_at=at(1))
    add_entries(stores, chat, 4, 4, other.user,
                expires_at=datetime.datetime(2999, 1, 1))
    items = one.get(f"/chats/{chat}/messages").json["items"]
    assert [e["kind"] for e in items] == ["message", "hidden", "hidden",
                                          "message"]
    assert items[1] == {"chatId": chat, "seq": 2, "kind": "hidden"}
    assert items[2] == {"chatId": chat, "seq": 3, "kind": "hidden"}
    kinds = [e["kind"] for e in
             other.get(f"/chats/{chat}/messages").json["items"]]
    assert kinds == ["message", "message", "hidden", "message"]


def test_deleted_entry_has_no_content_and_edited_has_a_time(stores, two):
    one, other = two
    chat = add_chat(stores, {one.user: {}, other.user: {}})
    add_entries(stores, chat, 1, 1, other.user, content="gone",
                deleted_at=at(5))
    add_entries(stores, chat, 2, 2, other.user, content="new", edited_at=at(6))
    add_entries(stores, chat, 3, 3, other.user, kind=3, target=1, content=None)
    reply = one.get(f"/chats/{chat}/messages")
    deleted, edited, delete = reply.json["items"]
    assert deleted["deleted"] is True and "content" not in deleted
    assert b"gone" not in reply.text
    assert edited["content"] == "new"
    assert edited["editedAt"] == "2026-01-01T00:00:06.000Z"
    assert delete["kind"] == "delete" and delete["target"] == 1


def test_entry_has_all_fields(stores, two):
    one, other = two
    chat = add_chat(stores, {one.user: {}, other.user: {}})
    text = "\"\\\u0001\n\u00e9\U0001f600</script>"
    add_entries(stores, chat, 1, 1, other.user, content=text)
    add_entries(stores, chat, 2, 2, other.user, content_type="image",
                reply_to=1, media_id="m-9", sender_device=77)
    items = one.get(f"/chats/{chat}/messages").json["items"]
    assert items[0]["content"] == text
    assert items[0]["contentType"] == "text"
    assert items[1]["replyTo"] == 1 and items[1]["mediaId"] == "m-9"
    assert items[1]["contentType"] == "image"
    assert items[1]["senderDeviceId"] == "77"
    assert len(items[1]["timestamp"]) == 24


def test_page_holds_100_messages_of_the_largest_size(stores, two):
    one, other = two
    chat = add_chat(stores, {one.user: {}, other.user: {}})
    add_entries(stores, chat, 1, 100, other.user, content="\u0001" * 32768)
    items = one.get(f"/chats/{chat}/messages?limit=100").json["items"]
    assert len(items) == 100
    assert all(e["content"] == "\u0001" * 32768 for e in items)


def test_history_reads_one_partition_by_index(stores):
    """The plan of a page's statement under the worker's session settings."""
    db = psycopg2.connect(stores.dsn)
    cur = db.cursor()
    cur.execute(
        "SET plan_cache_mode = force_generic_plan; SET enable_sort = off;"
        "SET enable_seqscan = off; SET enable_bitmapscan = off;"
        "PREPARE page(uuid, bigint, bigint, bigint) AS"
        " SELECT m.left_seq, e.* FROM chat_members m LEFT JOIN LATERAL ("
        " SELECT e.seq, e.content FROM entries e WHERE e.chat_id = $1"
        " AND e.seq < $3 AND e.seq >= m.joined_seq"
        " AND e.seq <= coalesce(m.left_seq, 9223372036854775807)"
        " ORDER BY e.seq DESC LIMIT $4) e ON true"
        " WHERE m.chat_id = $1 AND m.user_id = $2")
    cur.execute("EXPLAIN EXECUTE page(gen_random_uuid(), 1, 100, 51)")
    plan = "\n".join(r[0] for r in cur.fetchall())
    db.close()
    assert "Subplans Removed: 15" in plan
    assert "Index Scan Backward" in plan
    assert "Seq Scan" not in plan


# ---------------------------------------------------------------- receipts

def test_receipts_give_users_and_times(stores, rest):
    a, b, c, d = (rest.login() for _ in range(4))
    chat = add_chat(stores, {
        a.user: {}, b.user: {"delivered_seq": 5, "read_seq": 3},
        c.user: {"delivered_seq": 4, "read_seq": 4}, d.user: {}})
    add_entries(stores, chat, 1, 5, a.user)
    for user, kind, seq, when in ((b.user, 1, 2, at(1)), (b.user, 1, 5, at(2)),
                                  (b.user, 2, 3, at(3)), (c.user, 1, 4, at(4)),
                                  (c.user, 2, 4, at(5))):
        stores.sql("INSERT INTO mark_times VALUES (%s, %s, %s, %s, %s)",
                   chat, user, kind, seq, when)

    def receipts(seq, reader=a, query=""):
        reply = reader.get(f"/chats/{chat}/messages/{seq}/receipts{query}")
        assert reply.status == 200, reply
        return reply.json

    def time(second):
        return f"2026-01-01T00:00:{second:02d}.000Z"

    items = {r["userId"]: r for r in receipts(3)["items"]}
    assert set(items) == {b.user, c.user, d.user}
    assert items[b.user] == {"userId": b.user, "deliveredAt": time(2),
                             "readAt": time(3), "delivered": True,
                             "read": True}
    assert items[c.user]["deliveredAt"] == time(4)
    assert items[d.user] == {"userId": d.user, "deliveredAt": None,
                             "readAt": None, "delivered": False,
                             "read": False}
    items = {r["userId"]: r for r in receipts(5)["items"]}
    assert items[b.user]["deliveredAt"] == time(2)
    assert items[b.user]["readAt"] is None
    assert items[c.user]["deliveredAt"] is None
    assert {r["userId"] for r in receipts(3, b)["items"]} \
        == {b.user, c.user, d.user}

    page = receipts(3, query="?limit=2")
    assert len(page["items"]) == 2 and page["nextCursor"]
    second = receipts(3, query="?limit=2&cursor=" + page["nextCursor"])
    assert [r["userId"] for r in second["items"]] == [d.user]
    assert second["nextCursor"] is None


def test_receipt_without_a_time_has_only_its_flags(stores, two):
    one, other = two
    chat = add_chat(stores, {one.user: {}, other.user: {"read_seq": 1}})
    add_entries(stores, chat, 1, 1, one.user)
    assert one.get(f"/chats/{chat}/messages/1/receipts").json["items"] == [
        {"userId": other.user, "deliveredAt": None, "readAt": None,
         "delivered": True, "read": True}]


@pytest.mark.parametrize("seq", [
    "0", "3", "-1", "x", "9223372036854775807", "9223372036854775808", "1'",
    "%00", "01"])
def test_receipts_of_a_missing_entry_are_not_found(stores, two, seq):
    one, other = two
    chat = add_chat(stores, {one.user: {}, other.user: {}})
    add_entries(stores, chat, 1, 2, other.user)
    reply = one.get(f"/chats/{chat}/messages/{seq}/receipts")
    assert (reply.status, reply.code) == (404, "not_found")


def test_receipts_of_a_hidden_entry_are_not_found(stores, two):
    one, other = two
    chat = add_chat(stores, {one.user: {"joined_seq": 2, "hidden": "{[3,4)}"},
                             other.user: {}})
    add_entries(stores, chat, 1, 4, other.user)
    statuses = [one.get(f"/chats/{chat}/messages/{s}/receipts").status
                for s in (1, 2, 3, 4)]
    assert statuses == [404, 200, 404, 200]
