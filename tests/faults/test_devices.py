"""Devices connect, disconnect, expire and are replaced under load."""

import asyncio

import checker
import load
from chatclient import new_id
from load import Swarm
from stack import SLOW


async def test_ten_devices_of_a_user_all_see_everything(stack):
    swarm = Swarm(stack)
    await asyncio.to_thread(swarm.groups, 2, 2, 10)
    assert len(swarm.clients) == 20
    await swarm.start(20 * SLOW)
    swarm.rate = 100
    try:
        await asyncio.sleep(2)
        await swarm.settle(20 * SLOW)
    finally:
        await swarm.stop()
    verdict = checker.check(swarm.record)
    assert verdict.clean, str(verdict)


async def test_the_older_socket_of_a_device_is_closed_with_4409(stack):
    """Under load, on the same edge and on another; nothing is lost."""
    swarm = Swarm(stack)
    chat, = await asyncio.to_thread(swarm.groups, 4, 4)
    await swarm.start(20 * SLOW)
    swarm.rate = 50
    olds = []
    try:
        for _ in range(8):
            c = swarm.clients[0]
            olds.append(c.conn)
            await c.open()
            await asyncio.sleep(0.2)
        await swarm.settle(20 * SLOW)
        assert [old.code for old in olds] == [4409] * 8
    finally:
        await swarm.stop()
    verdict = checker.check(swarm.record)
    assert verdict.clean, str(verdict)


async def test_expired_tokens_close_with_4401_and_nothing_is_lost(stack):
    swarm = Swarm(stack)
    await asyncio.to_thread(swarm.groups, 20, 5)
    for c in swarm.clients[::2]:
        c.token = swarm.signer.token(c.user, c.device, life=3)
    await swarm.start(20 * SLOW)
    swarm.rate = 100
    try:
        await swarm.until(lambda: swarm.closes[4401] >= 10, 10 * SLOW,
                          "4401 for ten")
        await swarm.settle(20 * SLOW)
        assert all(c.refreshed == 1 for c in swarm.clients[::2])
        assert not any(c.refreshed for c in swarm.clients[1::2])
    finally:
        await swarm.stop()
    verdict = checker.check(swarm.record)
    assert verdict.clean, str(verdict)


async def test_revocation_and_logout_close_live_sockets_with_4403(phone):
    ann = phone("ann")
    tab = phone("tablet", of=ann)
    pad = phone("pad", of=ann)
    for p in (ann, tab, pad):
        await p.connect()
    await ann.rest("DELETE", f"/devices/{tab.device}")
    assert await tab.ended(5 * SLOW) == 4403
    await pad.rest("POST", "/auth/logout")
    assert await pad.ended(5 * SLOW) == 4403
    assert ann.connected


async def test_switching_to_a_new_device_loses_nothing(phone):
    """The new device logs in and revokes the old one during a stream of
    messages."""
    ann, bob = phone("ann"), phone("bob")
    await ann.connect()
    await bob.connect()
    chat = await ann.direct(bob)
    stop = asyncio.Event()
    sent = []

    async def talk():
        while not stop.is_set():
            sent.append((await bob.send(chat, f"m{len(sent)}"))["seq"])
            await asyncio.sleep(0.01)

    talking = asyncio.ensure_future(talk())
    await asyncio.sleep(0.5)
    new = phone("new", of=ann, login=False)
    await asyncio.to_thread(new.login)
    await new.connect()
    await asyncio.sleep(0.3)
    await new.rest("DELETE", f"/devices/{ann.device}")
    assert await ann.ended(5 * SLOW) == 4403
    own = await new.send(chat, "from the new one", new_id())
    await asyncio.sleep(0.3)
    stop.set()
    await talking
    await new.has(chat, max(sent))

    # the history has the entries from before the login, the socket the later
    # ones, and there is no gap between the two
    history = {e["seq"]: e["content"] for e in await new.history(chat)}
    assert sorted(history) == list(range(1, len(sent) + 2))
    live = new.contents(chat)
    assert [seq for seq, _ in live] == list(range(live[0][0],
                                                  max(history) + 1))
    assert all(history[seq] == text for seq, text in live)
    assert own["seq"] in dict(live)
    assert set(history) >= set(sent)
