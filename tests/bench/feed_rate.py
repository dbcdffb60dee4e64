#!/usr/bin/python3
"""feed_rate.py: the cost of the committed feed.

Sends at a steady rate without a role, then with one role that reads and
acknowledges. Prints the CPU µs per message of message worker, Redis and
consumer. Not a test.

    tests/bench/feed_rate.py [messages/s [seconds [chats]]]
"""

import pathlib
import subprocess
import sys
import threading
import time
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent
                       / "workers"))

import inner                                            # noqa: E402
import msg                                              # noqa: E402
from message_worker_rate import cpu, listen             # noqa: E402
from stores import BUILD, Stores, Worker, clean_env     # noqa: E402

EDGE = 1


def load(stores, chats, users, rate, seconds):
    """Writes events in groups of 3 ms, as edges do; returns their number."""
    r = stores.redis()
    step = max(1, rate * 3 // 1000)
    start = time.monotonic()
    sent = 0
    while time.monotonic() - start < seconds:
        pipe = r.pipeline(transaction=False)
        for _ in range(step):
            c = sent % len(chats)
            user = users[2 * c]
            pipe.xadd(msg.stream(chats[c]), {"e": inner.event(
                "SEND", edge=EDGE, session=user, user=user, device=user * 10,
                chat=chats[c], message_id=uuid.uuid4().hex,
                content="x" * 100)})
            sent += 1
        pipe.execute()
        time.sleep(max(0, start + sent / rate - time.monotonic()))
    while any(r.xlen("message.sent:{%d}" % s) for s in range(64)):
        time.sleep(0.01)
    return sent


def commands(stores, n):
    """µs per message of Redis' commands, without socket reads and writes."""
    stats = stores.redis().info("commandstats")
    want = {k: v for k, v in stats.items() if k[8:] in (
        "xadd", "xreadgroup", "xack", "xautoclaim", "evalsha")}
    return " ".join("%s %.2f" % (k[8:], v["usec"] / n)
                    for k, v in sorted(want.items()))


def measure(stores, pids, *args):
    before = [cpu([p]) for p in pids]
    stores.redis().config_resetstat()
    n = load(stores, *args)
    time.sleep(1.5)             # includes trimming
    return n, [(cpu([p]) - b) / n for p, b in zip(pids, before)], \
        commands(stores, n)


def main():
    args = [int(a) for a in sys.argv[1:]] + [None] * 3
    rate, seconds, nchats = args[0] or 1000, args[1] or 10, args[2] or 1000
    stores = Stores()
    stop = threading.Event()
    worker = reader = None
    try:
        stores.start()
        users = msg.make_users(stores, 2 * nchats)
        chats = [msg.make_chat(stores, users[2 * i:2 * i + 2], kind=1)
                 for i in range(nchats)]
        r = stores.redis()
        for u in users:
            r.hset("route:{%d}" % u, str(u * 10), "%016x:%d" % (EDGE, u))
        r.set("edge:%016x" % EDGE, "1")
        threading.Thread(target=listen, args=(stores, EDGE, stop)).start()
        worker = Worker(stores.conf(), "message")
        load(stores, chats, users, rate, 2)
        pids = [worker.pid, stores.redis_process.pid]
        for _ in range(2):
            n, used, by = measure(stores, pids, chats, users, rate, seconds)
            print(f"no role:  messages={n} worker {used[0]:.1f} "
                  f"Redis {used[1]:.1f} ({by})")
            conf = stores.conf()
            reader = subprocess.Popen(
                [str(BUILD / "feed_reader"), str(conf), "bench"],
                env=clean_env(), stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL)
            time.sleep(1.5)
            n, used, by = measure(stores, pids + [reader.pid], chats, users,
                                  rate, seconds)
            print(f"one role: messages={n} worker {used[0]:.1f} "
                  f"Redis {used[1]:.1f} consumer {used[2]:.1f} ({by}); "
                  f"stats {r.hgetall('feed.stats')}")
            reader.terminate()
            reader.wait()
            stores.ctl("feed", "drop", "bench")
            time.sleep(1.5)
    finally:
        stop.set()
        for p in (worker,):
            if p is not None:
                p.stop()
        if reader is not None and reader.poll() is None:
            reader.kill()
        stores.stop()


if __name__ == "__main__":
    main()
