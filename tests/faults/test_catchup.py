"""Catch-up is fast and cheap, and does not delay other clients."""

import asyncio
import re
import time

import psycopg2
import psycopg2.extras

import load
from load import Swarm
from stack import SLOW
from suite import percentile, say, size

CHATS, EACH = 50, 200           # a backlog of 10,000 entries


def fill(stack, chats, each, sender, device):
    """Inserts `each` entries into every chat, as a worker would store them."""
    db = psycopg2.connect(stack.dsn())
    with db, db.cursor() as cur:
        for n, chat in enumerate(chats):
            cur.execute(
                "INSERT INTO entries (chat_id, seq, kind, sender_id,"
                " sender_device, created_at, digest, message_id, content)"
                " SELECT %s, s, 1, %s, %s, now(), 0, 'b-' || s,"
                " 'backlog ' || s FROM generate_series(1, %s) s",
                (chat, sender, device, each))
            cur.execute(
                "UPDATE chats SET last_seq = %s, last_message_time = now()"
                " - %s * interval '1 s' WHERE id = %s", (each, n, chat))
    db.close()


def behind(stack, swarm, chats, each):
    """Returns a client that has missed everything and is not connected."""
    (user, (device,)), (other, (theirs,)) = load.make_users(stack, 2)
    ids = load.make_chats(stack, [[other, user]] * chats)
    fill(stack, ids, each, int(other), int(theirs))
    client = swarm.add(user, device, ids)
    for chat in ids:
        swarm.record.members[chat] = {user: (1, None), other: (1, None)}
    return client


class Arrival:
    """Records when the entries of each client arrive."""

    def __init__(self, swarm):
        self.swarm = swarm
        self.got_of = {}

    def acked(self, sent, now):
        pass

    def got(self, client, f, now):
        self.got_of.setdefault(client, []).append(now)

    sent = set()


def run_swarm(test):
    """Gives a test a swarm that is stopped at the end of the test."""
    async def wrapped(stack):
        swarm = Swarm(stack)
        swarm.watch = Arrival(swarm)
        ticks = asyncio.ensure_future(swarm._ticks())
        try:
            await test(stack, swarm)
        finally:
            ticks.cancel()
            await swarm.stop()
    wrapped.__name__ = test.__name__
    return wrapped


async def caught_up(swarm, client, n, timeout):
    """Returns (seconds to the first entry, to the last)."""
    began = time.monotonic()
    client.start()
    await swarm.until(lambda: client.up and len(
        swarm.watch.got_of.get(client, ())) >= n, timeout, f"{n} entries")
    got = swarm.watch.got_of[client]
    assert len(got) == n
    return got[0] - began, got[-1] - began


@run_swarm
async def test_backlog_of_10000_starts_at_once_and_ends_in_5_s(stack, swarm):
    client = await asyncio.to_thread(behind, stack, swarm, CHATS, EACH)
    await asyncio.sleep(0.5)
    first, last = await caught_up(swarm, client, CHATS * EACH, 30 * SLOW)
    say(f"{CHATS * EACH} entries over {CHATS} chats: first after "
        f"{first * 1000:.0f} ms, all after {last:.2f} s")
    assert first < 0.2 * SLOW
    assert last < 5 * SLOW
    # the chat with the newest activity first, and each chat in order
    order = []
    for e in swarm.record.events:
        if type(e).__name__ == "Got" and (not order or order[-1] != e.chat):
            order.append(e.chat)
    assert order[0] == client.chats[0]
    assert {c: client.seen[c] for c in client.chats} == dict.fromkeys(
        client.chats, EACH)


