"""Chats and members: permissions, entries, notices, idempotency keys."""

import json

import msg
import pytest


@pytest.fixture
def users(emptied, edge, worker):
    ids = msg.make_users(emptied, 6)
    worker(emptied.conf(), "message")
    for u in ids:
        edge.connect(u, u * 10)
    return ids


def strings(ids):
    return [str(i) for i in ids]


def group(edge, users, n=3, **kw):
    chat = msg.new_chat()
    status, body = edge.call("CHAT_CREATE", chat, users[0], body={
        "type": "group", "memberIds": strings(users[1:n]), "title": "T"}, **kw)
    assert status == 201, body
    return chat, body


def entries(edge, chat):
    return [json.loads(r.frame) for r in edge.all(
        lambda r: r.type == "ENTRY" and r.chat == chat)]


def test_direct_chat_is_created_once(emptied, edge, users):
    a, b = users[:2]
    chat = msg.new_chat()
    status, body = edge.call("CHAT_CREATE", chat, a, body={
        "type": "direct", "memberIds": [str(b)]})
    assert status == 201
    created = body.pop("createdAt")
    assert created.endswith("Z")
    assert body == {
        "chatId": str(chat), "type": "direct", "title": None, "lastSeq": 0,
        "lastEntry": None, "delivered": 0, "read": 0, "unreadCount": 0,
        "role": "member", "peerId": str(b)}
    added = edge.all(lambda r: r.type == "NOTICE")
    assert [json.loads(r.frame) for r in added] == [
        {"type": "chat_added", "chatId": str(chat), "fromSeq": 1}]
    assert sorted(added[0].items) == [(a, 0), (b, 0)]

    edge.send(chat, a, "m1", "x")
    status, body = edge.call("CHAT_CREATE", chat, b, body={
        "type": "direct", "memberIds": [str(a), str(b)]})
    assert status == 200 and body["peerId"] == str(a)
    assert body["lastSeq"] == 1 and body["lastEntry"]["content"] == "x"
    assert body["unreadCount"] == 1
    assert len(edge.all(lambda r: r.type == "NOTICE")) == 1


@pytest.mark.parametrize("body", [
    {"type": "direct", "memberIds": []},
    {"type": "direct"},
    {"type": "direct", "memberIds": "2"},
    {"type": "direct", "memberIds": [2]},
    {"type": "direct", "memberIds": ["x"]},
    {"type": "direct", "memberIds": ["1"]},
    {"type": "direct", "memberIds": ["2", "3"]},
    {"type": "direct", "memberIds": ["99999"]},
    {"type": "group", "memberIds": ["1"]},
    {"type": "group", "memberIds": ["2", "99999"]},
    {"type": "group", "memberIds": ["2"], "title": ""},
    {"type": "group", "memberIds": ["2"], "title": "x" * 257},
    {"type": "group", "memberIds": ["2"], "title": 1},
    {"type": "other", "memberIds": ["2"]},
    {"memberIds": ["2"]},
])
def test_create_refuses_bad_field(emptied, edge, users, body):
    status, answer = edge.call("CHAT_CREATE", msg.new_chat(), users[0],
                               body=body)
    assert (status, answer["code"]) == (400, "bad_field")
    assert emptied.sql("SELECT count(*) FROM chats") == [(0,)]


@pytest.mark.parametrize("body", ["", "{", "[]", '{"type":1,"type":2}'])
def test_create_refuses_a_body_that_is_no_json_object(edge, users, body):
    status, answer = edge.call("CHAT_CREATE", msg.new_chat(), users[0],
                               body=body)
    assert status == 400 and answer["code"] in ("bad_request", "bad_field")


def test_group_has_an_owner(emptied, edge, users):
    chat, body = group(edge, users)
    assert body["role"] == "owner" and body["memberCount"] == 3
    assert body["title"] == "T" and body["type"] == "group"
    assert emptied.sql("SELECT user_id, role, joined_seq FROM chat_members"
                       " ORDER BY 1") == [(users[0], 1, 1), (users[1], 3, 1),
                                          (users[2], 3, 1)]


