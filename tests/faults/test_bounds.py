"""A client that never reads uses only its send buffer, is closed with 4008,
and does not slow down other clients."""

import asyncio
import base64
import os
import resource
import socket
import time

import load
from load import Swarm
from stack import SANITIZED, SLOW
from suite import percentile, rss_bytes, say, size

BUFFER = 1 << 20                # chat_send_buffer
TEXT = "x" * 32000              # a message close to the size limit
ENOUGH = 2 * BUFFER // len(TEXT)


def connect_nonreaders(stack, signer, people):
    """Returns sockets of clients that read until sync_complete and then stop.
    Their segments are small, so that the kernel buffers little of the
    data."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    found = []
    for n in range(0, len(people), 100):
        batch = []
        for k, (user, (device,)) in enumerate(people[n:n + 100]):
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1000)
            # one address does not have enough ports
            s.bind((f"127.0.0.{2 + n // 5000}", 0))
            s.connect(("127.0.0.1", stack.port))
            key = base64.b64encode(os.urandom(16)).decode()
            s.sendall((
                "GET /ws HTTP/1.1\r\nHost: chat\r\nUpgrade: websocket\r\n"
                "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                f"Sec-WebSocket-Key: {key}\r\n"
                "Sec-WebSocket-Protocol: chat.v1\r\nAuthorization: Bearer "
                f"{signer.token(user, device)}\r\n\r\n").encode())
            batch.append(s)
        for s in batch:
            s.settimeout(20 * SLOW)
            text = b""
            while b"sync_complete" not in text:
                more = s.recv(4096)
                assert more, text
                text += more
        found += batch
    return found


def memory(stack):
    return sum(rss_bytes(p) for p in stack.nginx_workers())


def sessions(stack):
    """Counts the users with a route. A closed session has no route; a clean
    disconnect leaves only a marker."""
    r = stack.redis()
    pipe = r.pipeline(transaction=False)
    for key in r.scan_iter("route:*", count=5000):
        pipe.hkeys(key)
    return sum(any(not field.startswith(b"-") for field in fields)
               for fields in pipe.execute())


class Live:
    """Pairs that write to each other, and the latency of their sends."""

    def __init__(self, swarm):
        self.swarm = swarm
        self.n = 0

    async def start(self):
        await asyncio.to_thread(self.swarm.groups, 10, 2)
        self.clients = self.swarm.clients[-10:]
        for c in self.clients:
            c.start()
        await self.swarm.until(lambda: all(c.up for c in self.clients),
                               20 * SLOW, "clients")

    async def talk(self, until):
        at = len(self.swarm.latency)
        while not until():
            c = self.clients[self.n % 10]
            c.send(c.chats[0])
            self.n += 1
            await asyncio.sleep(0.02)
        await self.swarm.until(
            lambda: not any(c.pending for c in self.clients), 20 * SLOW,
            "answers")
        return [s for _, s in self.swarm.latency[at:]]


async def test_client_that_never_reads_uses_its_buffer_and_gets_4008(stack):
    """Each client has its own chat, so sessions share no frame."""
    n = size(50, 10)
    swarm = Swarm(stack, reconnects=False)
    ticks = asyncio.ensure_future(swarm._ticks())
    people = await asyncio.to_thread(load.make_users, stack, n)
    (writer, (device,)), = await asyncio.to_thread(load.make_users, stack, 1)
    chats = await asyncio.to_thread(
        load.make_chats, stack, [[writer, user] for user, _ in people])
    sender = swarm.add(writer, device, chats)
    # one of them later reads again, to receive the close frame
    (user, (theirs,)) = people[0]
    observed = swarm.add(user, theirs, chats[:1])
    nonreaders = []
    try:
        for c in (sender, observed):
            c.start()
        await swarm.until(lambda: sender.up and observed.up, 20 * SLOW,
                          "clients")
        nonreaders = await asyncio.to_thread(
            connect_nonreaders, stack, swarm.signer, people[1:])
        conn, r = observed.conn, stack.redis()
        conn.transport.pause_reading()
        # it sends no pings, whose missing answers would make it give up
        conn.heard = conn.pinged = float("inf")
        await asyncio.sleep(1)
        before = peak = memory(stack)
        for i in range(ENOUGH):
            for chat in chats[1:]:
                sender.send(chat, TEXT)
            await swarm.until(lambda: not sender.pending, 30 * SLOW,
                              "answers")
            peak = max(peak, memory(stack))
        # The kernel buffers some megabytes for the observed client, whose
        # segments are large. It is filled last and alone: after the close
        # frame the server waits 2 s for the client to read. A closed session
        # has no route.
        for i in range(1000):
            sender.send(chats[0], TEXT)
            await swarm.until(lambda: not sender.pending, 30 * SLOW, "answer")
            if not r.exists(f"route:{{{user}}}"):
                break
        conn.transport.resume_reading()
        await swarm.until(lambda: conn.closed, 10 * SLOW, "close")
        assert conn.code == 4008
        await swarm.until(lambda: sessions(stack) <= len(swarm.clients) + 20,
                          10, "end of all sessions that do not read")
        rise = peak - before
        say(f"{n} that never read, {ENOUGH * len(TEXT) >> 10} KiB each, "
            f"nothing shared: the edges rise by {rise / n / 1024:.0f} KiB "
            "for each")
        # a sanitizer keeps freed memory
        assert SANITIZED or rise <= n * BUFFER * 1.2 + (16 << 20)
    finally:
        ticks.cancel()
        for s in nonreaders:
            s.close()
        await swarm.stop()


async def fill_kernel_buffers(swarm, writer, chat):
    """Sends until the kernel buffers of the clients that do not read are
    full. Returns seconds."""
    began = time.monotonic()
    for _ in range(5):
        writer.send(chat, TEXT)
        await swarm.until(lambda: not writer.pending, 60 * SLOW, "answer")
    return time.monotonic() - began


async def flood(stack, swarm, writer, chat, peak):
    """Sends messages that nobody reads; peak[0] is the peak memory of the
    edges."""
    for _ in range(ENOUGH):
        writer.send(chat, TEXT)
        await swarm.until(lambda: not writer.pending, 30 * SLOW, "answer")
        peak[0] = max(peak[0], memory(stack))
        await asyncio.sleep(size(0.2, 0.05))


def figures(times):
    return " / ".join(f"{1000 * ms:.0f}" for ms in (
        percentile(times, .5), percentile(times, .95), max(times)))


async def test_thousands_that_never_read_do_not_slow_down_the_others(stack):
    n = size(9999, 300)
    swarm = Swarm(stack, reconnects=False)
    ticks = asyncio.ensure_future(swarm._ticks())
    live = Live(swarm)
    nonreaders = []
    try:
        people = await asyncio.to_thread(load.make_users, stack, n + 1)
        chat, = await asyncio.to_thread(load.make_chats, stack,
                                        [[user for user, _ in people]])
        writer = swarm.add(people[0][0], people[0][1][0], [chat])
        writer.start()
        await live.start()
        began = time.monotonic()
        nonreaders = await asyncio.to_thread(
            connect_nonreaders, stack, swarm.signer, people[1:])
        say(f"{n} connected in {time.monotonic() - began:.1f} s")
        await asyncio.sleep(2)
        end = time.monotonic() + 2
        before = memory(stack)
        alone = await live.talk(lambda: time.monotonic() > end)

        peak = [before]
        filling = await fill_kernel_buffers(swarm, writer, chat)
        await asyncio.sleep(1)
        job = asyncio.ensure_future(flood(stack, swarm, writer, chat, peak))
        beside = await live.talk(job.done)
        await job
        left = await asyncio.to_thread(sessions, stack)
        rise = peak[0] - before
        say(f"{n} that never read: the edges rise by {rise >> 20} MiB, "
            f"{rise / n / 1024:.1f} KiB for each (five messages to fill "
            f"their kernel buffers took {filling:.1f} s); others, p50 / p95 / "
            f"worst: alone {figures(alone)}, beside {figures(beside)} ms")
        assert SANITIZED or rise <= n * BUFFER
        # nearly all of them have been closed
        assert left < n / 10 + 50
        assert percentile(beside, .5) < percentile(alone, .5) + 0.05 * SLOW
        assert percentile(beside, .95) < percentile(alone, .95) + 0.3 * SLOW
    finally:
        ticks.cancel()
        for s in nonreaders:
            s.close()
        await swarm.stop()
