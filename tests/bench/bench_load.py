"""bench_load.py: runs chatload against a target and stores the results.

Called from bench_runs.py; starts chatload. Stores one record per run, and
skips runs when the time limit is reached.
"""

import json
import os
import platform
import subprocess
import sys
import time

from bench_stack import CHATLOAD
from bench_table import cost


class Load:
    def __init__(self, out, secs=10, limit=None, verbose=False):
        self.out = out
        self.secs = secs            # seconds of counting, the default
        self.records = []
        self.verbose = verbose
        self.began = time.monotonic()
        self.limit = limit          # s; None: no limit
        self.skipped = []
        out.mkdir(parents=True, exist_ok=True)

    def say(self, text):
        at = time.monotonic() - self.began
        print(f"[{int(at) // 60:2d}:{int(at) % 60:02d}] {text}", flush=True)

    def time_left(self):
        if self.limit is None:
            return float("inf")
        return self.limit - (time.monotonic() - self.began)

    def run(self, target, part, key, workload, keep=True, fresh=True,
            meanwhile=None, **options):
        """Runs chatload once; returns the record, or None if the run failed.
        fresh: before the run every device is up to date. meanwhile: a
        function that is called during the run."""
        options = {"secs": self.secs, "warm": 2, **options}
        if self.time_left() < options["secs"] + 5:
            self.skipped.append(f"{target.name} {part} {key}")
            self.say(f"{target.name} {part} {key}: not run, out of time")
            return None
        if hasattr(target, "before_run") and fresh:
            target.before_run()

        name = f"{target.proto}-{part}-{key}".replace(" ", "-") \
            .replace("/", "-").replace(",", "")
        args = [str(CHATLOAD), workload, "--proto", target.proto,
                "--port", str(options.pop("port", target.port)),
                "--cpu", ",".join(str(p) for p in target.roots),
                "--title", f"{part} {key}", "--out", str(self.out / name)]
        args += getattr(target, "args", [])
        if not self.verbose:
            args.append("--quiet")
        for option, value in options.items():
            flag = "--" + option.replace("_", "-")
            if value is True:
                args.append(flag)
            elif value is not None and value is not False:
                args += [flag, str(value)]

        self.say(f"{target.name}: {part} {key}")
        table = self.out / f"{name}.txt"
        with open(table, "w") as out:
            done = subprocess.Popen(args, stdout=out)
            try:
                if meanwhile:
                    meanwhile()
            finally:
                done.wait()
        if self.verbose:
            print(table.read_text())
        if done.returncode != 0:
            self.say(f"  chatload ended with {done.returncode}: "
                     + " ".join(args))
            return None
        record = json.loads((self.out / f"{name}.json").read_text())
        record.update(server=target.name, part=part, key=key,
                      durable=target.durable)
        self.brief(record)
        if keep:
            self.records.append(record)
            self.save()
        return record

    def search(self, target, part, key, guess, top, confirm=20, **options):
        """Finds the highest rate that the server sustains for `confirm`
        seconds without loss and with a p99 below 100 ms. Probes of 3 s find
        the first rate to confirm."""
        def probe(rate):
            r = self.run(target, part, f"{key} probe {rate}", "pairs",
                         keep=False, rate=rate, secs=3, warm=1, drain=2,
                         procs=2 if rate > 8000 else 1, **options)
            return r is not None and r["held"]

        low, high, rate = 0, None, guess
        for _ in range(8):
            if probe(rate):
                low = rate
                if rate >= top:
                    break
                rate = min(top, int(rate * 1.5)) if high is None \
                    else (low + high) // 2
            else:
                high = rate
                rate = (low + high) // 2
            if high is not None and (high - low < 0.12 * high or high < 40):
                break
        for _ in range(6):
            if low < 20:
                break
            r = self.run(target, part, f"{key}", "pairs", rate=low,
                         secs=confirm, warm=2, keep=False,
                         procs=2 if low > 8000 else 1, **options)
            if r is None:
                return None
            if r["held"]:
                r["highest"] = low
                self.records.append(r)
                self.save()
                self.say(f"  {target.name} {part} {key}: {low}/s held for "
                         f"{confirm} s")
                return r
            low = int(low * 0.88)
        self.say(f"  {target.name} {part} {key}: no rate was held")
        return None

    def medians(self, steps, rounds=3):
        """steps: functions that make a run. Each runs several times,
        alternating, because single runs vary by 25 %. Keeps the median run
        of each step, with the costs of all its runs."""
        runs = [[] for _ in steps]
        for _ in range(rounds):
            for step, found in zip(steps, runs):
                r = step()
                if r is not None:
                    found.append(r)
        for found in runs:
            if found:
                found.sort(key=cost)
                r = found[len(found) // 2]
                r["costs"] = [cost(f) for f in found]
                self.records.append(r)
        self.save()

    def brief(self, r):
        word = r["servers"].get("unit")
        ms = next((f"{k} p50 {r['ms'][k]['p50']:.2f} p99 "
                   f"{r['ms'][k]['p99']:.2f} ms"
                   for k in ("delivery", "read", "ready", "connect")
                   if k in r["ms"]), "no latency")
        c = r["counts"]
        cost = r["servers"].get("all", {}).get("us_per_unit", 0)
        rate = (c["sent"] or c["reads"] or c["done"]) / r["secs"]
        bad = {k: v for k, v in (
            ("lost", r["lost"]), ("acks lost", r["acks_lost"]),
            ("doubled", c["doubled"] + c["seq_doubled"] + c["ack_doubled"]),
            ("disordered", c["disordered"] + c["ack_disordered"]),
            ("gaps", c["seq_gaps"]), ("refused", c["refused"]),
            ("unsent", c["unsent"]), ("bad pages", c["bad_pages"]),
            ("failed", c["failed"]), ("cut", c["lost_connections"])) if v}
        self.say(f"  {rate:.0f}/s, {ms}, {cost:.1f} us per {word}, "
                 + (", ".join(f"{k} {v}" for k, v in bad.items())
                    or "nothing lost, doubled or disordered")
                 + (f" {r['why']}" if r["why"] else ""))

    def save(self):
        (self.out / "results.json").write_text(json.dumps({
            "machine": machine(), "records": self.records,
            "skipped": self.skipped}, indent=1))


def machine():
    cpu = "unknown"
    with open("/proc/cpuinfo") as f:
        for line in f:
            if line.startswith("model name"):
                cpu = line.split(":", 1)[1].strip()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"cpu": cpu, "cores": os.cpu_count(),
            "memory_gb": round(memory / 2**30), "kernel": platform.release(),
            "system": debian(), "when": time.strftime("%Y-%m-%d"),
            "load_before": os.getloadavg()[0]}


def debian():
    try:
        with open("/etc/debian_version") as f:
            return "Debian " + f.read().strip()
    except OSError:
        return sys.platform
