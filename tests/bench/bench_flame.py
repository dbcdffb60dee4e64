"""bench_flame.py: the CPU time of a message: a flame graph and a table.

Called from __main__.py for `make flame`. W1 runs at 1,000/s while perf samples
every process of the stack. Where perf is not permitted, a message worker runs
under callgrind instead, which reports the functions. Writes flame.svg and
stages.md.
"""

import collections
import html
import os
import re
import shutil
import subprocess
import time

import bench_runs
from bench_stack import CHATLOAD

HERTZ = 499
RATE = 1000

# (stage, pattern of processes, pattern of frames). The first frame, from the
# leaf to the root, that matches a rule of its process gives a sample its stage
STAGES = [(name, re.compile(process), re.compile(rule))
          for name, process, rule in (
    ("disk: write, fsync", "", r"fsync|fdatasync|XLogWrite|issue_xlog|ext4|"
     r"submit_bio|^blk_|jbd2"),
    ("network: kernel TCP, sockets", "", r"tcp_|inet_|sock_|unix_stream|"
     r"__sys_send|__sys_recv|skb_|^ip_|net_rx|loopback|ksys_write|vfs_write"),
    ("waiting and waking: epoll, futex, scheduler", "", r"epoll|poll|futex|"
     r"schedule|try_to_wake|select|hrtimer"),
    ("WebSocket frames", "nginx", r"^ws_|ngx_chat_(read|write|upgrade)"),
    ("JSON, events, batches", "nginx|chat-worker", r"^json_|jansson|utf8_|"
     r"^chat_(frame|event|batch|entry|json|buf|field)|hashtable_"),
    ("signatures, hashes", "nginx|chat-worker",
     r"crypto_|sodium|blake2|sha\d|chacha|chat_token"),
    ("edge: Redis protocol", "nginx", r"redis|sds|ngx_chat_enqueue"),
    ("edge: sessions, order, deliver", "nginx", r"ngx_chat_"),
    ("edge: nginx itself", "nginx", r"^ngx_"),
    ("worker: Redis protocol", "chat-worker", r"redis|hiredis|^sds"),
    ("worker: libpq", "chat-worker", r"^PQ|^pq|^store_"),
    ("worker: handlers, fan-out", "chat-worker", r"^on_|^fanout|^message_|"
     r"^worker_|^sync_|^api_"),
    ("Redis: commands", "redis", r"ommand|stream|^rax|^sds|dict|ddReply|"
     r"^feed|pubsub|lookupKey|^ae|beforeSleep|Client|Query|^lp|siphash|^call|"
     r"redis|^evict|^tracking|crc64"),
    ("memory", "", r"malloc|free|calloc|palloc|AllocSet|memcpy|memmove|memset|"
     r"page_fault|clear_page"),
    ("PostgreSQL: indexes", "postgres", r"_bt_|btree|index_"),
    ("PostgreSQL: WAL", "postgres", r"XLog|Xact"),
    ("PostgreSQL: parse, plan", "postgres", r"parse|plan|Plan|analyze|rewrite"
     r"|Revalidate"),
    ("PostgreSQL: execute", "postgres", r"Exec|heap|Buffer|Lock|Snapshot|"
     r"uple|Portal|exec_|^pq_|pg_|Cache|Postgres"),
)]


def run(load, target, out):
    bench_runs.prepare(target, members=(100,), users=2000, mix=False)
    target.before_run()
    if perf_works():
        record, samples = with_perf(load, target, out)
        stages(load, record, samples, out)
    else:
        load.say("perf may not sample here: callgrind instead")
        with_callgrind(load, target, out)


def perf_works():
    if shutil.which("perf") is None:
        return False
    done = subprocess.run(["perf", "record", "-q", "-g", "-o", "/dev/null",
                           "true"], capture_output=True)
    return done.returncode == 0


def tree(roots):
    """Returns the pids of the process trees below the roots."""
    parents = collections.defaultdict(list)
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as f:
                    fields = f.read().rsplit(")", 1)[1].split()
                parents[int(fields[1])].append(int(name))
            except OSError:
                pass                # the process has just ended
    todo, found = list(roots), []
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += parents[pid]
    return found


def group(pid, cache={}):
    """Returns the group of a process, named as in load_cpu.c: nginx,
    chat-worker message, postgres ..."""
    if pid not in cache:
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                line = f.read().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            line = "gone"
        words = line.replace(":", " ").split() or ["?"]
        name = words[0].rsplit("/", 1)[-1]
        if name == "chat-worker" and len(words) > 1:
            name += " " + words[1]
        cache[pid] = "redis" if name == "redis-server" else name
    return cache[pid]


def with_perf(load, target, out):
    data = out / "perf.data"
    pids = tree(target.roots)
    for pid in pids:
        group(pid)
    sampler = subprocess.Popen(
        ["perf", "record", "-q", "-F", str(HERTZ), "--call-graph",
         "dwarf,4096", "-o", str(data), "-p", ",".join(map(str, pids)),
         "--", "sleep", "11"], stderr=subprocess.DEVNULL)
    time.sleep(1)
    record = load.run(target, "flame", f"{RATE}/s", "pairs", users=1000,
                      rate=RATE, secs=8, warm=1)
    sampler.wait()
    load.say("reading the samples")
    text = subprocess.run(["perf", "script", "-i", str(data), "-F",
                           "pid,ip,sym,dso"], text=True, errors="replace",
                          stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL).stdout
    samples = fold(text)
    (out / "flame.folded").write_text("".join(
        f"{';'.join(s)} {n}\n" for s, n in sorted(samples.items())))
    (out / "flame.svg").write_text(svg(samples))
    data.unlink()
    load.say(f"written: {out / 'flame.svg'}")
    return record, samples


