"""Presence: who follows whom, what is told of it and what is not."""

import asyncio
import re
import signal
import time

import pytest

from stack import SLOW

TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")


def ids(*who):
    return [getattr(w, "user", w) for w in who]


async def send(phone, type_, *who):
    await phone.put({"type": type_, "userIds": ids(*who)})


async def subscribe(phone, *who):
    """The state of all who were asked for: {userId: user}."""
    n = len(phone.frames)
    await send(phone, "presence_subscribe", *who)
    wanted = set(ids(*who))

    def answer():
        for f in phone.frames[n:]:
            if f["type"] == "presence" and \
                    {u["userId"] for u in f["users"]} == wanted:
                return {u["userId"]: u for u in f["users"]}
        return None
    return await phone.until(answer, 10 * SLOW, "answer")


def told(phone, who, since=0):
    """All that a client was told of a user."""
    user = getattr(who, "user", who)
    return [u for f in phone.frames[since:] if f["type"] == "presence"
            for u in f["users"] if u["userId"] == user]


async def becomes(phone, who, status, since=0, timeout=10):
    """Waits until the last that was told is this; returns it."""
    def look():
        seen = told(phone, who, since)
        return seen and seen[-1]["status"] == status and seen[-1]
    return await phone.until(look, timeout * SLOW,
                             f"{status} of {ids(who)}")


async def test_subscribe_is_answered_with_how_they_are(phone):
    ann, bob, eve = phone("ann"), phone("bob"), phone("eve")
    await ann.connect()
    await bob.connect()
    await ann.group("three", bob, eve)
    state = await subscribe(ann, bob, eve)
    assert state[bob.user] == {"userId": bob.user, "status": "online"}
    # never seen: no lastSeen either
    assert state[eve.user] == {"userId": eve.user, "status": "offline"}


async def test_coming_and_going_is_told_with_last_seen(phone):
    ann, bob = phone("ann"), phone("bob")
    await ann.connect()
    await ann.direct(bob)
    state = await subscribe(ann, bob)
    assert state[bob.user]["status"] == "offline"

    n = len(ann.frames)
    await bob.connect()
    user = await becomes(ann, bob, "online", n)
    assert user == {"userId": bob.user, "status": "online"}

    n = len(ann.frames)
    left = time.time()
    await bob.close()
    user = await becomes(ann, bob, "offline", n)
    assert 2.5 < time.time() - left < 6 * SLOW
    assert set(user) == {"userId", "status", "lastSeen"}
    assert TIME.match(user["lastSeen"])
    seen = time.mktime(time.strptime(user["lastSeen"][:19],
                                     "%Y-%m-%dT%H:%M:%S")) - time.timezone
    assert abs(seen - left) < 2.5 * SLOW
    assert [u["status"] for u in told(ann, bob, n)] == ["offline"]

    # who asks later is told the same
    assert (await subscribe(ann, bob))[bob.user] == user


async def test_a_device_that_is_back_at_once_was_never_offline(phone):
    ann, bob = phone("ann"), phone("bob")
    await ann.connect()
    await bob.connect()
    await ann.direct(bob)
    await subscribe(ann, bob)
    n = len(ann.frames)
    for _ in range(3):
        await bob.close()
        await asyncio.sleep(1.5)
        # asked for in between, it is still online
        assert (await subscribe(ann, bob))[bob.user]["status"] == "online"
        await bob.connect()
    await asyncio.sleep(4)
    assert {u["status"] for u in told(ann, bob, n)} == {"online"}


async def test_offline_comes_with_the_last_device(phone):
    ann, bob = phone("ann"), phone("bob")
    tab = phone("bob-tablet", of=bob)
    for p in (ann, bob, tab):
        await p.connect()
    await ann.direct(bob)
    await subscribe(ann, bob)
    n = len(ann.frames)
    await bob.close()
    await asyncio.sleep(5)
    assert told(ann, bob, n) == []
    await tab.close()
    await becomes(ann, bob, "offline", n)


@pytest.mark.parametrize("who,shown", [("nobody", False), ("contacts", True),
                                       ("everyone", True)])
async def test_last_seen_follows_the_privacy_setting(phone, who, shown):
    ann, bob = phone("ann"), phone("bob")
    await ann.connect()
    await bob.connect()
    await ann.direct(bob)
    await bob.rest("PUT", "/users/me/privacy", {"lastSeen": who})
    await subscribe(ann, bob)
    n = len(ann.frames)
    await bob.close()
    user = await becomes(ann, bob, "offline", n)
    assert ("lastSeen" in user) == shown
    assert ("lastSeen" in (await subscribe(ann, bob))[bob.user]) == shown


