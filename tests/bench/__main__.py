"""The benchmark: `make bench`, `make bench-quick`, `make flame`.

    python3 tests/bench                 our server, then the peers: less than
                                        20 minutes
    python3 tests/bench quick           our server only, 2 minutes
    python3 tests/bench w1 w5           our server, only these workloads
    python3 tests/bench peers nchan     peers only
    python3 tests/bench flame           flame graph and CPU time per stage
    python3 tests/bench check           checks that the tool detects errors

The results are in build/bench/: results.md, results.json, cost.svg,
latency.svg, delivery.svg, parts.svg, and a table, JSON and plot per run. All
processes use 127.0.0.1 only and are stopped at the end.
"""

import argparse
import os
import pathlib
import signal
import sys

import bench_check
import bench_flame
import bench_plot
import bench_runs
import bench_table
from bench_load import Load
from bench_stack import BUILD, CHATLOAD, Stack
from peers.peers import PEERS

MINUTES = 19.5

PARTS = {
    "w1": lambda l, t: (bench_runs.w1(l, t, top=40000),
                        bench_runs.w1(l, t, receipts=True, top=40000)),
    "turn": bench_runs.in_turn,
    "w2": bench_runs.w2,
    "w3": lambda l, t: (bench_runs.w3(l, t), bench_runs.w3(l, t, tls=True)),
    "w4": lambda l, t: (bench_runs.w4(l, t), bench_runs.w4(l, t, tls=True)),
    "w5": bench_runs.w5,
    "w6": bench_runs.grow_entries,
    "w7": bench_runs.w7,
    "users": bench_runs.grow_users,
    "edges": bench_runs.grow_edges,
}


def stack(home, fresh=True):
    target = Stack(home)
    if fresh and home.exists():
        target.clean()
    return target


def main():
    p = argparse.ArgumentParser(
        prog="tests/bench", description=__doc__.split("\n")[0])
    p.add_argument("what", nargs="*", default=["full"],
                   help="full, quick, flame, check, peers [name ...], or of: "
                   + " ".join(PARTS))
    p.add_argument("--secs", type=float, help="seconds of a run")
    p.add_argument("--minutes", type=float, help="what does not fit is left "
                   f"out [full: {MINUTES}]")
    p.add_argument("--keep", action="store_true",
                   help="keep the stack's data for a later --keep")
    p.add_argument("--home", help="of the stack [build/bench/stack]")
    p.add_argument("-v", "--verbose", action="store_true")
    o = p.parse_args()

    if not CHATLOAD.exists():
        sys.exit(f"{CHATLOAD} is missing: make {CHATLOAD}")
    signal.signal(signal.SIGTERM, lambda *a: sys.exit(143))
    out = BUILD.absolute() / "bench"
    home = out / "stack" if o.home is None else \
        pathlib.Path(o.home).absolute()

    what = o.what[0]
    if what in ("full", "quick", "check"):
        bench_check.run(out)
    if what == "check":
        return
    full = what == "full"
    load = Load(out, secs=o.secs or (5 if full else 7 if what == "quick"
                                     else 10),
                limit=(o.minutes or MINUTES) * 60 if full or o.minutes
                else None, verbose=o.verbose)
    if what == "flame":
        target = stack(home, not o.keep)
        with_stack(target, o.keep, lambda: bench_flame.run(load, target, out))
        return

    try:
        if what == "peers":
            for name in o.what[1:] or PEERS:
                with PEERS[name]() as t:
                    bench_runs.peer(load, t)
        elif full:
            target = stack(home, not o.keep)
            with_stack(target, True,
                       lambda: (bench_runs.ours(load, target),
                                bench_runs.in_turn(load, target)))
            for name in PEERS:
                with PEERS[name]() as t:
                    bench_runs.peer(load, t)
            # last, because it uses the remaining time and fills the disk
            with_stack(target, o.keep,
                       lambda: bench_runs.grow_entries(load, target))
        else:
            target = stack(home, not o.keep)
            with_stack(target, o.keep, lambda: parts(load, target, o.what))
    finally:
        if load.records:
            text = bench_table.markdown(load)
            (out / "results.md").write_text(text)
            bench_plot.draw(out, load.records)
            print("\n" + text)
            print(f"\nwritten to {out}: results.md, results.json, "
                  "one .txt .json .png a run")


def parts(load, target, names):
    if names == ["quick"]:
        bench_runs.quick(load, target)
        return
    unknown = [n for n in names if n not in PARTS]
    if unknown:
        sys.exit("unknown: " + " ".join(unknown))
    bench_runs.prepare(target)
    for name in names:
        PARTS[name](load, target)


def with_stack(target, keep, work):
    try:
        target.start()
        work()
    finally:
        target.stop()
        if not keep:
            target.clean()


if __name__ == "__main__":
    os.environ.setdefault("LC_ALL", "C.UTF-8")
    main()
