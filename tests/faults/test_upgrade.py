"""Rolling upgrades under load: nothing is lost or doubled, clients get a time
to reconnect, and old processes exit in time and use little CPU."""

import asyncio
import os
import signal
import time

import pytest

import checker
from load import Swarm
from stack import SLOW, Stack, alive, cmdline, wait_for
from suite import FULL, cpu_seconds, per_second, say, size

DRAIN = size(30, 6)             # s: chat_drain, the default or less
SPREAD = DRAIN - min(DRAIN / 3, 10) - min(DRAIN / 6, 3)
CLIENTS = size(500, 100)
RATE = size(500, 100)


@pytest.fixture(scope="module")
def stack():
    """A stack of its own, because of chat_drain."""
    # nginx passes only the variables that its configuration names to a new
    # binary; sanitizers need these
    nginx = {"main": "env LD_PRELOAD;\nenv ASAN_OPTIONS;\n"
                     "env UBSAN_OPTIONS;\n"}
    if not FULL:
        nginx["http"] = f"chat_drain {DRAIN}s;\n"
    s = Stack(nginx=nginx)
    try:
        s.up()
        yield s
    finally:
        found = s.remove()
    assert not found, found


class Generations:
    """When each nginx worker was asked to exit, and when it exited."""

    def __init__(self, stack):
        self.stack = stack
        self.asked = {}         # pid -> time
        self.exited = {}        # pid -> time
        self.cpu = {}           # pid -> CPU seconds: when asked, last

    def mark_old(self, pids):
        for pid in pids:
            if pid not in self.asked:
                self.asked[pid] = time.monotonic()
                self.cpu[pid] = [cpu_seconds(pid)] * 2

    async def watch(self):
        while True:
            for pid in self.asked:
                if pid in self.exited:
                    continue
                if alive(pid):
                    self.cpu[pid][1] = cpu_seconds(pid)
                else:
                    self.exited[pid] = time.monotonic()
            await asyncio.sleep(0.1)

    async def all_exited(self, timeout):
        end = time.monotonic() + timeout
        while len(self.exited) < len(self.asked):
            assert time.monotonic() < end, \
                f"still running: {set(self.asked) - set(self.exited)}"
            await asyncio.sleep(0.1)
        return max(self.exited[p] - self.asked[p] for p in self.asked)


async def under_load(stack, act, clients=CLIENTS, rate=RATE):
    """Runs act(swarm, generations) while clients write, and checks the
    record."""
    swarm = Swarm(stack)
    await asyncio.to_thread(swarm.groups, clients, 5)
    await swarm.start(30 * SLOW)
    generations = Generations(stack)
    watch = asyncio.ensure_future(generations.watch())
    try:
        swarm.rate = rate // SLOW
        await asyncio.sleep(1)
        began = time.monotonic()
        await act(swarm, generations)
        ended = time.monotonic()
        await swarm.settle(30 * SLOW)
    finally:
        watch.cancel()
        await swarm.stop()
    verdict = checker.check(swarm.record)
    assert verdict.clean, str(verdict)
    assert verdict.sent == verdict.acked
    assert swarm.failed_opens == 0
    return swarm, verdict, began, ended


def reconnects(swarm, began, ended):
    seconds = per_second(swarm.opens, began, ended)
    say(f"reconnects a second, of {len(swarm.clients)} clients: "
        + " ".join(map(str, seconds)))
    return seconds


async def test_reloads_under_load_lose_and_double_nothing(stack):
    n, every = size(10, 2), size(6, 3)

    async def act(swarm, generations):
        for _ in range(n):
            old = stack.nginx_workers()
            stack.reload_nginx()
            generations.mark_old(old)
            await asyncio.sleep(every)
        took = await generations.all_exited(DRAIN + 10)
        say(f"the slowest old worker ended {took:.1f} s after its reload, "
            f"chat_drain is {DRAIN} s")
        assert took <= DRAIN + 2 * SLOW

    swarm, verdict, began, ended = await under_load(stack, act)
    say(f"{n} reloads, {n * every} s: {verdict}")
    seconds = reconnects(swarm, began, ended)
    assert sum(seconds) >= CLIENTS
    # each reload spreads its clients; several may overlap
    assert max(seconds) <= CLIENTS * 3 / SPREAD + 10
    assert swarm.closes[1012] > 0
    assert set(swarm.closes) <= {1000, 1006, 1012}