async def test_strangers_and_unknown_users_look_the_same(phone):
    ann, bob, eve = phone("ann"), phone("bob"), phone("eve")
    for p in (ann, bob, eve):
        await p.connect()
    await bob.direct(eve)
    nobody = str(2 ** 62)
    state = await subscribe(ann, bob, nobody)
    for user in (bob.user, nobody):
        assert state[user] == {"userId": user, "status": "offline"}
    n = len(ann.frames)
    await bob.close()
    await asyncio.sleep(4.5)
    await bob.connect()
    await asyncio.sleep(1)
    assert told(ann, bob, n) == []
    assert (await subscribe(ann, bob))[bob.user]["status"] == "offline"


async def test_rights_are_those_of_each_session(phone):
    """A follower on the same edge who may know opens nothing to others."""
    ann, bob, eve = phone("ann"), phone("bob"), phone("eve")
    for p in (ann, bob, eve):
        await p.connect()
    await ann.direct(bob)
    assert (await subscribe(ann, bob))[bob.user]["status"] == "online"
    assert (await subscribe(eve, bob))[bob.user]["status"] == "offline"
    n = len(eve.frames)
    await bob.close()
    await becomes(ann, bob, "offline")
    await bob.connect()
    await becomes(ann, bob, "online")
    await asyncio.sleep(0.5)
    assert told(eve, bob, n) == []


async def test_a_new_chat_opens_what_was_closed_and_leaving_closes_it(phone):
    ann, bob = phone("ann"), phone("bob")
    await ann.connect()
    await bob.connect()
    assert (await subscribe(ann, bob))[bob.user]["status"] == "offline"
    chat = await bob.group("two", ann)
    await becomes(ann, bob, "online")
    await bob.rest("DELETE", f"/chats/{chat}/members/{ann.user}")
    assert await becomes(ann, bob, "offline") == {
        "userId": bob.user, "status": "offline"}


async def test_oneself_is_online(phone):
    ann = phone("ann")
    await ann.connect()
    assert (await subscribe(ann, ann))[ann.user]["status"] == "online"


async def test_unsubscribe_is_answered_and_ends_it(phone):
    ann, bob, eve = phone("ann"), phone("bob"), phone("eve")
    for p in (ann, bob, eve):
        await p.connect()
    await ann.group("three", bob, eve)
    await subscribe(ann, bob, eve)
    n = len(ann.frames)
    await send(ann, "presence_unsubscribe", bob, "4711")
    answer = await ann.frame("presence", since=n)
    assert answer == {"type": "presence", "users": []}
    await bob.close()
    await eve.close()
    await becomes(ann, eve, "offline", n)
    await asyncio.sleep(1)
    assert told(ann, bob, n) == []


async def test_many_changes_come_in_few_frames(phone):
    ann = phone("ann")
    friends = [phone(f"f{i}") for i in range(30)]
    await ann.connect()
    await ann.group("many", *friends)
    await subscribe(ann, *friends)
    n = len(ann.frames)
    await asyncio.gather(*(f.connect(synced=False) for f in friends))
    for f in friends:
        await becomes(ann, f, "online", n)
    frames = [f for f in ann.frames[n:] if f["type"] == "presence"]
    assert sum(len(f["users"]) for f in frames) == 30
    assert len(frames) <= 12 * SLOW

    n = len(ann.frames)
    for f in friends:
        f.drop()
    for f in friends:
        await becomes(ann, f, "offline", n)
    frames = [f for f in ann.frames[n:] if f["type"] == "presence"]
    assert sum(len(f["users"]) for f in frames) == 30
    assert len(frames) <= 8 * SLOW


async def test_a_session_follows_at_most_1000(phone):
    ann = phone("ann")
    await ann.connect()
    for i in range(5):
        await subscribe(ann, *(str(10 ** 12 + i * 200 + k)
                               for k in range(200)))
    n = len(ann.frames)
    await send(ann, "presence_subscribe", "77")
    error = await ann.frame("error", since=n)
    assert error["code"] == "bad_field" and "1000" in error["message"]
    # what is followed already may be asked for again
    await subscribe(ann, str(10 ** 12), str(10 ** 12 + 1))
    await send(ann, "presence_unsubscribe", str(10 ** 12))
    await subscribe(ann, "77")


async def test_a_number_twice_is_answered_once(phone):
    ann = phone("ann")
    await ann.connect()
    n = len(ann.frames)
    await send(ann, "presence_subscribe", "77", "77", "76")
    answer = await ann.frame("presence", since=n)
    assert sorted(u["userId"] for u in answer["users"]) == ["76", "77"]


