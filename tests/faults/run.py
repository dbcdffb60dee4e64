#!/usr/bin/python3
"""run.py: `make faults`: breaks one thing at a time under load, and a table.

    run.py [WORD ...]      the faults and suites whose name has a word

For each fault: a new set of clients writes to each other, something breaks,
is healed, the clients settle, and the checker counts what of their record
breaks a promise. Ends with 1 when a count is not zero or a recovery took
longer than 5 s; the record is then kept beside the build.
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

RECOVER = 5             # s, the promise
GIVE_UP = 40            # s
CHAIN = f"CHAT-FAULTS-{os.getpid()}"    # of iptables

HEAD = ("fault", "sent", "acked", "received", "lost", "doubled",
        "disordered", "phantom", "stranger", "recovered")


class FaultStack(Stack):
    """A stack with what some faults need below it."""

    def __init__(self, needs=None, **env):
        super().__init__(**env)
        self.mounted = self.clock = None
        if needs == "disk":
            self.mounted = faults.Mounted(self.home / "pg", "300m")
        elif needs == "clock":
            self.clock = faults.Clock(self.home)
            self.env.update(self.clock.env)
            # nginx gives its processes no variable that it is not told of
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
        self.unreachable = False           # some clients are cut off by iptables

    def ask(self, what, *args):
        """Runs something in the swarm's loop, from the fault's thread."""
        done = asyncio.run_coroutine_threadsafe(self._call(what, args),
                                                self.loop)
        return done.result(10)

    @staticmethod
    async def _call(what, args):
        return what(*args)

    # what faults do to clients

    def cut(self, part):
        """Every part-th client loses its socket."""
        for c in self.swarm.clients[::part]:
            if c.conn and not c.conn.over:
                c.conn.cut()

    def half_open(self, part):
        """Nothing that every part-th client has sent or is sent arrives any
        more; it knows, gives up, and comes back from another port."""
        rules = []
        for c in self.swarm.clients[::part]:
            if c.conn is None or c.conn.over:
                continue
            port = c.conn.transport.get_extra_info("sockname")[1]
            rules += [f"-A {CHAIN} -p tcp --{side} {port} -j DROP"
                      for side in ("sport", "dport")]
            old, c.conn = c.conn, None
            old.silent = True
            c.old.append(old)
            c.again()
        self.unreachable = True
        subprocess.run(["iptables-restore", "-w", "-n"], check=True,
                       text=True, input="\n".join(
                           ["*filter", f":{CHAIN} - [0:0]", *rules,
                            f"-I INPUT -i lo -j {CHAIN}", "COMMIT", ""]))

    def hear_again(self):
        self.unreachable = False
        for what in (["-D", "INPUT", "-i", "lo", "-j", CHAIN],
                     ["-F", CHAIN], ["-X", CHAIN]):
            subprocess.run(["iptables", "-w", *what], check=False)

    # the whole

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
            held = await asyncio.to_thread(next, steps)
            broken = time.monotonic()
            errors = swarm.errors["unavailable"]
            await asyncio.sleep(held)
            watch = Recovery(swarm)
            if self.fault.quiet:
                self._quiet(broken, errors)
            await asyncio.to_thread(next, steps, None)
            took = await self._recover(watch, rest)
            await asyncio.sleep(1)
            swarm.watch = None
            await rest.settle()
            await swarm.settle(30 * SLOW)
        finally:
            if self.unreachable:
                self.hear_again()
            await swarm.stop()
        verdict = checker.check(swarm.record)
        return verdict, took

    def _rest(self, chats):
        """A user who writes by REST into three of the chats."""
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
                    f"not whole after {GIVE_UP} s: {chats} chats, "
                    f"{len(devices)} devices")
                return float(GIVE_UP)
            await asyncio.sleep(0.02)
        return max(watch.seconds(), rest.recovered(watch.healed))

    def _quiet(self, broken, errors):
        """Nothing is acknowledged while there is nowhere to store it."""
        # an answer that was on its way when it broke
        late = [e for e in self.swarm.record.events
                if isinstance(e, checker.Ack) and e.t > broken + 0.5]
        if late:
            self.problems.append(f"{len(late)} acknowledged meanwhile")
        if self.fault.told and self.swarm.errors["unavailable"] == errors:
            self.problems.append("nobody was told `unavailable`")


# -------------------------------------------------------------------- table

def row(name, verdict, took):
    return (name, verdict.sent, verdict.acked, verdict.received,
            verdict.lost, verdict.doubled, verdict.disordered,
            verdict.phantom, verdict.stranger, f"{took:.1f} s")


def line(cells):
    return f"{cells[0]:<38}" + "".join(f"{c!s:>11}" for c in cells[1:])


def keep(name, record):
    where = BUILD / "faults"
    where.mkdir(exist_ok=True)
    path = where / (name.replace(" ", "-").replace("/", "-") + ".json")
    record.dump(path)
    return path


def one(stack, fault, users, rate):
    """Runs a fault; prints its line; the problems, in words."""
    run = Run(stack, fault, users, rate)
    verdict, took = asyncio.run(run.go())
    print(line(row(fault.name, verdict, took)), flush=True)
    problems = list(run.problems)
    if not verdict.clean:
        problems += [str(verdict),
                     f"record: {keep(fault.name, run.swarm.record)}"]
    if took > RECOVER * SLOW:
        problems.append(f"recovery took {took:.1f} s")
    for p in problems:
        print("    " + p, flush=True)
    return problems


def possible(fault):
    """What is missing for a fault here, or None."""
    if fault.needs and os.geteuid() != 0:
        return "needs root"
    return None


def table(chosen, users=300, rate=300):
    """All of these faults; how many went wrong."""
    print(line(HEAD), flush=True)
    wrong = 0
    by_stack = {}
    for f in chosen:
        by_stack.setdefault(f.needs if f.needs != "root" else None,
                            []).append(f)
    for needs, some in by_stack.items():
        some = [f for f in some if not skipped(f)]
        if not some:
            continue
        stack = FaultStack(needs)
        try:
            stack.up()
            for f in some:
                wrong += bool(one(stack, f, users, rate))
                stack.heal()
        finally:
            stack.remove()
    return wrong


def skipped(fault):
    why = possible(fault)
    if why:
        print(f"{fault.name:<38} not run here: {why}", flush=True)
    return why


SUITES = ("upgrade", "ordering", "catchup", "devices", "bounds", "poison")


def suites(words):
    """The tests beside the table, whole, with what they measure."""
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
    wrong = table(chosen) if chosen else 0
    wrong += bool(suites(words))
    print(f"\n{time.monotonic() - began:.0f} s, "
          + (f"{wrong} went wrong" if wrong else "all zeros"), flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
