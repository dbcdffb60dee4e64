"""Workers, Redis and clients act in random order. On each connection every
chat's entries arrive without gaps, in order and once, with the ack in place of
the own entry; at the end every connection has every entry.

      World (one seeded random generator)                 real
    ┌────────────────────────────────────┐
    │ step_send, _resend, _receipt       │── frames ──►┌──────┐
    │   Conn: 3 users x 2 devices,       │◄─ frames ───│ nginx│
    │   checks each frame that arrives   │             │ with │
    │                                    │             │ the  │
    │ step_work   message worker: commit │◄─ events ───│ mod- │
    │   and publish, or die in between   │── records ─►│ ule  │
    │ step_redo   its successor          │   (Redis)   │      │
    │ step_stale  a fenced worker sends  │── records ─►│      │
    │ step_sync_* lists and pages, late  │── records ─►│      │
    │ step_subscription_lost             │── cuts ────►└──────┘
    │                                    │
    │ entries[chat]: the stored entries  │  at the end every Conn has them all
    └────────────────────────────────────┘

CHAT_SEEDS sets the number of seeds.
"""

import json
import os
import random
import select
import socket
import time
import uuid

import pytest
from edge import Edge
from inner import REQUESTED, CHECK, FAILED, HIDDEN, REDO, put
from played import Played, frame
from wire import CLOSE, Closed, Socket

SEEDS = int(os.environ.get("CHAT_SEEDS", 6))
STEPS = 700


def connect(edge, user, device):
    """Tries again after a 503: the subscription may be lost at the moment."""
    while True:
        response, sock = edge.upgrade(
            Authorization=f"Bearer {edge.token(user, device)}")
        if response.status == 101:
            return Socket(sock, response.rest)
        assert response.status == 503, response
        sock.close()
        time.sleep(0.02)


class Entry:
    def __init__(self, seq, user, device, message_id, hidden):
        self.seq, self.user, self.device = seq, user, device
        self.message_id, self.hidden = message_id, hidden


class Conn:
    """One connection. Checks every frame that arrives."""

    def __init__(self, world, user, device):
        self.world, self.user, self.device = world, user, device
        self.base = {c: world.stored(device, c) for c in world.chats}
        self.sock = connect(world.w.edge, user, device)
        self.welcomed = self.synced = self.over = False
        self.last, self.receipts = {}, {}
        self.sent, self.resent, self.acks = {}, set(), {}
        self.read = 0

    def pump(self):
        while not self.over and (self.sock.data or select.select(
                [self.sock.sock], [], [], 0)[0]):
            try:
                got = self.sock.frame()
            except (Closed, ConnectionError):
                self.over = True
                return
            if got.op == CLOSE:
                assert got.payload[:2] == b"\x11\x39", got      # 4409
                self.over = True
                return
            self.frame(json.loads(got.payload))

    def frame(self, f):
        assert self.welcomed or f["type"] == "welcome", f
        getattr(self, "on_" + f["type"])(f)

    def on_welcome(self, f):
        assert not self.welcomed
        self.welcomed = True

    def on_sync_complete(self, f):
        assert not self.synced
        self.synced = True
        for chat in self.world.chats:       # the missed entries are here
            if self.base[chat] < self.missed.get(chat, 0):
                assert self.reached(chat) >= self.missed[chat], chat

    missed = {}

    def on_error(self, f):
        assert f["code"] in ("unavailable", "not_member"), f
        self.sent[f["messageId"]] -= 1

    def on_new_message(self, f):
        chat = self.world.by_id[f["chatId"]]
        entry = self.world.entries[chat][f["seq"] - 1]
        if self.user in entry.hidden:
            assert f == frame(chat, f["seq"], "hidden")
        else:
            assert f["messageId"] == entry.message_id
            assert entry.device != self.device \
                or not self.sent.get(entry.message_id) \
                or entry.message_id in self.resent, \
                f"new_message for a send of this connection: {f}"
        self.take(chat, f["seq"])
        self.read += 1

    def on_message_ack(self, f):
        chat = self.world.by_id[f["chatId"]]
        mid, seq = f["messageId"], f["seq"]
        entry = self.world.entries[chat][seq - 1]
        assert (entry.message_id, entry.device) == (mid, self.device)
        self.acks[mid] = self.acks.get(mid, 0) + 1
        assert self.acks[mid] <= self.sent.get(mid, 0), f"one too many: {f}"
        passed = seq <= max(self.reached(chat), self.receipt(chat))
        if mid in self.resent and passed and seq != self.reached(chat) + 1:
            return          # a duplicate of an entry that is already here
        self.take(chat, seq)

    def reached(self, chat):
        """The last seq of the chat that arrived on this connection."""
        return self.last.get(chat, -1)

    def receipt(self, chat):
        """The highest receipt that this device has sent."""
        return self.world.receipts.get((self.device, chat), 0)

    def take(self, chat, seq):
        if chat not in self.last:
            # the first entry is above the stored receipt, and no entry
            # above the highest sent receipt is skipped
            assert self.base[chat] <= seq - 1 <= self.receipt(chat), \
                (chat, seq, self.base[chat], self.receipt(chat))
            self.last[chat] = seq - 1
        assert seq == self.last[chat] + 1, \
            f"{seq} after {self.last[chat]} in {chat}"
        self.last[chat] = seq

    def complete(self):
        if self.over:
            return True
        for chat, entries in self.world.entries.items():
            at = self.reached(chat)
            if at < 0:
                at = self.world.stored(self.device, chat)
            if at < len(entries):
                return False
        return self.synced

    def answered(self):
        """Every send has its answer, except duplicates and refusals whose
        answer was lost with the subscription."""
        return self.over or all(
            n == 0 or mid in self.resent or self.acks.get(mid) == 1
            or mid in self.world.unanswered for mid, n in self.sent.items())