def test_idempotency_key_gets_the_first_answer_again(emptied, edge, users):
    body = {"type": "group", "memberIds": [str(users[1])]}
    first = edge.call("CHAT_CREATE", msg.new_chat(), users[0], body=body,
                      idempotency_key="k1")
    # another id in another shard: an edge draws a new id per request
    again = edge.call("CHAT_CREATE", msg.new_chat(), users[0], body=body,
                      idempotency_key="k1")
    assert again == first and first[0] == 201
    other = edge.call("CHAT_CREATE", msg.new_chat(), users[0], body=dict(
        body, title="x"), idempotency_key="k1")
    assert (other[0], other[1]["code"]) == (409, "idempotency_key_reused")
    assert edge.call("CHAT_CREATE", msg.new_chat(), users[1], body={
        "type": "group", "memberIds": [str(users[0])]},
        idempotency_key="k1")[0] == 201
    assert emptied.sql("SELECT count(*) FROM chats") == [(2,)]
    emptied.sql("UPDATE idempotency_keys SET created_at = created_at"
                " - interval '25 hours'")
    third = edge.call("CHAT_CREATE", msg.new_chat(), users[0], body=body,
                      idempotency_key="k1")
    assert third[0] == 201 and third != first


def test_title_is_changed_by_admins_only(edge, users):
    chat, _ = group(edge, users)
    status, body = edge.call("CHAT_CHANGE", chat, users[0],
                             body={"title": "New"})
    assert status == 200 and body["title"] == "New" and body["lastSeq"] == 1
    assert body["lastEntry"]["kind"] == "chat_changed"
    frame = entries(edge, chat)[-1]
    assert (frame["kind"], frame["title"]) == ("chat_changed", "New")
    # the same title again creates no entry
    assert edge.call("CHAT_CHANGE", chat, users[0],
                     body={"title": "New"})[1]["lastSeq"] == 1
    for user, change, expected in (
            (users[1], {"title": "N"}, (403, "forbidden")),
            (users[5], {"title": "N"}, (404, "not_found")),
            (users[0], {}, (400, "bad_field")),
            (users[0], {"title": None}, (400, "bad_field"))):
        status, body = edge.call("CHAT_CHANGE", chat, user, body=change)
        assert (status, body["code"]) == expected


def test_direct_chat_has_no_admins(edge, users):
    a, b, c = users[:3]
    chat = msg.new_chat()
    edge.call("CHAT_CREATE", chat, a, body={"type": "direct",
                                            "memberIds": [str(b)]})
    for kind, kw in (("CHAT_CHANGE", {"body": {"title": "x"}}),
                     ("MEMBERS_ADD", {"body": {"userIds": [str(c)]}}),
                     ("MEMBER_CHANGE", {"seq": b, "body": {"role": "admin"}}),
                     ("MEMBER_REMOVE", {"seq": b})):
        status, body = edge.call(kind, chat, a, **kw)
        assert (status, body["code"]) == (403, "forbidden"), kind


def test_left_direct_chat_is_removed_from_the_list(emptied, edge, users):
    a, b = users[:2]
    chat = msg.new_chat()
    edge.call("CHAT_CREATE", chat, a, body={"type": "direct",
                                            "memberIds": [str(b)]})
    edge.send(chat, a, "m1")
    assert edge.call("CHAT_LEAVE", chat, a) == (204, None)
    assert emptied.sql("SELECT user_id, cleared_seq, left_seq FROM"
                       " chat_members ORDER BY 1") == [(a, 1, None),
                                                       (b, None, None)]
    assert edge.send(chat, a, "m2").seq == 2


def test_added_member_sees_entries_from_the_addition_on(emptied, edge, users):
    a, b, c, d, e, f = users
    chat, _ = group(edge, users)
    edge.send(chat, a, "m1")
    status, body = edge.call("MEMBERS_ADD", chat, a, body={
        "userIds": strings([d, b, e])})
    assert status == 200 and body["items"] == [
        {"userId": str(u), "role": "member"} for u in (b, d, e)]

    got = [r for r in edge.records if r.type in ("NOTICE", "ENTRY")
           and "chat_added\"" in r.frame or "member_added" in r.frame][1:]
    assert [r.type for r in got] == ["NOTICE", "ENTRY", "NOTICE", "ENTRY"]
    assert json.loads(got[0].frame)["fromSeq"] == 2
    assert json.loads(got[2].frame)["fromSeq"] == 3
    assert got[0].items == [(d, 0)] and got[2].items == [(e, 0)]
    frame = json.loads(got[1].frame)
    assert (frame["userId"], frame["role"], frame["senderId"]) == (
        str(d), "member", str(a))
    assert "messageId" not in frame
    assert sorted(got[1].items) == [(u, 0) for u in (a, b, c, d)]
    assert sorted(got[3].items) == [(u, 0) for u in (a, b, c, d, e)]
    assert emptied.sql("SELECT user_id, joined_seq FROM chat_members WHERE"
                       " joined_seq > 1 ORDER BY 1") == [(d, 2), (e, 3)]
    # the new member cannot reply to earlier entries
    assert msg.code(edge.send(chat, d, "r1", reply_to=1)) == "bad_field"
    assert edge.send(chat, d, "r2", reply_to=2).type == "ENTRY"

    for user, ids, expected in ((b, [f], (403, "forbidden")),
                            (f, [f], (404, "not_found")),
                            (a, [99999], (400, "bad_field")),
                            (a, [], (400, "bad_field"))):
        status, body = edge.call("MEMBERS_ADD", chat, user, body={
            "userIds": strings(ids)})
        assert (status, body["code"]) == expected


