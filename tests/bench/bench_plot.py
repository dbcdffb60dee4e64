"""bench_plot.py: plots of the results, drawn by gnuplot.

Called from __main__.py with the records of bench_load.py; writes cost.svg,
latency.svg, delivery.svg and parts.svg next to results.md. Without gnuplot it
prints a message and draws nothing.
"""

import shutil
import subprocess

from bench_table import latency

HEAD = """set terminal svg size 900,420 noenhanced font 'sans,12'
set output '%s'
set title "%s"
set grid ytics
set key below
set style fill solid 0.8 border -1
"""
PERCENTILES = ("p50", "p75", "p90", "p95", "p99", "p99.9")
PARTS = ("postgres", "redis", "chat-worker message", "nginx")


def draw(out, records):
    if shutil.which("gnuplot") is None:
        print("no plots: gnuplot is not installed")
        return
    for name, make in (("cost", cost), ("latency", percentiles),
                       ("delivery", delivery), ("parts", parts)):
        text = make(records)
        if text is None:
            continue
        path = out / f"{name}.svg"
        done = subprocess.run(["gnuplot"], input=HEAD % (path, text[0])
                              + text[1], text=True, stderr=subprocess.PIPE)
        if done.returncode != 0:
            print(f"{path}: {done.stderr.strip()}")


def of(records, part):
    return [r for r in records if r["part"] == part
            and "us_per_unit" in r["servers"].get("all", {})]


def names(records):
    return list(dict.fromkeys(r["server"] for r in records))


def block(name, rows):
    return (f"${name} << EOD\n"
            + "".join(" ".join(f'"{c}"' if isinstance(c, str) else f"{c:g}"
                               for c in row) + "\n" for row in rows)
            + "EOD\n")


def bars(rows, head, title, unit):
    """A cluster per row and a bar per server, on a logarithmic scale."""
    return title, (block("d", rows)
                   + f"set ylabel '{unit}'\nset logscale y\n"
                   "set style data histogram\nset style histogram clustered\n"
                   "plot " + ", ".join(
                       f"$d using {i + 2}:xtic(1) title '{h}'"
                       for i, h in enumerate(head)) + "\n")


def table(records, keys):
    servers = names(records)
    rows = []
    for key in keys:
        at = {r["server"]: r["servers"]["all"]["us_per_unit"]
              for r in records if r["key"] == key}
        if at:
            rows.append([key, *(at.get(s) or float("nan") for s in servers)])
    return rows, servers


def cost(records):
    records = of(records, "W1")
    rows, servers = table(records, ("500/s", "1000/s", "5000/s", "highest"))
    return bars(rows, servers, "W1: server CPU for a 1-to-1 message",
                "us a message") if rows else None


def delivery(records):
    records = of(records, "W2")
    rows, servers = table(records, list(dict.fromkeys(
        r["key"] for r in records)))
    return bars(rows, servers, "W2: server CPU for a delivery in a group",
                "us a delivery") if rows else None


def percentiles(records):
    records = [r for r in records
               if r["part"] == "W1" and r["key"] == "1000/s"]
    if not records:
        return None
    rows = [[p, *(latency(r)[p] for r in records)] for p in PERCENTILES]
    return "W1: latency at 1,000 messages/s, from when it was due", (
        block("d", rows) + "set ylabel 'ms'\nset logscale y\nplot "
        + ", ".join(f"$d using 0:{i + 2}:xtic(1) with linespoints lw 2 "
                    f"title '{r['server']}'"
                    for i, r in enumerate(records)) + "\n")


def parts(records):
    records = [r for r in of(records, "W1") if r["server"] == "chat"]
    if not records:
        return None
    rows = [[r["key"], *(r["servers"].get(p, {}).get("us_per_unit", 0)
                         for p in PARTS)] for r in records]
    return "W1: where our CPU goes", (
        block("d", rows) + "set ylabel 'us a message'\nset yrange [0:*]\n"
        "set style data histogram\nset style histogram rowstacked\n"
        "set boxwidth 0.6\nplot "
        + ", ".join(f"$d using {i + 2}:xtic(1) title '{p}'"
                    for i, p in enumerate(PARTS)) + "\n")
