"""The workers, played by the test.

    w = Played(edge)
    sock, session = w.synced(user=1, device=11)
    ev = w.wait("SEND")
    w.publish(w.entry(chat, 1, of=ev, targets=[1]))

Reads what the edge puts into the Redis streams and PUBLISHes batches to it,
so that a test decides what a worker does, when, and how wrong. The bytes are
those of ../workers/inner.py.
"""

import json
import time
import uuid

from edge import wait_for
from inner import REQUESTED, put, parse
from wire import PING, PONG

EPOCH = 100                 # of every shard, unless a test says otherwise
NOW = 1767323045678         # 2026-01-02T03:04:05.678Z
TIMESTAMP = "2026-01-02T03:04:05.678Z"
STREAMS = ([b"message.sent:{%d}" % n for n in range(64)]
           + [b"session.sync:{%d}" % n for n in range(16)])


def frame(chat, seq, kind="message", **fields):
    return {"type": "new_message", "chatId": str(chat), "seq": seq,
            "kind": kind, **fields}


class Played:

    def __init__(self, edge):
        """Hears what comes from now on."""
        self.edge = edge
        self.redis = edge.redis
        self.unread = []            # events not asked for yet
        pipe = self.redis.pipeline()
        for stream in STREAMS:
            pipe.xrevrange(stream, count=1)
        self.last = {stream: found[0][0] if found else b"0-0"
                     for stream, found in zip(STREAMS, pipe.execute())}

    # --------------------------------------------------------------- events

    def read(self, ms=None):
        """Takes what is in the streams, waiting for the first if told to
        (Redis looks at its clock ten times a second)."""
        for stream, entries in self.redis.xread(self.last, block=ms) or []:
            for entry, fields in entries:
                self.last[stream] = entry
                self.unread.append(parse(fields[b"e"]))

    def take(self, *kinds, where=lambda ev: True):
        """All events of these kinds so far, in their order."""
        self.read()
        found = [ev for ev in self.unread if ev.type in kinds and where(ev)]
        self.unread = [ev for ev in self.unread if ev not in found]
        return found

    def wait(self, *kinds, where=lambda ev: True, seconds=10):
        """The next event of one of these kinds; others stay."""
        end = time.monotonic() + seconds
        while True:
            for ev in self.unread:
                if ev.type in kinds and where(ev):
                    self.unread.remove(ev)
                    return ev
            assert time.monotonic() < end, f"no {kinds}: {self.unread}"
            self.read(100)

    def nothing(self, *kinds, of=None):
        """No such event, nor a frame. A ping of the socket says that the edge
        has seen all; then Redis gets a moment."""
        if of is not None:
            quiet(of)
        self.read(20)
        assert not [ev for ev in self.unread if ev.type in kinds], self.unread

    # -------------------------------------------------------------- batches

    def edges(self):
        """Ids of the edges that this Redis knows."""
        return {int(key[5:], 16) for key in self.redis.keys("edge:*")}

    def publish(self, *records, edge=None):
        """One batch; how many heard it."""
        if edge is None:
            [edge] = self.edges()
        return self.redis.publish(f"edge.{edge:016x}",
                                  b"\x01" + b"".join(records))

    def everywhere(self, *records):
        return self.redis.publish("edge.all", b"\x01" + b"".join(records))

    @staticmethod
    def entry(chat, seq, targets=(), of=None, flags=0, epoch=EPOCH, sender=1,
              device=11, message_id=None, text=None, frame_of=None):
        """An ENTRY. of: the SEND that it comes from. Targets are users, or
        (user, flags)."""
        session = 0
        if of is not None:
            session, sender, device = of.session, of.user, of.device
            message_id = of.message_id
            if of.flags:
                session = 0
        message_id = message_id or f"m-{seq}"
        text = text or f"text {seq}"
        body = frame_of or frame(chat, seq, messageId=message_id,
                                 senderId=str(sender),
                                 senderDeviceId=str(device), content=text,
                                 contentType="text", timestamp=TIMESTAMP)
        return put("ENTRY", flags, [t if isinstance(t, tuple) else (t, 0)
                                    for t in targets],
                   chat=chat, seq=seq, epoch=epoch, timestamp=NOW,
                   session=session, device=device, message_id=message_id,
                   frame=json.dumps(body))

    @staticmethod
    def list(of, *items, flags=None):
        """The answer to a SYNC_LIST: (chat, delivered, last) each."""
        if flags is None:
            flags = REQUESTED if of.body else 0
        return put("SYNC_LIST", flags, items, session=of.session,
                   seq=of.seq)

    @staticmethod
    def page(of, *entries, flags=0):
        return put("SYNC_PAGE", flags, entries, session=of.session,
                   seq=of.seq)

    def pages(self, of, **kw):
        """A whole answer to a SYNC_PAGE, of entries as entry() makes them."""
        return self.page(of, *(self.entry(chat, seq, **kw)
                               for chat, after, to in of.body
                               for seq in range(after + 1, to + 1)))

    # ------------------------------------------------------------- sessions

    def asked(self, user=1, device=11, edge=None, **kw):
        """A connection whose welcome is read and whose SYNC_LIST came.
        edge: another one beside ours."""
        sock = (edge or self.edge).connect(user, device, **kw)
        assert sock.message()["type"] == "welcome"
        return sock, self.wait("SYNC_LIST",
                               where=lambda ev: ev.device == device)

    def synced(self, user=1, device=11, **kw):
        """A live connection that had missed nothing, and its number."""
        sock, ev = self.asked(user, device, **kw)
        self.publish(self.list(ev), edge=ev.edge)
        assert sock.message()["type"] == "sync_complete"
        return sock, ev.session

    def ready(self):
        wait_for(lambda: self.edge.http("GET", "/readyz").status == 200,
                 lambda: self.edge.logs()[-3000:])


def new_chat():
    return uuid.uuid4()


def refused_before(sock, message_id):
    """The messageIds that are refused as unavailable before this one's ack,
    with nothing else in between."""
    refusals, frame = set(), sock.message()
    while frame["type"] == "error":
        assert frame["code"] == "unavailable"
        refusals.add(frame["messageId"])
        frame = sock.message()
    assert (frame["type"], frame["messageId"]) == ("message_ack", message_id)
    return refusals


def quiet(sock):
    """The edge has seen all that was sent to it, and wrote nothing."""
    sock.send(PING, b"quiet?")
    got = sock.frame()
    assert (got.op, got.payload) == (PONG, b"quiet?"), got


def seqs(sock, n):
    """The next n frames as (type, seq)."""
    got = [sock.message() for _ in range(n)]
    return [(f["type"], f.get("seq")) for f in got]
