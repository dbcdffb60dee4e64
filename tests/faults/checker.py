"""checker.py: counts the violated guarantees in a record of clients.

Pure functions: a Record in, counts out. Knows no servers, faults or sockets.
Records are written by load.py and by the tests; run.py calls check(). The
events of a record:

    send      a device sent a message; each resend is an event of its own
    ack       the send was acknowledged with this seq
    refused   the send was refused permanently
    got       an entry arrived on a connection
    mark      the device sent a receipt, `delivered` up to this seq
    opened    a connection was opened

A record also has the members of each chat, and `truth`: the content of the
store at the end. The counts; each violation is counted once:

    lost        acknowledged, but not in the store; in the store, but never
                seen by a device of a member; sent, but never answered
    doubled     one message with two seqs; an entry twice on a connection
    disordered  a gap or a step back on a connection; one seq for two
                different entries; two sends of a connection stored in the
                wrong order
    phantom     received but never sent, or received with other content
    stranger    received by a user who is not a member, or was not a member
                at that seq
"""

import collections
import json

COUNTS = ("lost", "doubled", "disordered", "phantom", "stranger")

Send = collections.namedtuple("Send", "t device conn chat id content")
Ack = collections.namedtuple("Ack", "t device conn chat id seq")
Refused = collections.namedtuple("Refused", "t device conn chat id code")
Got = collections.namedtuple(
    "Got", "t device conn chat seq kind sender id content")
Mark = collections.namedtuple("Mark", "t device conn chat seq")
Opened = collections.namedtuple("Opened", "t device conn")

KINDS = {c.__name__: c for c in (Send, Ack, Refused, Got, Mark, Opened)}

# entries that a client sent with a messageId; the server creates the others
SENT_KINDS = ("message", "edit", "delete", "reaction")


class Record:
    def __init__(self):
        self.user_of = {}       # device -> user
        self.members = {}       # chat -> {user: (first seq, last seq or None)}
        self.absent = set()     # devices that need not receive everything
        self.events = []
        self.truth = None       # [(chat, seq, sender device, id, content)]

    def add(self, event):
        self.events.append(event)

    def dump(self, path):
        with open(path, "w") as f:
            json.dump({
                "user_of": self.user_of,
                "members": self.members,
                "absent": sorted(self.absent),
                "truth": self.truth,
                "events": [[type(e).__name__, *e] for e in self.events]}, f)

    @classmethod
    def load(cls, path):
        with open(path) as f:
            raw = json.load(f)
        r = cls()
        r.user_of = raw["user_of"]
        r.members = {c: {u: tuple(span) for u, span in m.items()}
                     for c, m in raw["members"].items()}
        r.absent = set(raw["absent"])
        r.truth = raw["truth"] and [tuple(row) for row in raw["truth"]]
        r.events = [KINDS[e[0]](*e[1:]) for e in raw["events"]]
        return r


class Verdict:
    """The counts, with the first examples of each as text."""

    EXAMPLES = 5

    def __init__(self):
        self.sent = self.acked = self.received = 0
        for name in COUNTS:
            setattr(self, name, 0)
        self.examples = []
        self._counted = set()

    def count(self, name, key, text):
        """Counts a violation; the same (name, key) counts once."""
        if (name, key) in self._counted:
            return
        self._counted.add((name, key))
        n = getattr(self, name) + 1
        setattr(self, name, n)
        if n <= self.EXAMPLES:
            self.examples.append(f"{name}: {text}")

    @property
    def clean(self):
        return not any(getattr(self, name) for name in COUNTS)

    def counts(self):
        return {name: getattr(self, name) for name in COUNTS}

    def __str__(self):
        head = (f"sent {self.sent} acknowledged {self.acked} received "
                f"{self.received} " + " ".join(
                    f"{n} {getattr(self, n)}" for n in COUNTS))
        return "\n  ".join([head] + self.examples)


def check(record):
    """The Verdict of a record whose clients have settled: every client is
    connected and caught up, and every send has been answered."""
    v = Verdict()
    w = _World(record)
    v.sent = len(w.first)
    v.acked = len(w.acks)
    v.received = sum(1 for e in record.events if isinstance(e, Got))
    _check_answers(v, w)
    _check_truth(v, w)
    _check_received(v, w)
    _check_connections(v, w)
    _check_devices(v, w)
    _check_send_order(v, w)
    return v


