"""Devices connect and disconnect while messages arrive. A device that left
with all its entries resumes without a database query, and still receives every
entry once and in order. A lost entry shows in `violations`: a chat that begins
above the device's receipt cursor, or a gap."""

import asyncio
import random
import re

import requests

from stack import SLOW


def resumed(stack):
    """The number of resumed sessions, summed over all edges. Each request is
    answered by one edge, so several requests are needed."""
    counts = {}
    for _ in range(20):
        text = requests.get(stack.url + "/metrics", timeout=10).text
        for pid, n in re.findall(
                r'^chat_edge_resumed_total\{worker="(\d+)"\} (\d+)', text,
                re.M):
            counts[pid] = int(n)
    return sum(counts.values())


async def connect_and_close(p, stop, rng):
    while not stop.is_set():
        await p.connect(timeout=60 * SLOW)
        await asyncio.sleep(rng.choice((0, 0.002, 0.03)))
        await p.close()
        await asyncio.sleep(rng.choice((0, 0.002, 0.01, 0.1)))


async def test_reconnecting_devices_lose_no_entry(stack, phone):
    rng = random.Random(7)
    ann = phone("ann")
    others = [phone(f"bob{i}") for i in range(8)]
    others += [phone("tab0", of=others[0]), phone("tab1", of=others[1])]
    await ann.connect()
    groups = [await ann.group(f"g{i}", *others) for i in range(3)]
    before = await asyncio.to_thread(resumed, stack)
    for p in others:    # a device's first connection requests the list
        await p.connect()
        await p.close()

    stop = asyncio.Event()
    loops = [asyncio.ensure_future(connect_and_close(p, stop, rng))
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
        stop.set()
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