class World:

    def __init__(self, w, seed):
        self.w, self.rng = w, random.Random(seed)
        rng = self.rng
        base = rng.randrange(10 ** 6) * 100
        self.devices = [(base + u, base + u * 10 + d)
                        for u in (1, 2, 3) for d in (1, 2)]
        self.users = sorted({u for u, _ in self.devices})
        self.chats = [uuid.UUID(int=rng.getrandbits(128), version=4)
                      for _ in range(rng.choice((1, 3, 12)))]
        self.by_id = {str(c): c for c in self.chats}
        self.entries = {c: [] for c in self.chats}
        self.active = {c: 0 for c in self.chats}
        self.epochs = {c: 1000 * (seed + 1) for c in self.chats}
        self.shard = {c: c.bytes[15] & 63 for c in self.chats}
        self.unpublished = {c: [] for c in self.chats}
        self.stored_receipts, self.receipts = {}, {}
        self.answers, self.clock, self.mids = [], 0, 0
        self.unanswered = set()
        for c in self.chats:
            for _ in range(rng.choice((0, 0, 3, 40, 300))):
                self.commit(c, 0, 0, self.mid())
            for _, d in self.devices:
                if rng.random() < 0.7:
                    at = rng.randint(0, len(self.entries[c]))
                    self.stored_receipts[d, c] = self.receipts[d, c] = at
        self.conns = [Conn(self, u, d) for u, d in self.devices]

    # ------------------------------------------------------------ the store

    def mid(self):
        self.mids += 1
        return f"m{self.mids}"

    def stored(self, device, chat):
        return self.stored_receipts.get((device, chat), 0)

    def commit(self, chat, user, device, mid):
        """Returns (entry, True), or (stored entry, False) for a duplicate."""
        if device:
            for e in self.entries[chat]:
                if (e.device, e.message_id) == (device, mid):
                    return e, False
        hidden = {u for u in self.users
                  if u != user and self.rng.random() < 0.05}
        e = Entry(len(self.entries[chat]) + 1, user, device, mid, hidden)
        self.entries[chat].append(e)
        self.clock += 1
        self.active[chat] = self.clock
        return e, True

    # ---------------------------------------------------- the message worker

    def record(self, chat, e, flags=0, session=0, epoch=None):
        targets = [(u, (HIDDEN if u in e.hidden else 0)
                    | (CHECK if self.rng.random() < 0.03 else 0))
                   for u in self.users]
        self.rng.shuffle(targets)
        return put("ENTRY", flags, targets, chat=chat, seq=e.seq,
                   epoch=epoch or self.epochs[chat], timestamp=1,
                   session=session, device=e.device, message_id=e.message_id,
                   frame=json.dumps(frame(chat, e.seq,
                                          messageId=e.message_id)))

    def owner(self, chat):
        """The new owner publishes what the dead owner left unpublished."""
        for c in self.chats:
            if self.shard[c] == self.shard[chat] and self.unpublished[c]:
                left, self.unpublished[c] = self.unpublished[c], []
                first = max(0, left[0].seq - 1 - self.rng.randrange(3))
                self.w.publish(*(self.record(c, e, REDO) for e in
                                 self.entries[c][first:left[-1].seq]))

    def append(self, chat, user, device, mid, ev=None):
        self.owner(chat)
        if ev is not None and self.rng.random() < 0.03 and not any(
                (e.device, e.message_id) == (device, mid)
                for e in self.entries[chat]):
            if not self.w.publish(put(
                    "FRAME", chat=chat, session=ev.session, message_id=mid,
                    frame=json.dumps({"type": "error", "code": "not_member",
                                      "messageId": mid}))):
                self.unanswered.add(mid)
            return
        e, fresh = self.commit(chat, user, device, mid)
        session = ev.session if ev is not None else 0
        if fresh and self.rng.random() < 0.05:
            self.unpublished[chat].append(e)        # the worker dies
            for c in self.chats:
                if self.shard[c] == self.shard[chat]:
                    self.epochs[c] += 1
        elif fresh:
            self.w.publish(self.record(chat, e, session=session))
        else:
            recs = [put("ACK", chat=chat, seq=e.seq, session=session,
                        message_id=mid)]
            if self.rng.random() < 0.5:
                recs.insert(0, self.record(chat, e, REDO, session))
            self.w.publish(*recs)

    def step_work(self):
        for ev in self.w.take("SEND", "RECEIPTS"):
            if ev.type == "SEND":
                self.append(ev.chat, ev.user, ev.device, ev.message_id, ev)
                continue
            for _, _, device, chat, *seqs in ev.body:
                if chat not in self.entries:    # of the seed before
                    continue
                at = min(max(seqs), len(self.entries[chat]))
                self.stored_receipts[device, chat] = max(
                    self.stored(device, chat), at)

    def step_other(self):
        """Another user writes, or one of the devices writes by REST."""
        for _ in range(self.rng.choice((1, 1, 5))):
            _, device = self.rng.choice(self.devices)
            self.append(self.rng.choice(self.chats), 0,
                        self.rng.choice((0, device)), self.mid())

    def step_stale(self):
        """A worker that lost its shard publishes an entry."""
        chat = self.rng.choice(self.chats)
        entries = self.entries[chat]
        if entries and self.epochs[chat] % 1000 and self.publish_epoch(chat):
            self.w.publish(self.record(
                chat, self.rng.choice(entries[-3:]),
                epoch=self.epochs[chat] - 1))

    def publish_epoch(self, chat):
        """Publishes an entry with the owner's epoch, so that the edge knows
        the epoch. Returns whether the edge received the entry."""
        self.owner(chat)
        if self.unpublished[chat]:
            return False
        return self.w.publish(self.record(chat, self.entries[chat][-1],
                                          REDO)) > 0

    def step_redo(self):
        chat = self.rng.choice(self.chats)
        entries = self.entries[chat]
        self.owner(chat)
        if entries:
            at = self.rng.randrange(len(entries))
            self.w.publish(*(self.record(chat, e, REDO)
                             for e in entries[at:at + 3]))

    # ------------------------------------------------------- the sync worker

    def step_sync_read(self):
        for ev in self.w.take("SYNC_LIST", "SYNC_PAGE",
                              where=lambda ev: ev.user in self.users):
            self.answers.append(self.answer(ev))

    def answer(self, ev):
        failed = self.rng.random() < 0.02
        if ev.type == "SYNC_LIST":
            requested = [c for c, _, _ in ev.body]
            chats = requested or [c for c in sorted(
                self.chats, key=self.active.get, reverse=True)
                if self.stored(ev.device, c) < len(self.entries[c])]
            items = [(c, self.stored(ev.device, c), len(self.entries[c]))
                     for c in chats]
            return put("SYNC_LIST", (REQUESTED if requested else 0)
                       | (FAILED if failed else 0), [] if failed else items,
                       session=ev.session, seq=ev.seq)
        out, room = [], self.rng.choice((128, 128, 7))
        for chat, after, to in ev.body:
            assert to <= len(self.entries[chat])
            for e in self.entries[chat][after:to][:room]:
                out.append(put(
                    "ENTRY", chat=chat, seq=e.seq, epoch=1, timestamp=1,
                    device=e.device, message_id=e.message_id,
                    frame=json.dumps(
                        frame(chat, e.seq, "hidden") if ev.user in e.hidden
                        else frame(chat, e.seq, messageId=e.message_id))))
                room -= 1
        return put("SYNC_PAGE", FAILED if failed else 0, [] if failed else
                   out, session=ev.session, seq=ev.seq)

    def step_sync_publish(self):
        self.rng.shuffle(self.answers)
        for _ in range(self.rng.randint(0, len(self.answers))):
            self.w.publish(self.answers.pop())

    # ------------------------------------------------------------ the clients

    def step_send(self):
        conn, chat = self.rng.choice(self.conns), self.rng.choice(self.chats)
        for _ in range(self.rng.choice((1, 1, 4))):
            self.send(conn, chat, self.mid())

    def step_resend(self):
        conn, chat = self.rng.choice(self.conns), self.rng.choice(self.chats)
        own = [e.message_id for e in self.entries[chat]
               if e.device == conn.device]
        if own:
            mid = self.rng.choice(own[-5:])
            conn.resent.add(mid)
            self.send(conn, chat, mid)

    def send(self, conn, chat, mid):
        if not conn.over and conn.welcomed:
            conn.sent[mid] = conn.sent.get(mid, 0) + 1
            self.write(conn, {"type": "send_message", "chatId": str(chat),
                              "messageId": mid, "content": "x"})

    def step_receipt(self):
        conn, chat = self.rng.choice(self.conns), self.rng.choice(self.chats)
        self.send_receipt(conn, chat)

    def send_receipt(self, conn, chat):
        # only for entries that arrived on this connection
        at = conn.last.get(chat, 0)
        if at and not conn.over:
            key = conn.device, chat
            self.receipts[key] = max(self.receipts.get(key, 0), at)
            conn.receipts[chat] = at
            self.write(conn, {"type": self.rng.choice(("delivered", "read")),
                              "chatId": str(chat), "seq": at})

    def write(self, conn, message):
        try:
            conn.sock.text(message)
        except OSError:
            conn.over = True

    def step_pump(self):
        for conn in self.conns:
            if self.rng.random() < 0.6:
                conn.pump()

    def step_reconnect(self):
        at = self.rng.randrange(len(self.conns))
        old = self.conns[at]
        if self.rng.random() < 0.7:
            old.sock.close()
            old.over = True
        new = self.conns[at] = Conn(self, old.user, old.device)
        if not old.over:
            self.settle(lambda: old.pump() or old.over)     # 4409
            old.sock.close()
        return new

    def step_subscription_lost(self):
        self.w.redis.client_kill_filter(_type="pubsub")
        for _ in range(self.rng.randrange(3)):
            self.step_other()               # published to nobody

    # --------------------------------------------------------------- the run

    STEPS = (("send", 20), ("resend", 5), ("work", 25), ("other", 12),
             ("stale", 3), ("redo", 3), ("sync_read", 20),
             ("sync_publish", 20), ("receipt", 12), ("pump", 20),
             ("reconnect", 2), ("subscription_lost", 0.7))

    def run(self):
        names, weights = zip(*self.STEPS)
        for name in self.rng.choices(names, weights, k=STEPS):
            getattr(self, "step_" + name)()
        for chat in self.chats:
            self.owner(chat)
        self.settle(lambda: all(c.complete() and c.answered()
                                for c in self.conns))
        for conn in self.conns:
            conn.pump()
            assert conn.over or conn.sock.alive()

    def settle(self, done, seconds=30):
        """Serves every request without errors until done() is true."""
        end = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < end, self.state()
            for chat in self.chats:
                self.owner(chat)
            self.step_work()
            self.step_sync_read()
            while self.answers:
                self.w.publish(self.answers.pop(0))
            for conn in self.conns:
                conn.pump()
                for chat in self.chats:
                    self.send_missing_receipt(conn, chat)
            time.sleep(0.002)

    def send_missing_receipt(self, conn, chat):
        # also for entries whose receipt was sent on an earlier connection
        if conn.last.get(chat, 0) > conn.receipts.get(chat, 0):
            self.send_receipt(conn, chat)

    def state(self):
        """Lists what is missing on each connection."""
        return [f"{c.device}: synced {c.synced}, {str(k)[:8]} at "
                f"{c.reached(k)}, receipt {self.stored(c.device, k)}, "
                f"{len(self.entries[k])} stored"
                for c in self.conns for k in self.chats
                if not c.synced or c.reached(k) < len(self.entries[k])] + [
            f"{c.device}: sends {c.sent}, acks {c.acks}" for c in self.conns
            if not c.answered()]

    def close(self):
        for conn in self.conns:
            conn.sock.close()


@pytest.fixture(scope="module")
def edge():
    with Edge() as e:
        yield e


@pytest.mark.parametrize("seed", range(SEEDS))
def test_every_connection_sees_each_entry_once_and_in_order(edge, seed):
    world = World(Played(edge), seed)
    try:
        world.run()
    finally:
        world.close()