async def test_clients_get_different_times_to_reconnect(stack):
    """And the old worker closes the connections with 1012."""
    swarm = Swarm(stack)
    await asyncio.to_thread(swarm.groups, 40, 5)
    await swarm.start(30 * SLOW)
    try:
        old = stack.nginx_workers()
        generations = Generations(stack)
        watch = asyncio.ensure_future(generations.watch())
        stack.reload_nginx()
        generations.mark_old(old)
        began = time.monotonic()
        await generations.all_exited(DRAIN + 10)
        watch.cancel()
        assert len(swarm.reconnect_frames) == 40
        opened = sorted(t - began for t in swarm.opens if t > began)
        assert len(opened) == 40
        assert opened[-1] - opened[0] > SPREAD / 2
        assert swarm.closes == {1012: 40}
        used = max(b - a for a, b in generations.cpu.values())
        say(f"CPU of an old worker with idle clients, over "
            f"{DRAIN} s: {used:.2f} s")
        assert used < 0.5 * SLOW
    finally:
        await swarm.stop()


async def test_binary_upgrade_under_load_loses_and_doubles_nothing(stack):
    async def act(swarm, generations):
        pid_file = stack.home / "nginx.pid"
        before = stack.pid("nginx")
        old = stack.nginx_workers()
        os.kill(before, signal.SIGUSR2)

        def two_masters():
            try:
                return stack.pid("nginx") != before and \
                    stack.nginx_workers()
            except (OSError, ValueError, IndexError):
                return False

        await asyncio.to_thread(wait_for, two_masters, 10 * SLOW,
                                "new master")
        assert pid_file.with_name("nginx.pid.oldbin").exists()
        await asyncio.sleep(1)
        os.kill(before, signal.SIGWINCH)
        generations.mark_old(old)
        await generations.all_exited(DRAIN + 10)
        assert alive(before) and cmdline(before)[0].startswith("nginx: mas")
        os.kill(before, signal.SIGQUIT)
        await asyncio.to_thread(wait_for, lambda: not alive(before),
                                5 * SLOW, "end of the old master")
        await asyncio.sleep(0.5)

    swarm, verdict, began, ended = await under_load(stack, act)
    say(f"USR2, WINCH, QUIT: {verdict}")
    seconds = reconnects(swarm, began, ended)
    assert sum(seconds) >= CLIENTS
    assert max(seconds) <= CLIENTS * 3 / SPREAD + 10
    stack.wait_ready()


async def test_pool_upgrade_hands_shards_over_in_time(stack):
    handed = []

    def owners(pids):
        rows = stack.sql("SELECT worker FROM shard_owners")
        return len(rows) == 64 and all(
            int(r[0].split(".")[-2]) in pids for r in rows)

    async def act(swarm, generations):
        old = stack.workers("message")
        began = time.monotonic()
        os.kill(stack.pid("pool"), signal.SIGHUP)

        def new_workers_own_all():
            now = [p for p in stack.workers("message") if p not in old]
            return len(now) == len(old) and owners(now) \
                and not any(alive(p) for p in old)

        await asyncio.to_thread(wait_for, new_workers_own_all, 15 * SLOW,
                                "hand-over")
        handed.append(time.monotonic() - began)
        await asyncio.sleep(1)
        worst = max(s for t, s in swarm.latency if t >= began)
        say(f"SIGHUP: old workers gone, shards with new ones after "
            f"{handed[0]:.1f} s, longest wait for an acknowledgement "
            f"{worst:.2f} s")
        assert worst < 3 * SLOW

    swarm, verdict, *_ = await under_load(stack, act)
    say(f"SIGHUP: {verdict}")
    assert len(swarm.opens) == CLIENTS      # no client had to reconnect