class _World:
    """A record, indexed."""

    def __init__(self, record):
        self.record = record
        self.first = {}         # (device, chat, id) -> first Send
        self.times = collections.Counter()      # (device, chat, id) -> sends
        self.contents = collections.defaultdict(set)
        self.acks = {}          # (device, chat, id) -> first Ack
        self.refused = set()
        self.conns = {}         # conn -> [events], in order of arrival
        self.seen = collections.defaultdict(dict)   # device, chat -> {seq: t}
        self.at = {}            # (chat, seq) -> (sender, id), first report
        self.place = {}         # (device, chat, id) -> seq, first report

        for e in record.events:
            if isinstance(e, Send):
                key = e.device, e.chat, e.id
                self.first.setdefault(key, e)
                self.times[key] += 1
                self.contents[key].add(e.content)
                self.conns.setdefault(e.conn, []).append(e)
            elif isinstance(e, Ack):
                self.acks.setdefault((e.device, e.chat, e.id), e)
                self.seen[e.device, e.chat].setdefault(e.seq, e.t)
                self.conns.setdefault(e.conn, []).append(e)
            elif isinstance(e, Got):
                self.seen[e.device, e.chat].setdefault(e.seq, e.t)
                self.conns.setdefault(e.conn, []).append(e)
            elif isinstance(e, Refused):
                self.refused.add((e.device, e.chat, e.id))
            else:
                self.conns.setdefault(e.conn, []).append(e)

        self.stored = None
        if record.truth is not None:
            self.stored = {(chat, seq): (sender, mid, content)
                           for chat, seq, sender, mid, content
                           in record.truth}

    def span(self, chat, device):
        """What a device may see of a chat: (first, last or None), or None."""
        members = self.record.members.get(chat, {})
        return members.get(self.record.user_of.get(device))


def _name(device, chat, mid):
    return f"message {mid} of device {device} in {chat}"


def _check_answers(v, w):
    for key in w.first:
        if key not in w.acks and key not in w.refused:
            v.count("lost", ("answer", key), _name(*key) + " has no answer")

    for e in w.record.events:
        if not isinstance(e, Ack):
            continue
        key = e.device, e.chat, e.id
        if key not in w.first:
            v.count("phantom", ("ack", key),
                    _name(*key) + " was acknowledged and never sent")
        _place(v, w, key, e.seq)


def _place(v, w, key, seq):
    """A message has the same seq in every report."""
    known = w.place.setdefault(key, seq)
    if known != seq:
        v.count("doubled", ("place", key, seq),
                _name(*key) + f" is entry {known} and entry {seq}")


def _identity(v, w, chat, seq, entry, where):
    """A seq is the same entry in every report."""
    known = w.at.setdefault((chat, seq), entry)
    if known != entry:
        v.count("disordered", ("at", chat, seq),
                f"entry {seq} of {chat} is {known} and, {where}, {entry}")


def _check_truth(v, w):
    if w.stored is None:
        return

    for (chat, seq), (sender, mid, content) in w.stored.items():
        _identity(v, w, chat, seq, (sender, mid), "in the store")
        if sender is None:
            continue
        key = sender, chat, mid
        _place(v, w, key, seq)
        if key not in w.first:
            v.count("phantom", ("store", key),
                    _name(*key) + " is stored and was never sent")
        elif content not in w.contents[key]:
            v.count("phantom", ("content", key),
                    _name(*key) + " is stored with another content")

    for key, ack in w.acks.items():
        sender, mid, _ = w.stored.get((ack.chat, ack.seq), (None, None, None))
        if (sender, mid) != (ack.device, ack.id):
            v.count("lost", ("stored", key),
                    _name(*key) + f" was acknowledged as entry {ack.seq} "
                    "and is not in the store")

    by_chat = collections.defaultdict(list)
    for chat, seq in w.stored:
        by_chat[chat].append(seq)
    for chat, seqs in by_chat.items():
        for wanted, seq in enumerate(sorted(seqs), min(seqs)):
            if seq != wanted:
                v.count("disordered", ("dense", chat),
                        f"the store has no entry {wanted} of {chat}")
                break


