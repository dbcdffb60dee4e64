"""fake_edge.py: what a worker sees of an edge, played by a test.

Subscribes to its channel, keeps its heartbeat key and routes in Redis, writes
events into streams, and collects the records that workers publish to it. One
class for all roles; msg.py, test_sync.py and test_presence_worker.py add the
events of their role. The real edge, nginx with the module, is tests/edge/edge.py.
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
        self.records = []               # everything published to this edge
        self.at = 0                     # of them, waited for
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

    def dies(self):
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
        """The device connects: a new session, and its route."""
        session = next(self.sessions)
        self.redis.hset("route:{%d}" % user, str(device),
                        f"{self.hex}:{session}")
        return session

    def add(self, stream, kind, **fields):
        """Writes one event into a stream; its session."""
        fields.setdefault("session", next(self.sessions))
        self.redis.xadd(stream, {"e": inner.event(kind, edge=self.id,
                                                  **fields)})
        return fields["session"]

    # ------------------------------------------------------------- incoming

    def wait(self, want=lambda rec: True, timeout=10):
        """The first record since the last call that `want` is true for."""
        end = time.monotonic() + timeout
        with self.cond:
            i = self.at
            while True:
                while i < len(self.records):
                    if want(self.records[i]):
                        self.at = i + 1
                        return self.records[i]
                    i += 1
                left = end - time.monotonic()
                assert left > 0, f"nothing came; seen {self.records[self.at:]}"
                self.cond.wait(left)

    def skip_batch(self, rec):
        """What was published together with the record is of no interest."""
        with self.cond:
            self.at = max(self.at, rec.batch_end)

    def none(self, want=lambda rec: True, during=0.5):
        """Nothing of the kind is published for a while."""
        time.sleep(during)
        with self.cond:
            got = [r for r in self.records[self.at:] if want(r)]
        assert not got, got

    def all(self, want):
        with self.cond:
            return [r for r in self.records if want(r)]
