"""bench_runs.py: the workloads W1 to W7 and growth, for each target.

Called from __main__.py with a Load (bench_load.py) and a target; each
function runs one workload and adds its records to the Load.
"""

import time

from peers.peers import PEERS

# (members, messages/s), within the capacity of two cores
GROUPS = ((10, 200), (100, 100), (1000, 20), (10000, 2))
ARCHIVE = 10000                     # entries of one chat


def procs(connections):
    """A process may open 20,000 files; two cores have two loaders."""
    return 2 if connections > 5000 else 1


def w1(load, target, rates=(500, 1000, 5000), receipts=False, top=None,
       guess=3000, confirm=20):
    """1,000 users in 500 pairs; then the highest sustained rate."""
    part = "W1 receipts" if receipts else "W1"
    for rate in rates:
        load.run(target, part, f"{rate}/s", "pairs", users=1000, rate=rate,
                 receipts=receipts)
    if not top:
        return None
    return load.search(target, part, "highest", guess, top, confirm=confirm,
                       users=1000, receipts=receipts)


def w2(load, target, sizes=GROUPS):
    """One group, every member online."""
    for members, rate in sizes:
        load.run(target, "W2", f"{members} members", "group", groups=1,
                 members=members, rate=rate, procs=procs(members),
                 concurrency=128, patience=120)


def w3(load, target, sizes=(5000, 20000), tls=False):
    """Idle connections, on a new server: an older server would reuse memory
    that it has allocated before, and would seem to need less."""
    for n in sizes:
        target.renew()
        target.users(n)
        more = {"port": target.tls_port, "tls": True} if tls else {}
        load.run(target, "W3", f"{n} {'TLS' if tls else 'plain'}", "idle",
                 users=n, procs=procs(n), secs=5, warm=3, concurrency=128,
                 patience=120, **more)
        if n >= 20000 and not tls:
            # the load of the server itself, without client heartbeats
            target.renew()
            load.run(target, "W3", f"{n} plain, no pings", "idle", users=n,
                     procs=procs(n), secs=10, warm=3, concurrency=128,
                     patience=120, ping=0)


def w4(load, target, tls=False, users=20000):
    """Connects per second: of devices that connect for the first time, and of
    a few devices that reconnect repeatedly."""
    more = {"port": target.tls_port, "tls": True} if tls else {}
    word = "TLS " if tls else ""
    load.run(target, "W4", f"{word}first", "connect", users=users, secs=6,
             warm=0.5, **more)
    load.run(target, "W4", f"{word}resumed", "connect", users=512, secs=6,
             warm=1, tls_resume=tls, **more)


def w5(load, target, devices=(1, 20)):
    """Devices with a backlog of 10,000 entries each."""
    for n in devices:
        target.setup("--archives", n, "--depth", ARCHIVE, "--behind")
        catch_up(load, target, "W5", f"{n} behind by {ARCHIVE}", n)

    # other users, alone and during the second that catch-up takes
    others = dict(users=900, first=100, rate=500, secs=1.2, warm=2)
    load.run(target, "W5 others", "alone", "pairs", **others)
    target.setup("--archives", 20, "--depth", ARCHIVE, "--behind")

    def meanwhile():
        time.sleep(2.2)         # the other users connect and warm up
        catch_up(load, target, "W5", f"20 behind by {ARCHIVE}, 500/s beside",
                 20)

    load.run(target, "W5 others", "while 20 catch up 10,000 each", "pairs",
             fresh=False, meanwhile=meanwhile, **others)


def catch_up(load, target, part, key, n):
    load.run(target, part, key, "catchup", fresh=False, users=n, archives=n,
             depth=ARCHIVE, patience=60, warm=0)


def w6(load, target, entries, rate=1000):
    """Random history pages out of this number of entries."""
    load.run(target, "W6", f"{entries:.0e} entries", "history", rate=rate,
             archives=int(entries / ARCHIVE), depth=ARCHIVE)