def _check_received(v, w):
    for e in w.record.events:
        if not isinstance(e, (Got, Ack)):
            continue
        span = w.span(e.chat, e.device)
        if span is None or e.seq < span[0] \
                or (span[1] is not None and e.seq > span[1]):
            v.count("stranger", (e.device, e.chat, e.seq),
                    f"device {e.device} saw entry {e.seq} of {e.chat}")

        if isinstance(e, Ack):
            _identity(v, w, e.chat, e.seq, (e.device, e.id),
                      "on the connection that sent it")
            continue
        if e.kind == "hidden":
            continue            # a hidden entry has no sender
        if e.kind not in SENT_KINDS or e.sender is None:
            if w.stored is not None and (e.chat, e.seq) not in w.stored:
                v.count("phantom", ("made", e.chat, e.seq),
                        f"entry {e.seq} of {e.chat}, {e.kind}, was received "
                        "and is not in the store")
            continue
        key = e.sender, e.chat, e.id
        _identity(v, w, e.chat, e.seq, (e.sender, e.id),
                  f"on device {e.device}")
        if key not in w.first:
            v.count("phantom", key, _name(*key) + f" was received by device "
                    f"{e.device} and never sent")
        elif e.content not in w.contents[key]:
            v.count("phantom", ("content", key), _name(*key)
                    + f" was received by device {e.device} with another "
                    "content")
        _place(v, w, key, e.seq)


def _check_connections(v, w):
    """On a connection each chat continues, without gaps, after the receipt."""
    receipts = {}               # (device, chat) -> highest receipt sent
    next_seq = {}               # (conn, chat) -> seq
    seen = collections.defaultdict(set)          # (conn, chat) -> seqs

    for e in w.record.events:
        if isinstance(e, Mark):
            key = e.device, e.chat
            receipts[key] = max(e.seq, receipts.get(key, 0))
            continue
        if not isinstance(e, (Got, Ack)) or e.conn is None:
            continue            # REST answers are not part of the order
        at = e.conn, e.chat
        expected = next_seq.get(at)

        if expected is None:
            span = w.span(e.chat, e.device)
            low = max(receipts.get((e.device, e.chat), 0) + 1,
                      span[0] if span else 1)
            if e.seq > low:
                v.count("disordered", ("begin", at),
                        f"{e.chat} begins at {e.seq} on connection {e.conn}, "
                        f"{low} was expected")
        elif e.seq > expected:
            v.count("disordered", ("hole", at, e.seq),
                    f"entry {e.seq} of {e.chat} on connection {e.conn}, "
                    f"{expected} was expected")
        elif e.seq < expected:
            key = e.device, e.chat, getattr(e, "id", None)
            # a duplicate is acknowledged when it is sent again
            if isinstance(e, Ack) and w.times[key] > 1:
                continue
            if e.seq in seen[at]:
                v.count("doubled", ("again", at, e.seq),
                        f"entry {e.seq} of {e.chat} again on connection "
                        f"{e.conn}")
            else:
                v.count("disordered", ("back", at, e.seq),
                        f"entry {e.seq} of {e.chat} on connection {e.conn} "
                        f"after {expected - 1}")
            continue
        next_seq[at] = e.seq + 1
        seen[at].add(e.seq)


def _check_devices(v, w):
    """At the end each device has seen every entry that its user may see."""
    if w.stored is None:
        entries = set(w.at)
    else:
        entries = set(w.stored)
    by_chat = collections.defaultdict(list)
    for chat, seq in entries:
        by_chat[chat].append(seq)

    for device in w.record.user_of:
        if device in w.record.absent:
            continue
        for chat in by_chat:
            span = w.span(chat, device)
            if span is None:
                continue
            seen = w.seen.get((device, chat), {})
            for seq in by_chat[chat]:
                if seq >= span[0] and (span[1] is None or seq <= span[1]) \
                        and seq not in seen:
                    v.count("lost", ("unseen", device, chat, seq),
                            f"device {device} never saw entry {seq} of "
                            f"{chat}")


def _check_send_order(v, w):
    """Two consecutive sends on a connection keep their order, unless the
    first was refused or sent again."""
    last = {}                   # (conn, chat) -> (id, seq) of the last send
                                # that was sent only once
    for e in w.record.events:
        if not isinstance(e, Send) or e.conn is None:
            continue
        key = e.device, e.chat, e.id
        if w.first[key] is not e or key not in w.acks:
            continue
        seq = w.acks[key].seq
        at = e.conn, e.chat
        if at in last and seq < last[at][1]:
            v.count("disordered", ("turn", key),
                    _name(*key) + f" is entry {seq}, and {last[at][0]}, sent "
                    f"before it, is {last[at][1]}")
        # a temporary refusal counts as sent again, since a resend follows
        if w.times[key] == 1:
            last[at] = e.id, seq
