"""The test plays the workers.

    w = Played(edge)
    sock, session = w.synced(user=1, device=11)
    ev = w.wait("SEND")
    w.publish(w.entry(chat, 1, send=ev, targets=[1]))

Reads the events that the edge appends to the Redis streams and PUBLISHes
batches to the edge, so that a test decides what a worker does, when, and with
which errors. ../workers/inner.py encodes and decodes the records.
"""

import json
import time
import uuid

from edge import wait_for
from inner import REQUESTED, put, parse
from wire import PING, PONG

EPOCH = 100                 # of every shard, unless a test sets another
NOW = 1767323045678         # 2026-01-02T03:04:05.678Z
TIMESTAMP = "2026-01-02T03:04:05.678Z"
STREAMS = ([b"message.sent:{%d}" % n for n in range(64)]
           + [b"session.sync:{%d}" % n for n in range(16)])


def frame(chat, seq, kind="message", **fields):
    return {"type": "new_message", "chatId": str(chat), "seq": seq,
            "kind": kind, **fields}


class Played:

    def __init__(self, edge):
        """Reads the events that are appended from now on."""
        self.edge = edge
        self.redis = edge.redis
        self.unread = []            # events that no test has taken yet
        pipe = self.redis.pipeline()
        for stream in STREAMS:
            pipe.xrevrange(stream, count=1)
        self.last = {stream: found[0][0] if found else b"0-0"
                     for stream, found in zip(STREAMS, pipe.execute())}

    # --------------------------------------------------------------- events

    def read(self, ms=None):
        """Reads all new events. With ms, waits that long for the first one
        (Redis checks its timeouts ten times a second)."""
        for stream, entries in self.redis.xread(self.last, block=ms) or []:
            for entry, fields in entries:
                self.last[stream] = entry
                self.unread.append(parse(fields[b"e"]))

    def take(self, *kinds, where=lambda ev: True):
        """Removes and returns all events of these kinds, in order."""
        self.read()
        found = [ev for ev in self.unread if ev.type in kinds and where(ev)]
        self.unread = [ev for ev in self.unread if ev not in found]
        return found

    def wait(self, *kinds, where=lambda ev: True, seconds=10):
        """Removes and returns the next event of one of these kinds."""
        end = time.monotonic() + seconds
        while True:
            for ev in self.unread:
                if ev.type in kinds and where(ev):
                    self.unread.remove(ev)
                    return ev
            assert time.monotonic() < end, f"no {kinds}: {self.unread}"
            self.read(100)

    def expect_nothing(self, *kinds, sock=None):
        """Expects no event of these kinds and, with sock, no frame. The pong
        shows that the edge has processed everything before it; then 20 ms
        remain for an event to arrive."""
        if sock is not None:
            expect_no_frame(sock)
        self.read(20)
        assert not [ev for ev in self.unread if ev.type in kinds], self.unread

    # -------------------------------------------------------------- batches

    def edges(self):
        """The ids of the edges that are registered in this Redis."""
        return {int(key[5:], 16) for key in self.redis.keys("edge:*")}

    def publish(self, *records, edge=None):
        """Publishes one batch; returns the number of receivers."""
        if edge is None:
            [edge] = self.edges()
        return self.redis.publish(f"edge.{edge:016x}",
                                  b"\x01" + b"".join(records))

    def publish_to_all(self, *records):
        return self.redis.publish("edge.all", b"\x01" + b"".join(records))

    @staticmethod
    def entry(chat, seq, targets=(), send=None, flags=0, epoch=EPOCH,
              sender=1, device=11, message_id=None, text=None):
        """An ENTRY. send: the SEND event that the entry results from. Each
        target is a user or (user, flags)."""
        session = 0
        if send is not None:
            session, sender, device = send.session, send.user, send.device
            message_id = send.message_id
            if send.flags:
                session = 0
        message_id = message_id or f"m-{seq}"
        text = text or f"text {seq}"
        body = frame(chat, seq, messageId=message_id, senderId=str(sender),
                     senderDeviceId=str(device), content=text,
                     contentType="text", timestamp=TIMESTAMP)
        return put("ENTRY", flags, [t if isinstance(t, tuple) else (t, 0)
                                    for t in targets],
                   chat=chat, seq=seq, epoch=epoch, timestamp=NOW,
                   session=session, device=device, message_id=message_id,
                   frame=json.dumps(body))

    @staticmethod
    def list(request, *items, flags=None):
        """The answer to a SYNC_LIST; each item is (chat, delivered, last)."""
        if flags is None:
            flags = REQUESTED if request.body else 0
        return put("SYNC_LIST", flags, items, session=request.session,
                   seq=request.seq)

    @staticmethod
    def page(request, *entries, flags=0):
        return put("SYNC_PAGE", flags, entries, session=request.session,
                   seq=request.seq)

    def full_page(self, request, **kw):
        """The answer to a SYNC_PAGE, with every requested entry."""
        return self.page(request, *(self.entry(chat, seq, **kw)
                                    for chat, after, to in request.body
                                    for seq in range(after + 1, to + 1)))

    # ------------------------------------------------------------- sessions

    def catching_up(self, user=1, device=11, edge=None, **kw):
        """A connection that has read its welcome, and its SYNC_LIST event.
        edge: connects to this edge instead of the default one."""
        sock = (edge or self.edge).connect(user, device, **kw)
        assert sock.message()["type"] == "welcome"
        return sock, self.wait("SYNC_LIST",
                               where=lambda ev: ev.device == device)

    def synced(self, user=1, device=11, **kw):
        """A live connection that had missed nothing, and its session."""
        sock, ev = self.catching_up(user, device, **kw)
        self.publish(self.list(ev), edge=ev.edge)
        assert sock.message()["type"] == "sync_complete"
        return sock, ev.session

    def ready(self):
        wait_for(lambda: self.edge.http("GET", "/readyz").status == 200,
                 lambda: self.edge.logs()[-3000:])


def new_chat():
    return uuid.uuid4()


def refused_before(sock, message_id):
    """Reads up to the ack of this messageId. Every frame before the ack must
    be an `unavailable` error; returns the messageIds of these errors."""
    refusals, frame = set(), sock.message()
    while frame["type"] == "error":
        assert frame["code"] == "unavailable"
        refusals.add(frame["messageId"])
        frame = sock.message()
    assert (frame["type"], frame["messageId"]) == ("message_ack", message_id)
    return refusals


def expect_no_frame(sock):
    """The edge has processed everything from this client and written nothing:
    the next frame is the pong."""
    sock.send(PING, b"last")
    got = sock.frame()
    assert (got.op, got.payload) == (PONG, b"last"), got


def seqs(sock, n):
    """Reads the next n frames; returns (type, seq) of each."""
    got = [sock.message() for _ in range(n)]
    return [(f["type"], f.get("seq")) for f in got]
