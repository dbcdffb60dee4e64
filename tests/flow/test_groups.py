"""Sign-up, groups and members, and the chat list with unread counts."""

import asyncio

import pytest

from chatclient import Problem, Refused, new_id


def test_first_login_creates_the_user_and_the_second_reuses_it(phone, api):
    ann = phone("ann")
    code = api.call("POST", "/auth/code",
                    {"phoneNumber": ann.number})["devCode"]
    again = api.call("POST", "/auth/login", {
        "phoneNumber": ann.number, "code": code,
        "device": {"name": "second", "platform": "test"}})
    assert again["newUser"] is False
    assert again["userId"] == ann.user
    assert again["deviceId"] != ann.device


def test_a_wrong_code_is_refused(number, api):
    n = number()
    code = api.call("POST", "/auth/code", {"phoneNumber": n})["devCode"]
    wrong = f"{(int(code) + 1) % 1000000:06d}"
    with pytest.raises(Problem) as e:
        api.call("POST", "/auth/login", {
            "phoneNumber": n, "code": wrong,
            "device": {"name": "x", "platform": "test"}})
    assert (e.value.status, e.value.code) == (401, "wrong_code")


def test_a_changed_username_is_stored(phone):
    ann = phone("ann")
    ann.call("PATCH", "/users/me", {"username": "Ann"})
    assert ann.call("GET", "/users/me")["username"] == "Ann"


async def test_members_roles_and_removal_in_a_group(phone):
    ann, bob, eve, out = (phone(n) for n in ("ann", "bob", "eve", "out"))
    for p in (ann, bob, eve):
        await p.connect()

    chat = await ann.group("team", bob)
    await bob.frame("chat_added", chatId=chat, fromSeq=1)
    await ann.send(chat, "before eve")

    n = len(eve.frames)
    await ann.rest("POST", f"/chats/{chat}/members", {"userIds": [eve.user]})
    added = await eve.frame("chat_added", since=n, chatId=chat)
    first = await eve.frame("new_message", since=n, chatId=chat)
    assert first["seq"] == added["fromSeq"] == 2
    assert (first["kind"], first["userId"]) == ("member_added", eve.user)

    # roles
    await ann.rest("PATCH", f"/chats/{chat}/members/{bob.user}",
                   {"role": "admin"})
    roles = {m["userId"]: m["role"] for m in (
        await ann.rest("GET", f"/chats/{chat}/members"))["items"]}
    assert roles == {ann.user: "owner", bob.user: "admin",
                     eve.user: "member"}
    with pytest.raises(Problem) as e:
        await eve.rest("PATCH", f"/chats/{chat}", {"title": "mine"})
    assert (e.value.status, e.value.code) == (403, "forbidden")
    await bob.rest("PATCH", f"/chats/{chat}", {"title": "crew"})
    assert (await ann.rest("GET", f"/chats/{chat}"))["title"] == "crew"

    # a user who is not a member gets 404 for everything
    for method, path in (("GET", f"/chats/{chat}"),
                         ("GET", f"/chats/{chat}/messages"),
                         ("GET", f"/chats/{chat}/members")):
        with pytest.raises(Problem) as e:
            await out.rest(method, path)
        assert (e.value.status, e.value.code) == (404, "not_found")

    # a removed member gets the entry of the removal, then chat_removed, and
    # may still read the older entries
    n = len(eve.frames)
    await bob.rest("DELETE", f"/chats/{chat}/members/{eve.user}")
    await eve.frame("chat_removed", since=n, chatId=chat)
    last = [f for f in eve.frames[n:] if f["type"] == "new_message"][-1]
    assert (last["kind"], last["userId"]) == ("member_removed", eve.user)
    ack = await ann.send(chat, "after eve")
    with pytest.raises(Refused) as r:
        await eve.send(chat, "still here?")
    assert r.value.code == "not_member"
    seen = [e["seq"] for e in await eve.history(chat)]
    assert seen and max(seen) == last["seq"] < ack["seq"]
    await bob.has(chat, ack["seq"])
    assert eve._got[chat] == last["seq"]


async def test_two_users_who_open_a_direct_chat_at_once_get_the_same_chat(
        phone):
    ann, bob = phone("ann"), phone("bob")
    chats = await asyncio.gather(*[p.direct(q) for p, q in
                                   [(ann, bob), (bob, ann)] * 5])
    assert len(set(chats)) == 1


async def test_chat_list_is_newest_first_and_counts_unread(phone):
    ann, bob, eve = phone("ann"), phone("bob"), phone("eve")
    await ann.connect()
    await bob.connect()
    await eve.connect()
    old = await ann.direct(bob)
    new = await ann.group("new", bob, eve)
    for i in range(3):
        await ann.send(old, f"old {i}")
    for i in range(2):
        await ann.send(new, f"new {i}")

    items = (await bob.rest("GET", "/chats"))["items"]
    assert [c["chatId"] for c in items] == [new, old]
    assert [c["unreadCount"] for c in items] == [2, 3]
    assert items[1]["lastEntry"]["content"] == "old 2"
    assert items[1]["lastSeq"] == 3

    # a new message moves its chat to the top; own messages are not unread
    await bob.send(old, "answer")
    items = (await bob.rest("GET", "/chats"))["items"]
    assert [c["chatId"] for c in items] == [old, new]

    # a read receipt of one device reaches the user's other devices and the
    # other members, and lowers the unread count
    tab = phone("bob-tablet", of=bob)
    await tab.connect()
    n, m = len(tab.frames), len(ann.frames)
    await bob.put({"type": "read", "chatId": old, "seq": 4})
    await tab.frame("receipt", since=n, chatId=old, userId=bob.user, read=4)
    await ann.frame("receipt", since=m, chatId=old, userId=bob.user, read=4)
    items = (await bob.rest("GET", "/chats"))["items"]
    assert items[0]["unreadCount"] == 0 and items[0]["read"] == 4


async def test_a_paged_chat_list_is_complete(phone):
    ann = phone("ann")
    others = [phone(f"o{i}") for i in range(7)]
    chats = {await ann.direct(o) for o in others}
    seen, cursor = [], None
    while True:
        q = "/chats?limit=3" + (f"&cursor={cursor}" if cursor else "")
        page = await ann.rest("GET", q)
        seen += [c["chatId"] for c in page["items"]]
        cursor = page["nextCursor"]
        if not cursor:
            break
    assert len(seen) == 7 and set(seen) == chats


async def test_the_same_idempotency_key_returns_the_same_chat(phone):
    ann, bob = phone("ann"), phone("bob")
    body = {"type": "group", "title": "once", "memberIds": [bob.user]}
    head = {"Idempotency-Key": new_id()}
    one = await ann.rest("POST", "/chats", body, headers=head)
    two = await ann.rest("POST", "/chats", body, headers=head)
    assert one == two
    with pytest.raises(Problem) as e:
        await ann.rest("POST", "/chats", dict(body, title="other"),
                       headers=head)
    assert (e.value.status, e.value.code) == (409, "idempotency_key_reused")


async def test_other_members_receive_member_left(phone):
    ann, bob = phone("ann"), phone("bob")
    await ann.connect()
    chat = await ann.group("pair", bob)
    await bob.rest("DELETE", f"/chats/{chat}")
    left = await ann.frame("new_message", chatId=chat, kind="member_left")
    assert left["userId"] == bob.user