@run_swarm
async def test_5000_chats_without_new_entries_take_one_query(stack, swarm):
    (user, (device,)), (other, _) = await asyncio.to_thread(
        load.make_users, stack, 2)
    chats = await asyncio.to_thread(load.make_chats, stack,
                                    [[other, user]] * 5000)
    db = psycopg2.connect(stack.dsn())
    with db, db.cursor() as cur:
        cur.execute("UPDATE chats SET last_seq = 7 WHERE id = ANY(%s::uuid[])",
                    (chats,))
        psycopg2.extras.execute_values(
            cur, "INSERT INTO device_marks VALUES %s",
            [(int(device), chat, 7) for chat in chats], page_size=1000)
    db.close()

    root = psycopg2.connect(stack.dsn().replace("user=chat",
                                                "user=postgres"))
    root.autocommit = True
    try:
        root.cursor().execute("ALTER ROLE chat SET log_statement = 'all'")
        root.cursor().execute("ANALYZE chats, chat_members, device_marks")
        old = stack.kill("sync")
        await asyncio.to_thread(stack.await_role, "sync", 1, old)
        # a user without chats connects first, which does the one-time work
        (early, (theirs,)), = await asyncio.to_thread(load.make_users, stack,
                                                      1)
        first = swarm.add(early, theirs, [])
        first.start()
        await swarm.until(lambda: first.up, 20 * SLOW, "connection")

        log_size = len(stack.log("postgres.log"))
        client = swarm.add(user, device, [])
        began = time.monotonic()
        client.start()
        await swarm.until(lambda: client.up, 20 * SLOW, "connection")
        took = time.monotonic() - began
        await asyncio.sleep(0.3)
        lines = [line for line in stack.log("postgres.log")[log_size:]
                 .splitlines() if "chat-worker sync" in line
                 and re.search(r"LOG: +(execute|statement)", line)]
    finally:
        root.cursor().execute("ALTER ROLE chat RESET log_statement")
        root.close()
        stack.kill("sync")
    await asyncio.to_thread(stack.await_role, "sync")
    about_chats = [line for line in lines if "chat" in
                   line.split("LOG:", 1)[1].replace("chat-worker", "")]
    say(f"5,000 chats, nothing new: synced after {took * 1000:.0f} ms with "
        f"{len(about_chats)} query about chats, and "
        f"{len(lines) - len(about_chats)} about the device")
    assert len(about_chats) == 1, lines
    assert len(lines) <= 2, lines
    assert client not in swarm.watch.got_of


@run_swarm
async def test_catch_up_does_not_delay_live_messages_of_others(stack, swarm):
    """Compares live messages during catch-up with live messages alone."""
    await asyncio.to_thread(swarm.groups, 20, 2)
    slow = [await asyncio.to_thread(behind, stack, swarm, CHATS, EACH)
            for _ in range(size(3, 1))]
    live = swarm.clients[:20]
    for c in live:
        c.start()
    await swarm.until(lambda: all(c.up for c in live), 20 * SLOW, "clients")

    async def talk(until):
        """Returns the latencies of the live clients' sends."""
        at = len(swarm.latency)
        n = 0
        while not until():
            c = live[n % len(live)]
            c.send(c.chats[0])
            n += 1
            await asyncio.sleep(0.02)
        await swarm.until(lambda: not any(c.pending for c in live),
                          20 * SLOW, "answers")
        return [s for _, s in swarm.latency[at:]]

    end = time.monotonic() + 2
    alone = await talk(lambda: time.monotonic() > end)
    jobs = [asyncio.ensure_future(caught_up(swarm, c, CHATS * EACH, 60))
            for c in slow]
    beside = await talk(lambda: all(j.done() for j in jobs))
    took = [(await j)[1] for j in jobs]

    say(f"live, p50 / p95 / worst: alone {1000 * percentile(alone, .5):.0f} / "
        f"{1000 * percentile(alone, .95):.0f} / {1000 * max(alone):.0f} ms; "
        f"beside {len(slow)} catching up 10,000 each in {max(took):.1f} s "
        f"{1000 * percentile(beside, .5):.0f} / "
        f"{1000 * percentile(beside, .95):.0f} / {1000 * max(beside):.0f} ms")
    assert percentile(beside, .95) < 0.1 * SLOW + percentile(alone, .95)
    assert max(beside) < 0.5 * SLOW + max(alone)
