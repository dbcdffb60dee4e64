"""fake_edge.py: an edge as a worker sees it, played by a test.

The class subscribes to the edge's channel, keeps its heartbeat key and routes
in Redis, writes events into streams, and collects the records that workers
publish to the edge. One class serves all roles; msg.py, test_sync.py and
test_presence_worker.py add the events of their role. The real edge, nginx with
the module, is tests/edge/edge.py.
"""

import itertools
import threading
import time

import inner


class FakeEdge:
    ids = itertools.count(0xe0)

    def __init__(self, stores):
        self.id = next(FakeEdge.ids)
        self.hex = f"{self.id:016x}"
        self.stores = stores
        self.redis = stores.redis()
        self.sessions = itertools.count(1)
        self.records = []               # all records published to this edge
        self.at = 0                     # index of the next record for wait()
        self.cond = threading.Condition()
        self.pubsub = self.redis.pubsub(ignore_subscribe_messages=True)
        self.pubsub.subscribe("edge." + self.hex)
        self.pubsub.get_message(timeout=2)
        self.running = True
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()
        self.heartbeat()

    def heartbeat(self):
        self.redis.set("edge:" + self.hex, "1", ex=15)

    def stop_heartbeat(self):
        self.redis.delete("edge:" + self.hex)

    def close(self):
        self.running = False
        self.thread.join(5)

    def _listen(self):
        while self.running:
            try:
                got = self.pubsub.get_message(timeout=0.1)
            except Exception:
                return
            if got and got["type"] == "message":
                batch = inner.batch(got["data"])
                with self.cond:
                    self.records += batch
                    for rec in batch:
                        rec.batch_end = len(self.records)
                    self.cond.notify_all()

    # ------------------------------------------------------------- outgoing

    def route(self, user, device):
        """The device connects; returns its new session."""
        session = next(self.sessions)
        self.redis.hset("route:{%d}" % user, str(device),
                        f"{self.hex}:{session}")
        return session

    def add(self, stream, kind, **fields):
        """Writes one event into a stream; returns its session."""
        fields.setdefault("session", next(self.sessions))
        self.redis.xadd(stream, {"e": inner.event(kind, edge=self.id,
                                                  **fields)})
        return fields["session"]

    # ------------------------------------------------------------- incoming

    def wait(self, matches=lambda rec: True, timeout=10):
        """The next record, after the last one returned, that matches."""
        end = time.monotonic() + timeout
        with self.cond:
            i = self.at
            while True:
                while i < len(self.records):
                    if matches(self.records[i]):
                        self.at = i + 1
                        return self.records[i]
                    i += 1
                remaining = end - time.monotonic()
                assert remaining > 0, \
                    f"no record matches; seen {self.records[self.at:]}"
                self.cond.wait(remaining)

    def skip_batch(self, rec):
        """wait() ignores the remainder of the batch that has this record."""
        with self.cond:
            self.at = max(self.at, rec.batch_end)

    def expect_nothing(self, matches=lambda rec: True, during=0.5):
        """No record that matches is published within `during` seconds."""
        time.sleep(during)
        with self.cond:
            got = [r for r in self.records[self.at:] if matches(r)]
        assert not got, got

    def all(self, matches):
        with self.cond:
            return [r for r in self.records if matches(r)]
