#!/usr/bin/python3
"""run.py: `make faults`: injects one fault at a time and prints a table.

    run.py [WORD ...]      the faults and suites whose name contains a word

For each fault, new clients write to each other, the fault is injected and
removed, the clients settle, and the checker counts the violated guarantees
in their record. Exits with 1 when a count is not zero or a recovery took
longer than 5 s; the record is then stored in the build directory.
"""

import asyncio
import os
import pathlib
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import checker                      # noqa: E402
import faults                       # noqa: E402
from load import Recovery, Swarm, make_users    # noqa: E402
from restload import RestClient     # noqa: E402
from stack import BUILD, SLOW, Stack            # noqa: E402

RECOVER = 5             # s, guaranteed
GIVE_UP = 40            # s
CHAIN = f"CHAT-FAULTS-{os.getpid()}"    # an iptables chain

HEAD = ("fault", "sent", "acked", "received", "lost", "doubled",
        "disordered", "phantom", "stranger", "recovered")


class FaultStack(Stack):
    """A stack with the small disk or the clock that some faults need."""

    def __init__(self, needs=None, **env):
        super().__init__(**env)
        self.mounted = self.clock = None
        if needs == "disk":
            self.mounted = faults.Mounted(self.home / "pg", "300m")
        elif needs == "clock":
            self.clock = faults.Clock(self.home)
            self.env.update(self.clock.env)
            # nginx passes only the variables that its configuration names
            (self.home / "nginx.d" / "clock.main").write_text(
                "".join(f"env {name};\n" for name in self.clock.env))

    def remove(self):
        found = super().remove()
        if self.mounted:
            self.mounted.remove()
        return found


class Run:
    """One fault and its swarm."""

    def __init__(self, stack, fault, users, rate, group=5):
        self.stack = stack
        self.fault = fault
        self.users = users
        self.rate = rate
        self.group = group
        self.problems = []
        self.unreachable = False           # iptables drops packets

    def ask(self, what, *args):
        """Calls `what` in the swarm's event loop, from the fault's thread."""
        done = asyncio.run_coroutine_threadsafe(self._call(what, args),
                                                self.loop)
        return done.result(10)

    @staticmethod
    async def _call(what, args):
        return what(*args)

    # called by faults

    def cut(self, part):
        """Cuts the socket of every part-th client."""
        for c in self.swarm.clients[::part]:
            if c.conn and not c.conn.closed:
                c.conn.cut()

    def half_open(self, part):
        """Drops all packets of every part-th client's socket; the client
        reconnects from another port."""
        rules = []
        for c in self.swarm.clients[::part]:
            if c.conn is None or c.conn.closed:
                continue
            port = c.conn.transport.get_extra_info("sockname")[1]
            rules += [f"-A {CHAIN} -p tcp --{side} {port} -j DROP"
                      for side in ("sport", "dport")]
            old, c.conn = c.conn, None
            old.silent = True
            c.old.append(old)
            c.reconnect()
        self.unreachable = True
        subprocess.run(["iptables-restore", "-w", "-n"], check=True,
                       text=True, input="\n".join(
                           ["*filter", f":{CHAIN} - [0:0]", *rules,
                            f"-I INPUT -i lo -j {CHAIN}", "COMMIT", ""]))

    def remove_drop_rules(self):
        self.unreachable = False
        for what in (["-D", "INPUT", "-i", "lo", "-j", CHAIN],
                     ["-F", CHAIN], ["-X", CHAIN]):
            subprocess.run(["iptables", "-w", *what], check=False)

    # the run

    async def go(self):
        self.loop = asyncio.get_running_loop()
        self.swarm = swarm = Swarm(self.stack)
        chats = await asyncio.to_thread(swarm.groups, self.users, self.group)
        rest = await asyncio.to_thread(self._rest, chats)
        await swarm.start(30 * SLOW)
        swarm.rate = self.rate
        rest.start()
        try:
            await asyncio.sleep(1.5)
            steps = self.fault.act(self)
            duration = await asyncio.to_thread(next, steps)
            broken = time.monotonic()
            errors = swarm.errors["unavailable"]
            await asyncio.sleep(duration)
            watch = Recovery(swarm)
            if self.fault.no_acks:
                self._check_no_acks(broken, errors)
            await asyncio.to_thread(next, steps, None)
            took = await self._recover(watch, rest)
            await asyncio.sleep(1)
            swarm.watch = None
            await rest.settle()
            await swarm.settle(30 * SLOW)
        finally:
            if self.unreachable:
                self.remove_drop_rules()
            await swarm.stop()
        verdict = checker.check(swarm.record)
        return verdict, took

    def _rest(self, chats):
        """Creates a user who writes to three of the chats by REST."""
        user, (device,) = make_users(self.stack, 1)[0]
        mine = chats[:3]
        for chat in mine:
            self.swarm.record.members[chat][user] = (1, None)
            self.stack.sql(
                "INSERT INTO chat_members (chat_id, user_id, role,"
                " joined_seq) VALUES (%s::uuid, %s, 3, 1)", chat, int(user))
        return RestClient(self.swarm, user, device, mine)

    async def _recover(self, watch, rest):
        end = time.monotonic() + GIVE_UP * SLOW
        while not (watch.done() and rest.recovered(watch.healed) is not None
                   and any(t >= watch.healed for t in rest.sent_ok)):
            if time.monotonic() > end:
                chats = len(self.swarm.by_chat) - len(watch.chats)
                devices = [c for c in self.swarm.clients
                           if c.device not in watch.devices or not c.up]
                self.problems.append(
                    f"not recovered after {GIVE_UP} s: {chats} chats, "
                    f"{len(devices)} devices")
                return float(GIVE_UP)
            await asyncio.sleep(0.02)
        return max(watch.seconds(), rest.recovered(watch.healed))

    def _check_no_acks(self, broken, errors):
        """While nothing can be stored, nothing is acknowledged."""
        # answers already on their way at the fault do not count
        late = [e for e in self.swarm.record.events
                if isinstance(e, checker.Ack) and e.t > broken + 0.5]
        if late:
            self.problems.append(f"{len(late)} acknowledged during the fault")
        if self.fault.unavailable \
                and self.swarm.errors["unavailable"] == errors:
            self.problems.append(
                "no send was answered with `unavailable`")


