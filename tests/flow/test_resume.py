"""Devices that come and go while messages come: whoever left with everything
comes back without a question to the database, and still sees every entry once,
in order. A missed one shows in `violations`: an entry that begins above the
device's mark, or a hole."""

import asyncio
import random
import re

import requests

from stack import SLOW


def resumed(stack):
    """Over all edges; each answers for itself."""
    seen = {}
    for _ in range(20):
        text = requests.get(stack.url + "/metrics", timeout=10).text
        for pid, n in re.findall(
                r'^chat_edge_resumed_total\{worker="(\d+)"\} (\d+)', text,
                re.M):
            seen[pid] = int(n)
    return sum(seen.values())


async def comes_and_goes(p, over, rng):
    while not over.is_set():
        await p.connect(timeout=60 * SLOW)
        await asyncio.sleep(rng.choice((0, 0.002, 0.03)))
        await p.close()
        await asyncio.sleep(rng.choice((0, 0.002, 0.01, 0.1)))


async def test_devices_come_and_go_while_messages_come(stack, phone):
    rng = random.Random(7)
    ann = phone("ann")
    others = [phone(f"bob{i}") for i in range(8)]
    others += [phone("tab0", of=others[0]), phone("tab1", of=others[1])]
    await ann.connect()
    groups = [await ann.group(f"g{i}", *others) for i in range(3)]
    before = await asyncio.to_thread(resumed, stack)
    for p in others:                # who never was there has a list to see
        await p.connect()
        await p.close()

    over = asyncio.Event()
    loops = [asyncio.ensure_future(comes_and_goes(p, over, rng))
             for p in others]
    sent = {g: 0 for g in groups}
    try:
        for i in range(600):
            burst = rng.choice((1, 1, 2, 5))
            for g in rng.choices(groups, k=burst):
                sent[g] += 1
                await ann.send(g, f"{i}", wait=60 * SLOW)
            await asyncio.sleep(rng.choice((0, 0, 0.01, 0.04)))
    finally:
        over.set()
        done = await asyncio.gather(*loops, return_exceptions=True)
    assert not [e for e in done if e], done

    for p in others:
        await p.connect()
    for p in others:
        for g in groups:
            await p.until(lambda: len(p.log.get(g, ())) == sent[g],
                          30 * SLOW, f"all of {g}")
            assert sorted(p.log[g]) == list(range(1, sent[g] + 1))
        assert p.violations == []
    assert await asyncio.to_thread(resumed, stack) > before + 20
    assert sum(p.connections for p in others) > 200
