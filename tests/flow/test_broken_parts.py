"""Parts of the system die while users send. Every acknowledged message is
stored once and in order; a message without an answer is resent, and is stored
once as well."""

import asyncio
import signal
import time

import websockets

from stack import SLOW


async def send_many(phone, chat, n, window=200, on=None):
    """Sends n messages with at most `window` unanswered; returns {content:
    seq}. `on` maps a count of answers to a function that is called then."""
    gate = asyncio.Semaphore(window)
    acks, on = {}, dict(on or {})

    async def one(i):
        async with gate:
            ack = await phone.send(chat, f"m{i}", wait=120 * SLOW)
        acks[f"m{i}"] = ack["seq"]
        action = on.pop(len(acks), None)
        if action:
            action()

    tasks = []
    for i in range(n):
        tasks.append(asyncio.ensure_future(one(i)))
        if i % window == 0:
            await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    return acks


async def check(chat, acks, writer, *readers):
    """The chat holds every acknowledged message once, with the seq of its
    ack, and every reader has received the same."""
    n = len(acks)
    stored = [(e["seq"], e["content"]) for e in await writer.history(chat)]
    assert [seq for seq, _ in stored] == list(range(1, n + 1))
    assert {text: seq for seq, text in stored} == acks
    for p in readers:
        await p.has(chat, n, 60 * SLOW)
        assert p.contents(chat) == stored


async def test_killed_message_workers_lose_and_duplicate_nothing(stack,
                                                                 phone):
    ann, bob = phone("ann"), phone("bob")
    await ann.connect()
    await bob.connect()
    chat = await ann.direct(bob)

    def kill():
        stack.kill("message", count=1)

    acks = await send_many(ann, chat, 10000, on={
        2000: kill, 5000: kill, 8000: kill})
    assert len(acks) == 10000
    await check(chat, acks, ann, ann, bob)


async def test_sends_get_unavailable_until_redis_is_back(stack, phone):
    ann, bob = phone("ann"), phone("bob")
    await ann.connect()
    await bob.connect()
    chat = await ann.direct(bob)
    await ann.send(chat, "before")
    await bob.has(chat, 1)

    stack.kill("redis", signal.SIGKILL)
    await asyncio.sleep(1)
    n = len(ann.frames)
    sent = asyncio.ensure_future(ann.send(chat, "during"))
    error = await ann.frame("error", 15, since=n, code="unavailable")
    assert error["retryAfter"] > 0
    assert ann.connected and bob.connected
    answer = await asyncio.to_thread(
        ann.api.raw, "POST", f"/chats/{chat}/messages", ann.access,
        json={"messageId": "rest-1", "content": "x"})
    assert answer.status_code == 503
    assert answer.json()["code"] == "unavailable"
    assert int(answer.headers["Retry-After"]) > 0

    await asyncio.to_thread(stack.heal)
    assert (await sent)["seq"] == 2
    await bob.has(chat, 2)
    assert len(ann.closed) == len(bob.closed) == 0
    assert (await ann.send(chat, "after"))["seq"] == 3
    await bob.has(chat, 3)


async def test_emptied_redis_loses_no_acknowledged_message(stack, phone):
    ann, bob = phone("ann"), phone("bob")
    await ann.connect()
    await bob.connect()
    chat = await ann.direct(bob)
    acks = await send_many(ann, chat, 1000, on={
        500: lambda: stack.redis().flushall()})
    await check(chat, acks, ann, ann, bob)


async def connect(p, tries=50):
    """Connects, and tries again after a 503. An edge answers 503 while the
    revocations are written back to an emptied Redis, for about a second."""
    while True:
        try:
            return await p.connect()
        except websockets.exceptions.InvalidStatusCode as e:
            tries -= 1
            if e.status_code != 503 or tries == 0:
                raise
            await asyncio.sleep(0.2)


async def test_killed_postgres_loses_no_acknowledged_message(stack, phone):
    ann, bob = phone("ann"), phone("bob")
    await connect(ann)
    await connect(bob)
    chat = await ann.direct(bob)
    healed = []

    def kill():
        stack.kill("postgres", signal.SIGKILL)
        healed.append(asyncio.ensure_future(asyncio.to_thread(stack.heal)))

    acks = await send_many(ann, chat, 2000, on={700: kill})
    await asyncio.gather(*healed)
    await check(chat, acks, ann, ann, bob)


async def test_clients_of_a_killed_edge_reconnect_without_loss(stack, phone):
    people = [phone(f"p{i}") for i in range(6)]
    for p in people:
        p.auto_reconnect = True
        await connect(p)
    chat = await people[0].group("all", *people[1:])
    acks = await send_many(people[0], chat, 500, on={
        200: lambda: stack.kill("nginx worker", count=1)})
    for p in people:
        await p.until(lambda: p.connected and p.synced, 30, "reconnect")
    await check(chat, acks, people[1], *people)


async def test_reload_moves_all_clients_without_loss(stack, phone):
    people = [phone(f"p{i}") for i in range(6)]
    for p in people:
        p.auto_reconnect = True
        await connect(p)
    chat = await people[0].group("all", *people[1:])
    old = stack.nginx_workers()
    acks = await send_many(people[0], chat, 500, on={
        200: stack.reload_nginx})
    for p in people:
        await p.until(lambda: p.connections > 1 and p.connected and p.synced,
                      60, "reconnect")
    acks["last"] = (await people[1].send(chat, "last"))["seq"]
    await check(chat, acks, people[2], *people)
    end = time.monotonic() + 60
    while set(old) & set(stack.nginx_workers()):
        assert time.monotonic() < end, "old nginx workers are still running"
        await asyncio.sleep(0.2)


async def test_make_up_restarts_a_killed_pool(stack, phone):
    ann, bob = phone("ann"), phone("bob")
    await ann.connect()
    await bob.connect()
    chat = await ann.direct(bob)
    stack.kill("pool", signal.SIGKILL)
    sent = asyncio.ensure_future(ann.send(chat, "waits"))
    await asyncio.to_thread(stack.heal)
    assert (await sent)["seq"] == 1
    await bob.has(chat, 1)


async def test_make_up_restarts_a_killed_nginx(stack, phone):
    ann = phone("ann")
    ann.auto_reconnect = True
    await ann.connect()
    stack.kill("nginx", signal.SIGKILL)     # its workers keep listening
    await asyncio.to_thread(stack.heal)
    await ann.until(lambda: ann.connections > 1 and ann.synced, 60,
                    "reconnect")
    stack.wait_ready()
