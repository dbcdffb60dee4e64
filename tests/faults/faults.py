"""faults.py: one function per fault.

Each function is a generator: the code before `yield` injects the fault, the
yielded number is the duration of the fault in seconds, and the code after
`yield` removes the fault. Where there is no such code, the system recovers
by itself, and the recovery time starts with the fault. The functions run in
a thread of their own; they access `run.swarm` only through `run.ask`, which
runs the call in the swarm's event loop.

Called from run.py and the tests; calls stack.py.
"""

import os
import pathlib
import shutil
import signal
import struct
import subprocess
import time

from stack import BUILD, alive, children, cmdline, wait_for

FAULTS = []


class Fault:
    def __init__(self, name, act, **options):
        self.name = name
        self.act = act
        # nothing may be acknowledged during the fault
        self.no_acks = options.get("no_acks", False)
        # sends must be answered with `unavailable`
        self.unavailable = options.get("unavailable", False)
        # root, or a stack with a small disk or a clock that can be set
        self.needs = options.get("needs")
        # also part of `make test`
        self.short = options.get("short", False)


def fault(name, **options):
    def register(act):
        FAULTS.append(Fault(name, act, **options))
        return act
    return register


# ------------------------------------------------------------------ workers

@fault("message worker, kill -9", short=True)
def message_worker_killed(run):
    run.stack.kill("message", count=1)
    yield 0


@fault("both message workers, kill -9")
def message_workers_killed(run):
    run.stack.kill("message")
    yield 0


@fault("message worker, suspended for 10 s", short=True)
def message_worker_suspended(run):
    """Another worker takes over its shards; then the suspended worker resumes
    in the middle of a batch."""
    at = len(run.stack.log("workers.log"))
    pids = run.stack.stop("message", count=1)
    yield 10
    try:
        assert "has no heartbeat: fenced" in run.stack.log("workers.log")[at:]
    finally:
        run.stack.cont(pids)


@fault("API worker, kill -9")
def api_worker_killed(run):
    run.stack.kill("api")
    yield 0


@fault("sync worker, kill -9")
def sync_worker_killed(run):
    """While clients reconnect and need the sync worker."""
    run.ask(run.cut, 3)
    run.stack.kill("sync")
    yield 0


@fault("presence worker, kill -9")
def presence_worker_killed(run):
    others = ("message", "api", "sync")
    for pid in children(run.stack.pid("pool")):
        if cmdline(pid)[1:2] and cmdline(pid)[1] not in others:
            os.kill(pid, signal.SIGKILL)
    yield 0


@fault("the pool and all its workers, kill -9")
def pool_killed(run):
    run.stack.kill("pool")
    yield 2
    run.stack.heal()


# -------------------------------------------------------------------- nginx

@fault("an nginx worker, kill -9", short=True)
def nginx_worker_killed(run):
    run.stack.kill("nginx worker", count=1)
    yield 0


@fault("nginx as a whole, kill -9")
def nginx_killed(run):
    pids = [run.stack.pid("nginx")] + run.stack.nginx_workers()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    yield 2
    run.stack.heal()


# -------------------------------------------------------------------- Redis

@fault("Redis, kill -9")
def redis_killed(run):
    run.stack.kill("redis")
    yield 2
    run.stack.heal()


@fault("Redis emptied, FLUSHALL", short=True)
def redis_flushed(run):
    run.stack.redis().flushall()
    yield 0


@fault("Redis, kill -9, its data file deleted")
def redis_data_deleted(run):
    pids = run.stack.kill("redis")
    wait_for(lambda: not any(alive(p) for p in pids), 5, "end of Redis")
    for path in (run.stack.home / "redis").iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.suffix in (".rdb", ".aof"):
            path.unlink()
    yield 2
    run.stack.heal()


@fault("Redis at maxmemory for 5 s", unavailable=True, no_acks=True)
def redis_full(run):
    r = run.stack.redis()
    r.config_set("maxmemory", "1mb")
    yield 5
    r.config_set("maxmemory", "0")


# --------------------------------------------------------------- PostgreSQL

@fault("PostgreSQL, kill -9", short=True)
def postgres_killed(run):
    run.stack.kill("postgres")
    yield 2
    run.stack.heal()


@fault("PostgreSQL, restarted")
def postgres_restarted(run):
    pids = run.stack.kill("postgres", signal.SIGINT)
    wait_for(lambda: not any(alive(p) for p in pids), 10, "end of PostgreSQL")
    yield 0
    run.stack.heal()


@fault("PostgreSQL, shut down for 20 s", unavailable=True, no_acks=True)
def postgres_shut_down(run):
    pids = run.stack.kill("postgres", signal.SIGINT)
    wait_for(lambda: not any(alive(p) for p in pids), 10, "end of PostgreSQL")
    yield 20
    run.stack.heal()


@fault("disk full for PostgreSQL, 8 s", needs="disk")
def disk_full(run):
    """Entries that fit into allocated pages are still stored; the others
    wait."""
    filler = run.stack.home / "pg" / "filler"
    fill(filler)
    wait_for(lambda: "No space left" in run.stack.log("postgres.log"), 30,
             "full disk")
    fill(filler)
    yield 8
    filler.unlink()
    run.stack.heal()


def fill(path):
    with open(path, "ab", buffering=0) as f:
        for size in (1 << 20, 4096, 512, 1):
            try:
                while True:
                    f.write(bytes(size))
            except OSError:
                pass


# ------------------------------------------------------------------ clients

@fault("clients' sockets cut without FIN", short=True)
def clients_cut(run):
    run.ask(run.cut, 2)
    yield 0


@fault("clients' sockets half open", needs="root")
def clients_half_open(run):
    """All packets of the old sockets are dropped in both directions. The
    clients reconnect from other ports; the edge still writes to the old
    sockets."""
    run.ask(run.half_open, 3)
    yield 4
    run.ask(run.remove_drop_rules)


# -------------------------------------------------------------------- clock

@fault("clock set back by a minute", needs="clock")
def clock_back(run):
    """And corrected after six seconds in which clients reconnect."""
    run.stack.clock.set(-60)
    assert abs(run.stack.redis().time()[0] + 60 - time.time()) < 3
    run.ask(run.cut, 4)
    yield 6
    run.ask(run.cut, 4)
    run.stack.clock.set(0)


# -------------------------------------------------------------- environment

class Mounted:
    """A small file system mounted on a directory of the stack, so that a
    test can fill it."""

    def __init__(self, path, size):
        self.path = pathlib.Path(path)
        self.path.mkdir(exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs",
                        str(self.path)], check=True)

    def remove(self):
        subprocess.run(["umount", "-l", str(self.path)], check=False)


class Clock:
    """The wall clock of a stack, see clock.c."""

    def __init__(self, home):
        self.path = pathlib.Path(home) / "clock"
        self.path.write_bytes(bytes(8))
        self.path.chmod(0o644)
        build = BUILD / "faults"
        build.mkdir(exist_ok=True)
        subprocess.run([os.environ.get("CC", "gcc"), "-O2", "-Wall",
                        "-Wextra", "-Werror", "-fPIC", "-shared",
                        "-o", str(build / "clock.so"),
                        str(pathlib.Path(__file__).with_name("clock.c"))],
                       check=True)
        # in the stack's directory, which the stack's users can read
        library = pathlib.Path(home) / "clock.so"
        shutil.copy(build / "clock.so", library)
        self.env = {"LD_PRELOAD": str(library),
                    "CHAT_TEST_CLOCK": str(self.path)}

    def set(self, seconds):
        with open(self.path, "r+b") as f:
            f.write(struct.pack("=q", seconds))
