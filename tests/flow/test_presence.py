"""Presence: which users a session follows, and which presence updates it
receives."""

import asyncio
import re
import signal
import time

import pytest

from stack import SLOW

TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")


def ids(*users):
    """The ids of users, each given as a Phone or as an id."""
    return [getattr(u, "user", u) for u in users]


async def send(phone, type_, *users):
    await phone.put({"type": type_, "userIds": ids(*users)})


async def subscribe(phone, *users):
    """Subscribes to users; returns the state of each: {userId: state}."""
    n = len(phone.frames)
    await send(phone, "presence_subscribe", *users)
    expected = set(ids(*users))

    def answer():
        for f in phone.frames[n:]:
            if f["type"] == "presence" and \
                    {u["userId"] for u in f["users"]} == expected:
                return {u["userId"]: u for u in f["users"]}
        return None
    return await phone.until(answer, 10 * SLOW, "answer")


def presence_of(phone, other, since=0):
    """Every presence state that a client has received for a user."""
    user = getattr(other, "user", other)
    return [u for f in phone.frames[since:] if f["type"] == "presence"
            for u in f["users"] if u["userId"] == user]


async def wait_status(phone, other, status, since=0, timeout=10):
    """Waits until the last state received for a user has this status;
    returns the state."""
    def find():
        seen = presence_of(phone, other, since)
        return seen and seen[-1]["status"] == status and seen[-1]
    return await phone.until(find, timeout * SLOW,
                             f"{status} of {ids(other)}")


async def test_subscribe_is_answered_with_the_current_presence(phone):
    ann, bob, eve = phone("ann"), phone("bob"), phone("eve")
    await ann.connect()
    await bob.connect()
    await ann.group("three", bob, eve)
    state = await subscribe(ann, bob, eve)
    assert state[bob.user] == {"userId": bob.user, "status": "online"}
    # a user who has never been online has no lastSeen
    assert state[eve.user] == {"userId": eve.user, "status": "offline"}


async def test_followers_get_online_and_offline_with_last_seen(phone):
    ann, bob = phone("ann"), phone("bob")
    await ann.connect()
    await ann.direct(bob)
    state = await subscribe(ann, bob)
    assert state[bob.user]["status"] == "offline"

    n = len(ann.frames)
    await bob.connect()
    user = await wait_status(ann, bob, "online", n)
    assert user == {"userId": bob.user, "status": "online"}

    n = len(ann.frames)
    left = time.time()
    await bob.close()
    user = await wait_status(ann, bob, "offline", n)
    assert 2.5 < time.time() - left < 6 * SLOW
    assert set(user) == {"userId", "status", "lastSeen"}
    assert TIME.match(user["lastSeen"])
    seen = time.mktime(time.strptime(user["lastSeen"][:19],
                                     "%Y-%m-%dT%H:%M:%S")) - time.timezone
    assert abs(seen - left) < 2.5 * SLOW
    assert [u["status"] for u in presence_of(ann, bob, n)] == ["offline"]

    # a later subscription is answered with the same
    assert (await subscribe(ann, bob))[bob.user] == user


async def test_a_device_that_reconnects_at_once_stays_online(phone):
    ann, bob = phone("ann"), phone("bob")
    await ann.connect()
    await bob.connect()
    await ann.direct(bob)
    await subscribe(ann, bob)
    n = len(ann.frames)
    for _ in range(3):
        await bob.close()
        await asyncio.sleep(1.5)
        # a subscription in between is answered with online
        assert (await subscribe(ann, bob))[bob.user]["status"] == "online"
        await bob.connect()
    await asyncio.sleep(4)
    assert {u["status"] for u in presence_of(ann, bob, n)} == {"online"}


async def test_a_user_is_offline_when_the_last_device_has_left(phone):
    ann, bob = phone("ann"), phone("bob")
    tab = phone("bob-tablet", of=bob)
    for p in (ann, bob, tab):
        await p.connect()
    await ann.direct(bob)
    await subscribe(ann, bob)
    n = len(ann.frames)
    await bob.close()
    await asyncio.sleep(5)
    assert presence_of(ann, bob, n) == []
    await tab.close()
    await wait_status(ann, bob, "offline", n)


@pytest.mark.parametrize("setting,shown", [
    ("nobody", False), ("contacts", True), ("everyone", True)])
async def test_last_seen_obeys_the_privacy_setting(phone, setting, shown):
    ann, bob = phone("ann"), phone("bob")
    await ann.connect()
    await bob.connect()
    await ann.direct(bob)
    await bob.rest("PUT", "/users/me/privacy", {"lastSeen": setting})
    await subscribe(ann, bob)
    n = len(ann.frames)
    await bob.close()
    user = await wait_status(ann, bob, "offline", n)
    assert ("lastSeen" in user) == shown
    assert ("lastSeen" in (await subscribe(ann, bob))[bob.user]) == shown


async def test_strangers_and_unknown_users_look_the_same(phone):
    ann, bob, eve = phone("ann"), phone("bob"), phone("eve")
    for p in (ann, bob, eve):
        await p.connect()
    await bob.direct(eve)
    missing = str(2 ** 62)
    state = await subscribe(ann, bob, missing)
    for user in (bob.user, missing):
        assert state[user] == {"userId": user, "status": "offline"}
    n = len(ann.frames)
    await bob.close()
    await asyncio.sleep(4.5)
    await bob.connect()
    await asyncio.sleep(1)
    assert presence_of(ann, bob, n) == []
    assert (await subscribe(ann, bob))[bob.user]["status"] == "offline"


