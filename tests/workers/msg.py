"""msg.py: an edge that is not nginx, and users, for tests of the message worker.

An Edge SUBSCRIBEs like one, writes events into the shards' streams and waits
for records.
"""

import itertools
import json
import threading
import time
import uuid

import inner


def shard(chat):
    return chat.bytes[15] & 63


def stream(chat):
    return "message.sent:{%d}" % shard(chat)


def new_chat(of_shard=None):
    raw = bytearray(uuid.uuid4().bytes)
    if of_shard is not None:
        raw[15] = (raw[15] & 0xc0) | of_shard
    return uuid.UUID(bytes=bytes(raw))


class Edge:
    numbers = itertools.count(0xabc0)

    def __init__(self, stores):
        self.id = next(Edge.numbers)
        self.stores = stores
        self.redis = stores.redis()
        self.sessions = itertools.count(1)
        self.records = []
        self.at = 0
        self.cond = threading.Condition()
        self.pubsub = self.redis.pubsub(ignore_subscribe_messages=True)
        self.pubsub.subscribe("edge.%016x" % self.id)
        self.pubsub.get_message(timeout=2)
        self.running = True
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()
        self.beat()

    def beat(self):
        self.redis.set("edge:%016x" % self.id, "1", ex=15)

    def _listen(self):
        while self.running:
            try:
                got = self.pubsub.get_message(timeout=0.1)
            except Exception:
                return
            if got and got["type"] == "message":
                with self.cond:
                    self.records += inner.batch(got["data"])
                    self.cond.notify_all()

    def close(self):
        self.running = False
        self.thread.join(5)

    def connect(self, user, device):
        session = next(self.sessions)
        self.redis.hset("route:{%d}" % user, str(device),
                        "%016x:%d" % (self.id, session))
        return session

    def add(self, kind, chat, **kw):
        kw.setdefault("session", next(self.sessions))
        self.redis.xadd(stream(chat), {"e": inner.event(
            kind, edge=self.id, chat=chat, **kw)})
        return kw["session"]

    def wait(self, want, timeout=10):
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

    def none(self, want, during=0.4):
        time.sleep(during)
        with self.cond:
            got = [r for r in self.records[self.at:] if want(r)]
        assert not got, got

    def all(self, want):
        with self.cond:
            return [r for r in self.records if want(r)]

    # REST: (status, body)
    def call(self, kind, chat, user, device=None, body=None, timeout=10, **kw):
        if body is not None and not isinstance(body, (str, bytes)):
            body = json.dumps(body)
        session = self.add(kind, chat, flags=inner.F_REST, user=user,
                           device=device or user * 10, body=body or "", **kw)
        rec = self.wait(lambda r: r.type == "HTTP" and r.session == session,
                        timeout)
        return rec.status, json.loads(rec.frame) if rec.frame else None

    def send(self, chat, user, mid, content="hello", device=None, timeout=10,
             **kw):
        """As a socket; the ENTRY, ACK or FRAME that answers."""
        session = self.add("SEND", chat, user=user, device=device or user * 10,
                           message_id=mid, content=content, **kw)
        return self.wait(lambda r: r.type in ("ENTRY", "ACK", "FRAME")
                         and r.session == session, timeout)

    def post(self, chat, user, mid, content="hello", **kw):
        return self.call("SEND", chat, user,
                         body={"messageId": mid, "content": content}, **kw)


def make_users(stores, n):
    rows = stores.sql("INSERT INTO users (phone_number) SELECT '+1' || g"
                      " FROM generate_series(1, %s) g RETURNING id", n)
    return [r[0] for r in rows]


def make_chat(stores, members, kind=2, chat=None, title=None):
    """Straight into the database; the first one is the owner of a group."""
    chat = chat or new_chat()
    stores.sql("INSERT INTO chats (id, type, title, created_by)"
               " VALUES (%s, %s, %s, %s)", str(chat), kind, title, members[0])
    stores.sql("INSERT INTO chat_members (chat_id, user_id, role, joined_seq)"
               " SELECT %s, u, CASE WHEN u = %s AND %s = 2 THEN 1 ELSE 3 END,"
               " 1 FROM unnest(%s) u", str(chat), members[0], kind, members)
    return chat


def code(rec):
    return json.loads(rec.frame)["code"]