def w7(load, target, reads=(0, 5), rate=1000, groups=20, members=500):
    """A realistic mix: pairs, groups, presence, receipts, and a number of
    reads per write."""
    target.setup("--archives", 20, "--depth", ARCHIVE)
    for ratio in reads:
        load.run(target, "W7", f"{rate}/s, {ratio} reads a write", "mix",
                 rate=rate, group_rate=10, groups=groups, members=members,
                 receipts=True, reads=ratio * rate, archives=20,
                 depth=ARCHIVE, procs=2, concurrency=128, patience=120)


def fill(load, target, entries):
    load.say(f"filling up to {entries:.0e} entries")
    target.setup("--archives", int(entries / ARCHIVE), "--depth", ARCHIVE)
    target.checkpoint()


def grow_entries(load, target, steps=(1e5, 1e7)):
    """W1 and W6 with an increasing number of stored entries."""
    for entries in steps:
        need = entries * 12e-6 + 40
        if load.time_left() < need:
            load.skipped.append(f"{entries:.0e} entries: needs {need:.0f} s")
            load.say(f"{entries:.0e} entries: not run, out of time")
            return
        fill(load, target, entries)
        load.medians([lambda: load.run(
            target, "growth entries", f"{entries:.0e}", "pairs", keep=False,
            users=1000, rate=1000)])
        w6(load, target, entries)


def grow_users(load, target, steps=(100, 2000, 20000), rate=1000):
    """The same rate with an increasing number of connected users."""
    load.medians([lambda n=n: load.run(
        target, "growth users", f"{n}", "pairs", keep=False, users=n,
        rate=rate, procs=procs(n), concurrency=128, patience=120)
        for n in steps])


def grow_edges(load, target, steps=(1, 4), rate=1000):
    workers = target.workers

    def step(n):
        target.restart(n)
        return load.run(target, "growth edges", f"{n}", "pairs", keep=False,
                        users=1000, rate=rate)

    load.medians([lambda n=n: step(n) for n in steps])
    target.restart(workers)


def prepare(target, members=(10, 100, 1000, 10000), users=22000, mix=True):
    """Inserts the rows for all workloads except the history."""
    target.users(users)
    for n in members:
        target.setup("--groups", 1, "--members", n)
    if mix:
        target.setup("--groups", 20, "--members", 500)
    target.checkpoint()


def ours(load, target):
    prepare(target)
    r = w1(load, target, top=40000, guess=16000)
    w1(load, target, top=40000, receipts=True,
       guess=int(r["highest"] * 0.8) if r else 2500)
    w2(load, target)
    w3(load, target)
    w3(load, target, sizes=(20000,), tls=True)
    w4(load, target)
    w4(load, target, tls=True)
    w5(load, target)
    w7(load, target)
    grow_users(load, target)
    grow_edges(load, target)


def in_turn(load, target, rate=1000):
    """Alternates our server and ejabberd: a machine may be half as fast ten
    minutes later, and the ratio must not depend on that."""
    with PEERS["ejabberd"]() as peer:
        peer.users(1000)
        load.medians([lambda t=t: load.run(
            t, "W1 in turn", f"{rate}/s", "pairs", keep=False, users=1000,
            rate=rate) for t in (target, peer)])


def quick(load, target):
    prepare(target, members=(100, 1000), users=12000, mix=True)
    w1(load, target, rates=(1000,))
    w1(load, target, rates=(1000,), receipts=True)
    w2(load, target, sizes=((100, 100), (1000, 20)))
    w3(load, target, sizes=(5000,))
    w4(load, target, users=12000)
    w5(load, target, devices=(1,))
    w7(load, target, reads=(1,), rate=500, groups=4)
    grow_entries(load, target, steps=(1e5,))


def peer(load, target):
    """Runs the workloads that the peer supports."""
    if target.proto == "xmpp":
        target.users(5000)
        w1(load, target, rates=(500, 1000), top=4000, guess=1500)
        w2(load, target, sizes=GROUPS[:3])
        w3(load, target, sizes=(5000,))
        w4(load, target, users=5000)
        return
    w1(load, target, rates=(1000, 5000), top=40000, guess=target.guess,
       confirm=10)
    w2(load, target)
    w3(load, target, sizes=(5000,))
    w4(load, target)