async def test_visibility_is_checked_for_each_session(phone):
    """A follower who may see a user's presence does not make it visible to
    other sessions on the same edge."""
    ann, bob, eve = phone("ann"), phone("bob"), phone("eve")
    for p in (ann, bob, eve):
        await p.connect()
    await ann.direct(bob)
    assert (await subscribe(ann, bob))[bob.user]["status"] == "online"
    assert (await subscribe(eve, bob))[bob.user]["status"] == "offline"
    n = len(eve.frames)
    await bob.close()
    await wait_status(ann, bob, "offline")
    await bob.connect()
    await wait_status(ann, bob, "online")
    await asyncio.sleep(0.5)
    assert presence_of(eve, bob, n) == []


async def test_a_new_chat_shows_presence_and_leaving_it_hides_it(phone):
    ann, bob = phone("ann"), phone("bob")
    await ann.connect()
    await bob.connect()
    assert (await subscribe(ann, bob))[bob.user]["status"] == "offline"
    chat = await bob.group("two", ann)
    await wait_status(ann, bob, "online")
    await bob.rest("DELETE", f"/chats/{chat}/members/{ann.user}")
    assert await wait_status(ann, bob, "offline") == {
        "userId": bob.user, "status": "offline"}


async def test_a_user_is_online_to_itself(phone):
    ann = phone("ann")
    await ann.connect()
    assert (await subscribe(ann, ann))[ann.user]["status"] == "online"


async def test_unsubscribe_is_answered_and_stops_updates(phone):
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
    await wait_status(ann, eve, "offline", n)
    await asyncio.sleep(1)
    assert presence_of(ann, bob, n) == []


async def test_many_changes_are_sent_in_few_frames(phone):
    ann = phone("ann")
    friends = [phone(f"f{i}") for i in range(30)]
    await ann.connect()
    await ann.group("many", *friends)
    await subscribe(ann, *friends)
    n = len(ann.frames)
    await asyncio.gather(*(f.connect(synced=False) for f in friends))
    for f in friends:
        await wait_status(ann, f, "online", n)
    frames = [f for f in ann.frames[n:] if f["type"] == "presence"]
    assert sum(len(f["users"]) for f in frames) == 30
    assert len(frames) <= 12 * SLOW

    n = len(ann.frames)
    for f in friends:
        f.drop()
    for f in friends:
        await wait_status(ann, f, "offline", n)
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
    # a user who is already followed may be subscribed to again
    await subscribe(ann, str(10 ** 12), str(10 ** 12 + 1))
    await send(ann, "presence_unsubscribe", str(10 ** 12))
    await subscribe(ann, "77")


async def test_a_user_id_given_twice_is_answered_once(phone):
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
    await wait_status(ann, bob, "offline")
    assert (await subscribe(tab, bob))[bob.user]["status"] == "online"
    n = len(ann.frames)
    await bob.close()
    await tab.close()
    await asyncio.sleep(4.5)
    # an invisible user who leaves and returns causes no update
    assert presence_of(ann, bob, n) == []
    await bob.connect()
    await asyncio.sleep(1)
    assert presence_of(ann, bob, n) == []
    await bob.rest("PUT", "/users/me/status", {"status": "available"})
    await wait_status(ann, bob, "online")


async def test_no_user_goes_offline_during_a_reload(stack, phone):
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
    assert {u["status"] for u in presence_of(ann, bob)} == {"online"}


async def test_watches_are_written_again_to_an_emptied_redis(stack, phone):
    ann, bob = phone("ann"), phone("bob")
    await ann.connect()
    await bob.connect()
    await ann.direct(bob)
    await subscribe(ann, bob)
    n = len(ann.frames)
    stack.redis().flushall()
    await asyncio.sleep(4)
    stack.wait_ready()
    assert {u["status"] for u in presence_of(ann, bob, n)} <= {"online"}
    await bob.close()
    await wait_status(ann, bob, "offline", n)
    await bob.connect()
    await wait_status(ann, bob, "online", n)


async def test_a_user_who_left_while_redis_was_down_is_offline(stack, phone):
    """The follower is notified as soon as Redis is available again."""
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
    await wait_status(ann, bob, "offline", n, 20)


async def test_a_killed_presence_worker_loses_no_update(stack, phone):
    ann, bob = phone("ann"), phone("bob")
    await ann.connect()
    await bob.connect()
    await ann.direct(bob)
    await subscribe(ann, bob)
    n = len(ann.frames)
    await bob.close()
    await asyncio.sleep(0.5)
    old = stack.kill("presence", signal.SIGKILL)
    await wait_status(ann, bob, "offline", n, 20)
    stack.await_role("presence", other_than=old)


async def test_presence_is_unavailable_without_a_worker(stack, phone):
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


async def test_devices_of_a_killed_nginx_worker_go_offline(stack, phone):
    """The edge sends no OFFLINE; its key in Redis expires."""
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
    await wait_status(ann, bob, "offline", n, 25)
    assert time.monotonic() - began < 25 * SLOW
    assert "lastSeen" in (await subscribe(ann, bob))[bob.user]
    assert presence_of(ann, eve, n)[-1]["status"] == "online"
    [[seen]] = stack.sql("SELECT last_seen IS NOT NULL FROM users"
                         " WHERE id = %s", int(bob.user))
    assert seen
    [[seen]] = stack.sql("SELECT last_seen IS NOT NULL FROM users"
                         " WHERE id = %s", int(eve.user))
    assert not seen