def test_adding_members_with_a_key_gets_the_first_answer_again(edge, users):
    chat, _ = group(edge, users)
    body = {"userIds": [str(users[3])]}
    first = edge.call("MEMBERS_ADD", chat, users[0], body=body,
                      idempotency_key="k")
    assert edge.call("MEMBERS_ADD", chat, users[0], body=body,
                     idempotency_key="k") == first
    assert edge.call("MEMBERS_ADD", chat, users[0], body={
        "userIds": [str(users[4])]}, idempotency_key="k")[0] == 409


def test_removed_member_gets_the_removal_as_last_entry(emptied, edge, users):
    a, b, c = users[:3]
    chat, _ = group(edge, users)
    assert edge.call("MEMBER_REMOVE", chat, a, seq=b) == (204, None)
    removal = edge.all(lambda r: r.type == "ENTRY")[-1]
    assert json.loads(removal.frame)["kind"] == "member_removed"
    assert json.loads(removal.frame)["userId"] == str(b)
    assert (b, 0) in removal.items
    notice = edge.all(lambda r: r.type == "NOTICE")[-1]
    assert json.loads(notice.frame) == {"type": "chat_removed",
                                        "chatId": str(chat)}
    assert notice.items == [(b, 0)]
    assert edge.records.index(notice) > edge.records.index(removal)
    rec = edge.send(chat, a, "m1")
    assert sorted(rec.items) == [(a, 0), (c, 0)]
    assert msg.code(edge.send(chat, b, "m2")) == "not_member"
    # a receipt for an earlier entry is accepted, for a later one refused
    import inner
    for seq, n in ((1, 0), (2, 1)):
        edge.redis.xadd(msg.stream(chat), {"e": inner.event(
            "RECEIPTS", edge=edge.id,
            body=inner.receipt(500 + seq, b, b * 10, chat, seq, 0))})
    rec = edge.wait(lambda r: r.type == "FRAME" and r.session == 502)
    assert msg.code(rec) == "bad_field"
    assert emptied.sql("SELECT delivered_seq FROM device_marks") == [(1,)]
    status, body = edge.call("MEMBER_REMOVE", chat, a, seq=b)
    assert (status, body["code"]) == (404, "not_found")


def test_returned_member_does_not_see_the_time_between(emptied, edge, users):
    a, b, c = users[:3]
    chat, _ = group(edge, users)
    edge.call("MEMBER_REMOVE", chat, a, seq=b)              # 1
    edge.send(chat, a, "m2")
    edge.send(chat, a, "m3")
    edge.call("MEMBERS_ADD", chat, a, body={"userIds": [str(b)]})   # 4
    assert emptied.sql("SELECT joined_seq, left_seq, hidden::text FROM"
                       " chat_members WHERE user_id = %s", b) == [
        (1, None, "{[2,4)}")]
    rec = edge.all(lambda r: r.type == "ENTRY")[-1]
    assert sorted(rec.items) == [(a, 0), (b, 2), (c, 0)]    # CHECK
    assert msg.code(edge.send(chat, b, "r", reply_to=3)) == "bad_field"
    rec = edge.send(chat, b, "r2", reply_to=1)
    assert sorted(rec.items) == [(a, 0), (b, 0), (c, 0)]
    # the second removal and return add a second hidden range
    edge.call("MEMBER_REMOVE", chat, a, seq=b)              # 6
    edge.send(chat, a, "m7")
    edge.call("MEMBERS_ADD", chat, a, body={"userIds": [str(b)]})   # 8
    assert emptied.sql("SELECT hidden::text FROM chat_members WHERE user_id ="
                       " %s", b) == [("{[2,4),[7,8)}",)]
    assert edge.send(chat, b, "r3", reply_to=6).type == "ENTRY"
    assert msg.code(edge.send(chat, b, "r4", reply_to=7)) == "bad_field"


