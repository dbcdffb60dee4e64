"""Users send in several chats from several devices while parts of the system
die at random. Afterwards every acknowledged message is stored once, with the
seq of its ack, and every device has received the same.

CHAT_STORM_SEED repeats an order of faults; CHAT_STORM_SECONDS sets the
duration.
"""

import asyncio
import os
import random
import signal
import time

from chatclient import Problem, new_id
from stack import SLOW

import requests

SECONDS = float(os.environ.get("CHAT_STORM_SECONDS", "25"))


async def heal(stack):
    await asyncio.to_thread(stack.heal)


async def fault(stack, rng, phones):
    """Causes one random fault, repairs what does not recover by itself, and
    returns the name of the fault."""
    what = rng.choice(["message", "message", "stop message", "sync", "api",
                       "edge", "reload", "redis", "flush", "postgres",
                       "stop postgres", "drop", "pool"])
    if what in ("message", "sync", "api"):
        stack.kill(what, count=1)
    elif what == "stop message":
        # long enough for other workers to take over its shards
        pids = stack.stop("message", count=1)
        await asyncio.sleep(5)
        stack.cont(pids)
    elif what == "edge":
        stack.kill("nginx worker", count=1)
    elif what == "reload":
        stack.reload_nginx()
    elif what == "redis":
        stack.kill("redis", signal.SIGKILL)
        await asyncio.sleep(rng.uniform(0, 2))
        await heal(stack)
    elif what == "flush":
        stack.redis().flushall()
    elif what == "postgres":
        stack.kill("postgres", signal.SIGKILL)
        await asyncio.sleep(rng.uniform(0, 2))
        await heal(stack)
    elif what == "stop postgres":
        pids = stack.stop("postgres")
        await asyncio.sleep(rng.uniform(0.5, 3))
        stack.cont(pids)
    elif what == "drop":
        for p in rng.sample(phones, 2):
            p.drop()
    elif what == "pool":
        stack.kill("pool", signal.SIGKILL)
        await heal(stack)
    return what


async def send_messages(p, task, chats, rng, until, acks):
    n = 0
    while time.monotonic() < until:
        chat = rng.choice(chats)
        text = f"{p.user}/{p.device}/{task}/{n}"
        n += 1
        ack = await p.send(chat, text, wait=180 * SLOW)
        acks[chat][text] = ack["seq"]
        await asyncio.sleep(rng.uniform(0, 0.02))


async def send_by_rest(p, chats, rng, until, acks):
    """Repeats each request with the same messageId until it succeeds."""
    n = 0
    while time.monotonic() < until:
        chat = rng.choice(chats)
        text = f"{p.user}/rest/{n}"
        body = {"messageId": new_id(), "content": text}
        n += 1
        while True:
            try:
                entry = await p.rest("POST", f"/chats/{chat}/messages", body)
                break
            except Problem as e:
                assert e.status in (429, 500, 503), e
            except requests.RequestException:
                pass
            await asyncio.sleep(0.3)
        acks[chat][text] = entry["seq"]


async def test_random_faults_lose_duplicate_and_reorder_nothing(stack, phone):
    seed = int(os.environ.get("CHAT_STORM_SEED") or time.time())
    print("seed", seed)
    rng = random.Random(seed)

    ann, bob, eve = phone("ann"), phone("bob"), phone("eve")
    tab = phone("ann-tablet", of=ann)
    sockets = [ann, tab, bob]
    for p in sockets:
        p.auto_reconnect = True
        await p.connect()
    chats = [await ann.direct(bob), await ann.group("g", bob, eve),
             await bob.group("h", ann, eve)]
    acks = {c: {} for c in chats}

    until = time.monotonic() + SECONDS
    # a second generator: the order of the faults must not depend on when
    # the senders draw a number
    pick = random.Random(seed + 1)
    jobs = [asyncio.ensure_future(
                send_messages(p, task, chats, pick, until, acks))
            for p in sockets for task in range(4)]
    jobs.append(asyncio.ensure_future(
        send_by_rest(eve, chats[1:], pick, until, acks)))

    done = []
    while time.monotonic() < until - 3:
        await asyncio.sleep(rng.uniform(0.2, 2))
        done.append(await fault(stack, rng, sockets))
        print("fault", done[-1])
    await heal(stack)
    await asyncio.gather(*jobs)
    print("faults", done, "messages", sum(map(len, acks.values())))

    for p in sockets:
        await p.until(lambda: p.connected and p.synced, 60 * SLOW,
                      "reconnect")
    for chat in chats:
        stored = [(e["seq"], e["content"]) for e in await ann.history(chat)]
        assert [seq for seq, _ in stored] == list(range(1, len(stored) + 1))
        seqs = {text: seq for seq, text in stored}
        assert len(seqs) == len(stored), "a message is stored twice"
        assert seqs == acks[chat]
        for p in sockets:
            await p.has(chat, len(stored), 60 * SLOW)
            assert p.contents(chat) == stored
