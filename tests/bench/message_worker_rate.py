#!/usr/bin/python3
"""message_worker_rate.py: the cost of a message in the message worker.

Adds sends to the streams, starts one worker, waits until the streams are
empty, and prints messages/s and the CPU µs per message of the worker,
PostgreSQL and Redis. Not a test: asserts only that every message is stored.

    tests/bench/message_worker_rate.py [messages [chats [members [batch]]]]

CHAT_BUILD names the build directory. One subscriber acts as the edge.
"""

import os
import pathlib
import sys
import threading
import time
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent
                       / "workers"))

import inner                                            # noqa: E402
import msg                                              # noqa: E402
from stores import Stores, Worker                       # noqa: E402

TICK = os.sysconf("SC_CLK_TCK")


def cpu(pids):
    """CPU µs of processes, including their threads."""
    total = 0
    for pid in pids:
        try:
            fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        total += int(fields[11]) + int(fields[12])
    return total * 1e6 / TICK


def children(pid):
    pids = [pid]
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = open(f"/proc/{entry}/stat").read()
            except OSError:
                continue
            if int(stat.rsplit(")", 1)[1].split()[1]) == pid:
                pids.append(int(entry))
    return pids


def listen(stores, edge, stop):
    pubsub = stores.redis().pubsub(ignore_subscribe_messages=True)
    pubsub.subscribe("edge.%016x" % edge)
    while not stop.is_set():
        pubsub.get_message(timeout=0.2)


def main():
    args = [int(a) for a in sys.argv[1:]] + [None] * 4
    n, nchats = args[0] or 20000, args[1] or 1000
    members, batch = args[2] or 2, args[3] or 100
    stores = Stores()
    stop = threading.Event()
    worker = None
    try:
        stores.start()
        users = msg.make_users(stores, nchats * members)
        chats = [msg.make_chat(
            stores, users[i * members:(i + 1) * members],
            kind=1 if members == 2 else 2) for i in range(nchats)]
        r = stores.redis()
        edge = 1
        pipe = r.pipeline(transaction=False)
        for u in users:
            pipe.hset("route:{%d}" % u, str(u * 10), "%016x:%d" % (edge, u))
        pipe.set("edge:%016x" % edge, "1")
        pipe.execute()
        thread = threading.Thread(target=listen, args=(stores, edge, stop))
        thread.start()

        pipe = r.pipeline(transaction=False)
        for i in range(n):
            c = i % nchats
            user = users[c * members]
            pipe.xadd(msg.stream(chats[c]), {"e": inner.event(
                "SEND", edge=edge, session=user, user=user, device=user * 10,
                chat=chats[c], message_id=str(uuid.uuid4()),
                content="x" * 100)})
            if i % 1000 == 999:
                pipe.execute()
        pipe.execute()
        stores.sql("CHECKPOINT")

        pg = children(stores.pg.pid)
        redis = [stores.redis_process.pid]
        before = cpu(pg), cpu(redis)
        start = time.monotonic()
        worker = Worker(stores.conf(batch_max=batch), "message")
        keys = ["message.sent:{%d}" % s for s in range(64)]
        while True:
            pipe = r.pipeline(transaction=False)
            for key in keys:
                pipe.xlen(key)
            if not any(pipe.execute()):
                break
            time.sleep(0.05)
        took = time.monotonic() - start
        pg = set(pg) | set(children(stores.pg.pid))
        used = (cpu([worker.pid]), cpu(pg) - before[0], cpu(redis) - before[1])
        stored, = stores.sql("SELECT count(*) FROM entries")[0]
        assert stored == n, stored
        print(f"messages={n} chats={nchats} members={members} batch={batch}: "
              f"{n / took:.0f}/s, CPU µs per message: worker "
              f"{used[0] / n:.1f}, PostgreSQL {used[1] / n:.1f}, "
              f"Redis {used[2] / n:.1f}")
    finally:
        stop.set()
        if worker is not None:
            worker.stop()
        stores.stop()


if __name__ == "__main__":
    main()
