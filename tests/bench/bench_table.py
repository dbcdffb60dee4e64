"""bench_table.py: results as markdown, ready for docs/performance.md.

Called from __main__.py with the records of bench_load.py. The same row has
the speed and the counts of lost, doubled and disordered messages.
"""

TITLES = {
    "W1": "W1: 1,000 users in 500 pairs, 100 bytes, receivers silent",
    "W1 in turn": "W1 at 1,000/s, ours and ejabberd in turn, the middle of "
                  "three runs",
    "W1 receipts": "W1 with every receiver sending `delivered`",
    "W2": "W2: one group, every member online (per delivery)",
    "W3": "W3: connections that only stay",
    "W4": "W4: connects per second, token check and catch-up included",
    "W5": "W5: catch-up of 10,000 entries a device",
    "W5 others": "W5: what others have of it, 500 messages/s",
    "W6": "W6: history pages at random, 50 entries each",
    "W7": "W7: a day's mix: pairs, 20 groups of 500, presence, receipts, "
          "reads",
    "growth users": "Growth: W1 at 1,000/s by connected users, the middle of "
                    "three runs",
    "growth edges": "Growth: W1 at 1,000/s by edges (nginx workers), the "
                    "middle of three runs",
    "growth entries": "Growth: W1 at 1,000/s by stored entries, the middle "
                      "of three runs",
}


def row(cells):
    return "| " + " | ".join(str(c) for c in cells) + " |"


def table(head, rows):
    return "\n".join([row(head), "|" + "---|" * len(head)]
                     + [row(r) for r in rows])


def number(x):
    if x is None:
        return "–"
    return f"{x:,.0f}" if abs(x) >= 100 else f"{x:.3g}"


def latency(record):
    for word in ("delivery", "read", "ready", "connect"):
        if word in record["ms"]:
            return record["ms"][word]
    return {"p50": None, "p99": None, "p99.9": None}


def wrong(r):
    """lost / doubled / disordered"""
    c = r["counts"]
    lost = r["lost"] + r["acks_lost"] + c["unsent"] + c["bad_pages"] \
        + c["seq_gaps"]
    doubled = c["doubled"] + c["ack_doubled"] + c["seq_doubled"]
    return f"{lost} / {doubled} / {c['disordered'] + c['ack_disordered']}"


def rate(r):
    c = r["counts"]
    if r["workload"] == "group" or r["workload"] == "catchup":
        return c["received"] / r["secs"]
    return (c["sent"] or c["pages"] or c["done"]) / r["secs"]


def split(r):
    """The parts of the sum in µs: nginx 12, message 20, ... Omits parts below
    1 µs."""
    parts = []
    for name, v in r["servers"].items():
        if isinstance(v, dict) and name != "all" and v["us_per_unit"] >= 1:
            parts.append(f"{name.replace('chat-worker ', '')} "
                         f"{v['us_per_unit']:.0f}")
    return ", ".join(parts)


def cost(r):
    return r["servers"].get("all", {}).get("us_per_unit")


def costs(r):
    """The median of several runs, with the minimum and the maximum."""
    if len(r.get("costs", [])) < 2:
        return number(cost(r))
    return (f"{number(cost(r))} ({number(min(r['costs']))} to "
            f"{number(max(r['costs']))} in {len(r['costs'])})")


def memory(r):
    """Per connection, in KB: PSS of the servers, and kernel memory for both
    ends."""
    all_ = r["servers"].get("all")
    if not all_ or not r["connected"]:
        return None, None
    s = r["servers"]
    return ((all_["pss_connected"] - all_["pss_before"]) / r["connected"],
            (s["kernel_kb_connected"] - s["kernel_kb_before"])
            / r["connected"])


def part_table(part, records):
    if part == "W3":
        return table(
            ["server", "connections", "connected", "PSS KB each",
             "kernel KB each, both ends", "CPU, % of a core", "failed, cut"],
            [[r["server"], r["key"], r["connected"],
              *(number(m) for m in memory(r)),
              number(100 * r["servers"].get("all", {}).get("cores", 0)),
              f"{r['counts']['failed']}, {r['counts']['lost_connections']}"]
             for r in records])
    return table(
        ["server", "case", "per second", "p50 ms", "p99 ms", "p99.9 ms",
         f"CPU µs per {records[0]['servers'].get('unit', 'unit')}", "of it",
         "lost / doubled / disordered"],
        [[r["server"],
          f"**{r['key']}: {r['highest']:,}/s**" if "highest" in r
          else r["key"],
          number(rate(r)), *(number(latency(r)[p])
                             for p in ("p50", "p99", "p99.9")),
          costs(r), split(r), wrong(r)] for r in records])


def ratios(records):
    """Ratios of a peer to our server, for the cases that both have run."""
    ours = {(r["part"], r["key"]): r for r in records
            if r["server"] == "chat"}
    rows = []
    for r in records:
        mine = ours.get((r["part"], r["key"]))
        if r["server"] == "chat" or mine is None:
            continue
        cells = [r["server"], f"{r['part']} {r['key']}"]
        if "highest" in r and "highest" in mine:
            cells += ["highest rate", number(mine["highest"]),
                      number(r["highest"]),
                      f"{mine['highest'] / r['highest']:.2g}"]
        elif r["part"] == "W3":
            a, b = memory(mine)[0], memory(r)[0]
            cells += ["KB per connection", number(a), number(b),
                      f"{b / a:.2g}" if a and b else "–"]
        else:
            a, b = cost(mine), cost(r)
            cells += [f"CPU µs per {r['servers'].get('unit')}", number(a),
                      number(b), f"{b / a:.2g}" if a and b else "–"]
        rows.append(cells)
    return rows


def markdown(load):
    from bench_load import machine
    m = machine()
    out = [f"Measured {m['when']} on {m['cores']} cores ({m['cpu']}), "
           f"{m['memory_gb']} GB, {m['system']}, Linux {m['kernel']}; servers "
           "and load on the same cores. CPU is user + system time of every "
           "server process, database and Redis included. Latency is counted "
           "from when a message was due."]
    if m["load_before"] > 3:
        out.append(f"**The machine was busy with other things (load "
                   f"{m['load_before']:.1f}).**")
    for part, title in TITLES.items():
        records = [r for r in load.records if r["part"] == part]
        if records:
            out += [f"### {title}", part_table(part, records)]
    rows = ratios(load.records)
    if rows:
        out += ["### Ratios: above 1 is in our favour", table(
            ["peer", "case", "what", "ours", "theirs", "ratio"], rows),
            "ejabberd archives in PostgreSQL before it routes, as we do; "
            "mosquitto and nchan keep nothing, so a ratio below 1 with them "
            "is the price of being durable."]
    if load.skipped:
        out += ["Not run, for want of time: " + "; ".join(load.skipped)]
    return "\n\n".join(out) + "\n"