def test_role_changes_follow_the_permissions(emptied, edge, users):
    a, b, c, d = users[:4]
    chat, _ = group(edge, users, 4)

    def role(actor, user, new_role):
        status, body = edge.call("MEMBER_CHANGE", chat, actor, seq=user,
                                 body={"role": new_role})
        return status, body.get("code") or body["role"]

    assert role(a, b, "admin") == (200, "admin")
    frame = entries(edge, chat)[-1]
    assert (frame["kind"], frame["userId"], frame["role"]) == (
        "role_changed", str(b), "admin")
    assert role(a, b, "admin") == (200, "admin")
    assert role(b, c, "admin") == (403, "forbidden")
    assert role(a, c, "king") == (400, "bad_field")
    assert role(a, 99999, "admin") == (404, "not_found")
    assert role(a, a, "member") == (403, "forbidden")
    assert role(99999, b, "member") == (404, "not_found")
    # an admin removes members, not admins
    assert edge.call("MEMBER_REMOVE", chat, b, seq=d)[0] == 204
    assert edge.call("MEMBER_REMOVE", chat, b, seq=a)[0] == 403
    assert edge.call("MEMBER_REMOVE", chat, c, seq=b)[0] == 403
    # the owner makes another member the owner
    assert role(a, c, "owner") == (200, "owner")
    assert role(a, b, "member") == (403, "forbidden")
    assert emptied.sql("SELECT user_id, role FROM chat_members WHERE left_seq"
                       " IS NULL ORDER BY 1") == [(a, 2), (b, 2), (c, 1)]
    assert edge.call("MEMBER_REMOVE", chat, c, seq=a)[0] == 204


def test_group_gets_a_new_owner_when_its_owner_leaves(emptied, edge, users):
    a, b, c = users[:3]
    chat, _ = group(edge, users)
    edge.call("MEMBER_CHANGE", chat, a, seq=c, body={"role": "admin"})  # 1
    assert edge.call("CHAT_LEAVE", chat, a) == (204, None)
    got = entries(edge, chat)[-2:]
    assert [(e["seq"], e["kind"], e["userId"]) for e in got] == [
        (2, "role_changed", str(c)), (3, "member_left", str(a))]
    assert emptied.sql("SELECT user_id, role, left_seq FROM chat_members"
                       " ORDER BY 1") == [(a, 3, 3), (b, 3, None),
                                          (c, 1, None)]
    last = edge.all(lambda r: r.type == "ENTRY")[-1]
    assert (a, 0) in last.items
    status, body = edge.call("CHAT_LEAVE", chat, a)
    assert (status, body["code"]) == (403, "not_member")


def test_changes_and_sends_of_one_batch_keep_their_order(emptied, edge, users):
    import inner
    a, b, c = users[:3]
    chat, _ = group(edge, users)
    pipe = edge.redis.pipeline(transaction=True)

    def add(kind, **kw):
        pipe.xadd(msg.stream(chat), {"e": inner.event(
            kind, edge=edge.id, chat=chat, **kw)})

    add("SEND", session=1, user=b, device=b * 10, message_id="1", content="x")
    add("MEMBER_REMOVE", flags=inner.F_REST, session=2, user=a, device=1,
        seq=b)
    add("SEND", session=3, user=b, device=b * 10, message_id="2", content="x")
    add("CHAT_CHANGE", flags=inner.F_REST, session=4, user=a, device=1,
        body='{"title":"Y"}')
    add("SEND", session=5, user=a, device=a * 10, message_id="3", content="x")
    pipe.execute()
    edge.wait(lambda r: r.type == "ENTRY" and r.session == 5)
    assert [(r[0], r[1]) for r in emptied.sql(
        "SELECT seq, kind FROM entries ORDER BY seq")] == [
        (1, 1), (2, 6), (3, 9), (4, 1)]
    refused = edge.all(lambda r: r.type == "FRAME")
    assert [msg.code(r) for r in refused] == ["not_member"]
    got = edge.all(lambda r: r.type == "ENTRY")
    assert [r.seq for r in got] == [1, 2, 3, 4]
    assert [(b, 0) in r.items for r in got] == [True, True, False, False]