async def test_an_invisible_user_looks_offline(phone):
    ann, bob = phone("ann"), phone("bob")
    tab = phone("bob-tablet", of=bob)
    await ann.connect()
    await bob.connect()
    await tab.connect()
    await ann.direct(bob)
    assert (await subscribe(ann, bob))[bob.user]["status"] == "online"
    await bob.rest("PUT", "/users/me/status", {"status": "invisible"})
    await becomes(ann, bob, "offline")
    assert (await subscribe(tab, bob))[bob.user]["status"] == "online"
    n = len(ann.frames)
    await bob.close()
    await tab.close()
    await asyncio.sleep(4.5)
    # when it went leaves no trace
    assert told(ann, bob, n) == []
    await bob.connect()
    await asyncio.sleep(1)
    assert told(ann, bob, n) == []
    await bob.rest("PUT", "/users/me/status", {"status": "available"})
    await becomes(ann, bob, "online")


async def test_a_reload_is_no_going(stack, phone):
    ann, bob = phone("ann"), phone("bob")
    ann.auto_reconnect = bob.auto_reconnect = True
    await ann.connect()
    await bob.connect()
    await ann.direct(bob)
    await subscribe(ann, bob)
    stack.reload_nginx()
    for p in (bob, ann):
        await p.until(lambda: p.connections > 1 and p.connected, 60 * SLOW,
                      "a new connection")
    await subscribe(ann, bob)
    await asyncio.sleep(4)
    assert {u["status"] for u in told(ann, bob)} == {"online"}


async def test_redis_emptied_the_watches_are_written_anew(stack, phone):
    ann, bob = phone("ann"), phone("bob")
    await ann.connect()
    await bob.connect()
    await ann.direct(bob)
    await subscribe(ann, bob)
    n = len(ann.frames)
    stack.redis().flushall()
    await asyncio.sleep(4)
    stack.wait_ready()
    assert {u["status"] for u in told(ann, bob, n)} <= {"online"}
    await bob.close()
    await becomes(ann, bob, "offline", n)
    await bob.connect()
    await becomes(ann, bob, "online", n)


async def test_redis_back_after_a_while(stack, phone):
    """Who went while Redis was away is told of when it is back."""
    ann, bob = phone("ann"), phone("bob")
    await ann.connect()
    await bob.connect()
    await ann.direct(bob)
    await subscribe(ann, bob)
    n = len(ann.frames)
    stack.kill("redis")
    await asyncio.sleep(1)
    await bob.close()
    await send(ann, "presence_subscribe", bob)
    error = await ann.frame("error", since=n)
    assert error["code"] == "unavailable" and error["retryAfter"] > 0
    await asyncio.to_thread(stack.heal)
    stack.wait_ready()
    await becomes(ann, bob, "offline", n, 20)


async def test_a_worker_that_dies_is_not_missed(stack, phone):
    ann, bob = phone("ann"), phone("bob")
    await ann.connect()
    await bob.connect()
    await ann.direct(bob)
    await subscribe(ann, bob)
    n = len(ann.frames)
    await bob.close()
    await asyncio.sleep(0.5)
    old = stack.kill("presence", signal.SIGKILL)
    await becomes(ann, bob, "offline", n, 20)
    stack.await_role("presence", other_than=old)


async def test_without_a_worker_it_is_unavailable(stack, phone):
    ann, bob = phone("ann"), phone("bob")
    await ann.connect()
    await ann.direct(bob)
    n = len(ann.frames)
    stopped = stack.stop("presence")
    try:
        await send(ann, "presence_subscribe", bob)
        error = await ann.frame("error", timeout=20, since=n)
        assert error["code"] == "unavailable"
    finally:
        stack.cont(stopped)
    await subscribe(ann, bob)


async def test_killed_nginx_worker_its_devices_go_offline(stack, phone):
    """Nobody says goodbye; the edge's key runs out."""
    ann, bob, eve = phone("ann"), phone("bob"), phone("eve")
    for p in (ann, bob, eve):
        await p.connect()
    await ann.group("three", bob, eve)
    await subscribe(ann, bob, eve)
    began = time.monotonic()
    stack.kill("nginx worker")
    await ann.ended()
    stack.wait_ready()
    await ann.connect()
    await eve.connect()
    n = len(ann.frames)
    await subscribe(ann, bob, eve)
    await becomes(ann, bob, "offline", n, 25)
    assert time.monotonic() - began < 25 * SLOW
    assert "lastSeen" in (await subscribe(ann, bob))[bob.user]
    assert told(ann, eve, n)[-1]["status"] == "online"
    [[seen]] = stack.sql("SELECT last_seen IS NOT NULL FROM users"
                         " WHERE id = %s", int(bob.user))
    assert seen
    [[seen]] = stack.sql("SELECT last_seen IS NOT NULL FROM users"
                         " WHERE id = %s", int(eve.user))
    assert not seen
