"""Sessions of a device: revocation, replacement, refresh of its tokens."""

import asyncio
import time

import pytest

from chatclient import Problem, new_id


async def test_revocation_closes_the_socket_and_blocks_the_tokens(phone):
    ann = phone("ann")
    tab = phone("ann-tablet", of=ann)
    await ann.connect()
    await tab.connect()

    began = time.monotonic()
    await ann.rest("DELETE", f"/devices/{tab.device}")
    assert await tab.ended(5) == 4403
    assert time.monotonic() - began < 3

    with pytest.raises(Problem) as e:
        await tab.rest("GET", "/users/me")
    assert (e.value.status, e.value.code) == (401, "device_revoked")
    with pytest.raises(Problem) as e:
        await tab.rest("POST", "/auth/refresh",
                       {"refreshToken": tab.refresh_token})
    assert e.value.status == 401
    assert ann.connected
    await ann.rest("GET", "/users/me")


async def test_a_revoked_token_is_refused_after_redis_was_emptied(
        stack, phone):
    ann = phone("ann")
    await ann.rest("POST", "/auth/logout")
    stack.redis().flushall()
    await asyncio.sleep(3)
    stack.wait_ready()
    with pytest.raises(Problem) as e:
        await ann.rest("GET", "/users/me")
    assert (e.value.status, e.value.code) == (401, "device_revoked")


async def test_logout_closes_the_socket_of_the_device(phone):
    ann = phone("ann")
    await ann.connect()
    await ann.rest("POST", "/auth/logout")
    assert await ann.ended(5) == 4403
    with pytest.raises(Problem) as e:
        await ann.rest("POST", "/chats", {"type": "group", "title": "x",
                                          "memberIds": [ann.user]})
    assert e.value.status == 401


async def test_a_second_connection_of_a_device_replaces_the_first(phone):
    ann, bob = phone("ann"), phone("bob")
    await ann.connect()
    await bob.connect()
    chat = await bob.direct(ann)
    old = ann._conn
    await ann.connect()
    for _ in range(100):
        if old.over:
            break
        await asyncio.sleep(0.05)
    assert old.ws.close_code == 4409
    await bob.send(chat, "to the new one")
    await ann.has(chat, 1)


async def test_refresh_returns_new_tokens_and_reuse_revokes_them(phone):
    ann = phone("ann")
    await ann.connect()
    first = ann.refresh_token
    ann.refresh()
    second = ann.refresh_token
    assert second != first
    ann.refresh()                       # uses the second refresh token
    with pytest.raises(Problem) as e:
        ann.call("POST", "/auth/refresh", {"refreshToken": first})
    assert (e.value.status, e.value.code) == (401, "refresh_reused")
    assert await ann.ended(5) == 4403


async def test_login_of_an_eleventh_device_needs_revoke_device_id(phone, api):
    ann = phone("ann")
    for i in range(9):
        phone(f"d{i}", of=ann)
    code = api.call("POST", "/auth/code",
                    {"phoneNumber": ann.number})["devCode"]
    body = {"phoneNumber": ann.number, "code": code,
            "device": {"name": "d10", "platform": "test"}}
    with pytest.raises(Problem) as e:
        api.call("POST", "/auth/login", body)
    assert (e.value.status, e.value.code) == (409, "too_many_devices")
    answer = api.call("POST", "/auth/login",
                      dict(body, revokeDeviceId=ann.device))
    assert answer["userId"] == ann.user
    with pytest.raises(Problem) as e:
        ann.call("GET", "/users/me")
    assert e.value.code == "device_revoked"


async def test_a_rest_send_reaches_the_socket_of_its_sender(phone):
    ann, bob = phone("ann"), phone("bob")
    await ann.connect()
    chat = await ann.direct(bob)
    entry = await ann.rest("POST", f"/chats/{chat}/messages",
                           {"messageId": new_id(), "content": "by rest"})
    frame = await ann.frame("new_message", chatId=chat)
    assert frame["seq"] == entry["seq"] == 1