# -------------------------------------------------------------------- table

def row(name, verdict, took):
    return (name, verdict.sent, verdict.acked, verdict.received,
            verdict.lost, verdict.doubled, verdict.disordered,
            verdict.phantom, verdict.stranger, f"{took:.1f} s")


def line(cells):
    return f"{cells[0]:<38}" + "".join(f"{c!s:>11}" for c in cells[1:])


def store(name, record):
    where = BUILD / "faults"
    where.mkdir(exist_ok=True)
    path = where / (name.replace(" ", "-").replace("/", "-") + ".json")
    record.dump(path)
    return path


def one(stack, fault, users, rate):
    """Runs a fault and prints its line; returns the problems as text."""
    run = Run(stack, fault, users, rate)
    verdict, took = asyncio.run(run.go())
    print(line(row(fault.name, verdict, took)), flush=True)
    problems = list(run.problems)
    if not verdict.clean:
        problems += [str(verdict),
                     f"record: {store(fault.name, run.swarm.record)}"]
    if took > RECOVER * SLOW:
        problems.append(f"recovery took {took:.1f} s")
    for p in problems:
        print("    " + p, flush=True)
    return problems


def missing(fault):
    """Returns the reason why a fault cannot run here, or None."""
    if fault.needs and os.geteuid() != 0:
        return "needs root"
    return None


def table(chosen, users=300, rate=300):
    """Runs all of these faults; returns how many failed."""
    print(line(HEAD), flush=True)
    failed = 0
    by_stack = {}
    for f in chosen:
        by_stack.setdefault(f.needs if f.needs != "root" else None,
                            []).append(f)
    for needs, group in by_stack.items():
        group = [f for f in group if not skipped(f)]
        if not group:
            continue
        stack = FaultStack(needs)
        try:
            stack.up()
            for f in group:
                failed += bool(one(stack, f, users, rate))
                stack.heal()
        finally:
            stack.remove()
    return failed


def skipped(fault):
    reason = missing(fault)
    if reason:
        print(f"{fault.name:<38} not run here: {reason}", flush=True)
    return reason


SUITES = ("upgrade", "ordering", "catchup", "devices", "bounds", "poison")


def suites(words):
    """Runs the other tests at full size, with their measurements."""
    chosen = [s for s in SUITES if not words or any(w in s for w in words)]
    if not chosen:
        return 0
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-v", "-s", "-c",
         str(HERE.parent / "pytest.ini"), "--no-header", "--tb=short",
         *(str(HERE / f"test_{s}.py") for s in chosen)],
        env=dict(os.environ, CHAT_FAULTS="full")).returncode


def main(words):
    began = time.monotonic()
    chosen = [f for f in faults.FAULTS
              if not words or any(w in f.name for w in words)]
    failed = table(chosen) if chosen else 0
    failed += bool(suites(words))
    print(f"\n{time.monotonic() - began:.0f} s, "
          + (f"{failed} failed" if failed else "all zeros"), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