def fold(text):
    """Returns {(process, frame at the root, ..., leaf): samples}."""
    samples = collections.Counter()
    process, frames = None, []
    for line in text.splitlines() + [""]:
        if not line.strip():
            if process is not None:
                samples[(process, *reversed(frames))] += 1
            process, frames = None, []
        elif process is None:
            process = group(int(line.split()[0]))
            # a sample without a call chain has its frame on the same line
            columns = line.split(None, 1)
            if len(columns) > 1:
                frames.append(frame(columns[1]))
        else:
            frames.append(frame(line))
    return samples


def frame(line):
    m = re.match(r"\s*[0-9a-f]+\s+(.*?)\s+\(([^)]*)\)\s*$", line)
    if not m:
        return line.strip() or "?"
    symbol, dso = m.groups()
    if symbol == "[unknown]":
        return "[" + dso.strip("[]").rsplit("/", 1)[-1] + "]"
    return symbol.split("+0x")[0]


def stage_of(process, frames):
    rules = [(n, rule) for n, pattern, rule in STAGES if pattern == ""
             or re.match(pattern, process)]
    for f in reversed(frames):
        for name, rule in rules:
            if rule.search(f):
                return name
    return "other"


def stages(load, record, samples, out):
    """Writes CPU time per message by process and stage, and latencies."""
    if record is None:
        return
    lines = ["### Where a message's CPU time goes (W1, 1,000/s)", ""]
    lines += ["| process | stage | µs per message |", "|---|---|---|"]
    total = collections.Counter()
    by = collections.Counter()
    for stack, n in samples.items():
        total[stack[0]] += n
        by[stack[0], stage_of(stack[0], stack[1:])] += n
    servers = record["servers"]
    for name in sorted(total, key=lambda g: -servers.get(g, {}).get(
            "us_per_unit", 0) if isinstance(servers.get(g), dict) else 0):
        us = servers.get(name, {}).get("us_per_unit", 0)
        if us < 0.5:
            continue
        lines.append(f"| **{name}** | all | **{us:.1f}** |")
        for (g, stage), n in by.most_common():
            if g == name and us * n / total[name] >= 0.3:
                lines.append(f"| | {stage} | {us * n / total[name]:.1f} |")
    lines.append(f"| **all** | | **{servers['all']['us_per_unit']:.1f}** |")
    lines += ["", "### Where its time goes", "",
              "| stage | p50 ms | p99 ms |", "|---|---|---|"]
    words = (("behind", "due → handed to the socket (the load tool)"),
             ("commit", "due → timestamp of the entry"),
             ("fanout", "timestamp → received by the other"),
             ("ack", "due → acknowledged"),
             ("delivery", "due → received by the other"))
    for word, text in words:
        if word in record["ms"]:
            h = record["ms"][word]
            lines.append(f"| {text} | {h['p50']:.2f} | {h['p99']:.2f} |")
    text = "\n".join(lines) + "\n"
    (out / "stages.md").write_text(text)
    print(text)


def with_callgrind(load, target, out):
    """Starts one more message worker, under callgrind, which takes over
    shards. Counts instructions instead of time."""
    conf = target.home / "workers.conf"
    env = {k: v for k, v in os.environ.items()
           if k not in ("CHAT_PG", "CHAT_REDIS")}
    worker = subprocess.Popen(
        ["valgrind", "--tool=callgrind",
         f"--callgrind-out-file={out / 'callgrind.out'}",
         str(target.home / "bin/chat-worker"), "-c", str(conf), "message"],
        cwd=target.home / "worker", env=env, stderr=subprocess.DEVNULL)
    time.sleep(5)
    load.run(target, "flame", "200/s", "pairs", users=1000, rate=200, secs=8)
    worker.terminate()
    worker.wait(30)
    text = subprocess.run(
        ["callgrind_annotate", "--inclusive=yes",
         str(out / "callgrind.out")], text=True,
        stdout=subprocess.PIPE).stdout
    (out / "callgrind.txt").write_text(text)
    print("\n".join(text.splitlines()[:60]))


# --------------------------------------------------------------- flame graph

WIDTH, HIGH = 1400, 17


def svg(samples):
    """Draws a rectangle per frame, as wide as its number of samples; the
    tooltip has its share."""
    root = {"n": 0, "children": {}}
    for stack, n in samples.items():
        root["n"] += n
        node = root
        for f in stack[:60]:
            node = node["children"].setdefault(f, {"n": 0, "children": {}})
            node["n"] += n
    boxes, deepest = [], 0
    todo = [("all", root, 0.0, 0)]
    all_ = max(root["n"], 1)
    while todo:
        name, node, x, depth = todo.pop()
        width = node["n"] / all_ * WIDTH
        if width < 0.4:
            continue
        deepest = max(deepest, depth)
        boxes.append((name, x, depth, width, node["n"]))
        for key, child in sorted(node["children"].items()):
            todo.append((key, child, x, depth + 1))
            x += child["n"] / all_ * WIDTH
    height = (deepest + 2) * HIGH
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" '
             f'height="{height}" font-family="monospace" font-size="11">']
    for name, x, depth, width, n in boxes:
        y = height - (depth + 1) * HIGH
        hue = 10 + sum(map(ord, name)) % 45
        shown = name[:int(width / 7)] if width > 30 else ""
        parts.append(
            f'<g><title>{html.escape(name)}: {n} samples, '
            f'{100 * n / all_:.1f} %</title><rect x="{x:.1f}" y="{y}" '
            f'width="{width:.1f}" height="{HIGH - 1}" '
            f'fill="hsl({hue},80%,70%)"/><text x="{x + 2:.1f}" '
            f'y="{y + 12}">{html.escape(shown)}</text></g>')
    return "\n".join(parts) + "\n</svg>\n"
