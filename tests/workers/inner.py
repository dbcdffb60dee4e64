"""inner.py: a second codec for the bytes between edge and workers.

This file implements common/chat_event.h and common/chat_batch.h independently,
so that tests find a mistake in the C code instead of sharing it.
"""

import struct
import time
import types
import uuid

EVENTS = {"SEND": 1, "EDIT": 2, "DELETE": 3, "REACT": 4, "RECEIPTS": 5,
          "TYPING": 6, "CHAT_CREATE": 7, "CHAT_CHANGE": 8, "CHAT_LEAVE": 9,
          "MEMBERS_ADD": 10, "MEMBER_CHANGE": 11, "MEMBER_REMOVE": 12,
          "SYNC_LIST": 32, "SYNC_PAGE": 33,
          "ONLINE": 48, "OFFLINE": 49, "WATCH": 50, "UNWATCH": 51,
          "REFRESH": 52}

EVENT_OF = {number: name for name, number in EVENTS.items()}

F_REST, F_REQUESTED = 1, 2
ABSENT = 0xffffffff
NO_CHAT = uuid.UUID(int=0)

STRINGS = ("message_id", "content", "content_type", "media_id",
           "idempotency_key", "body")


def event(kind, flags=0, edge=1, session=1, user=0, device=0, received=None,
          chat=NO_CHAT, seq=0, reply_to=0, expires_in=0, **strings):
    """One event as an edge writes it into a stream."""
    if received is None:
        received = int(time.time() * 1000)
    out = struct.pack("<BBBBQQQQq16sQQQ", 1, EVENTS[kind], flags, 0, edge,
                      session, user, device, received, chat.bytes, seq,
                      reply_to, expires_in)
    values = [strings.pop(name, None) for name in STRINGS]
    assert not strings, strings
    values = [v.encode() if isinstance(v, str) else v for v in values]
    out += b"".join(struct.pack("<I", ABSENT if v is None else len(v))
                    for v in values)
    return out + b"".join(v or b"" for v in values)


def parse(data):
    """One event, as a worker reads it. `body` of receipts and page requests is
    a list of tuples."""
    (version, kind, flags, _, edge, session, user, device, received, chat,
     seq, reply_to, expires_in) = struct.unpack_from("<BBBBQQQQq16sQQQ", data)
    assert version == 1
    ev = types.SimpleNamespace(
        type=EVENT_OF[kind], flags=flags, edge=edge, session=session,
        user=user, device=device, received=received,
        chat=uuid.UUID(bytes=chat), seq=seq, reply_to=reply_to,
        expires_in=expires_in)
    pos = struct.calcsize("<BBBBQQQQq16sQQQ")
    lengths = struct.unpack_from("<6I", data, pos)
    pos += 24
    for name, n in zip(STRINGS, lengths):
        value = None
        if n != ABSENT:
            value, pos = data[pos:pos + n], pos + n
        setattr(ev, name, value.decode() if value is not None
                and name != "body" else value)
    if ev.type in ("SYNC_LIST", "SYNC_PAGE"):
        ev.body = [(uuid.UUID(bytes=chat), after, to) for chat, after, to
                   in struct.iter_unpack("<16sQQ", ev.body or b"")]
    elif ev.type == "RECEIPTS":
        ev.body = [(session, user, device, uuid.UUID(bytes=chat), *seqs)
                   for session, user, device, chat, *seqs
                   in struct.iter_unpack("<QQQ16sQQ", ev.body)]
    elif kind >= EVENTS["ONLINE"]:
        ev.body = [user for user, in struct.iter_unpack("<Q", ev.body)]
    return ev


def page_requests(*items):
    """items: (chat, after, to)."""
    return b"".join(chat.bytes + struct.pack("<QQ", after, to)
                    for chat, after, to in items)


def users(*ids):
    """The body of the presence events: user ids."""
    return struct.pack("<%dQ" % len(ids), *ids)


def receipt(session, user, device, chat, delivered=0, read=0):
    return struct.pack("<QQQ16sQQ", session, user, device, chat.bytes,
                       delivered, read)


RECORDS = {1: "ENTRY", 2: "ACK", 3: "FRAME", 4: "HTTP", 5: "NOTICE",
           6: "KICK", 7: "REVOKE", 8: "SYNC_LIST", 9: "SYNC_PAGE",
           10: "PRESENCE"}

NUMBER_OF = {name: number for number, name in RECORDS.items()}

REDO, MORE, REQUESTED, FAILED = 1, 2, 4, 8      # flags of a record
HIDDEN, CHECK = 1, 2                            # flags of a target
ONLINE, VISIBLE = 1, 2                          # flags of a presence

# name and format of each field, in byte order; a record has only the fields of
# its type
FIELDS = (("chat", "16s"), ("seq", "Q"), ("epoch", "Q"), ("timestamp", "q"),
          ("session", "Q"), ("user", "Q"), ("device", "Q"), ("status", "H"),
          ("expires", "q"), ("message_id", "str"), ("frame", "str"))

OF_TYPE = {
    "ENTRY": "chat seq epoch timestamp session device message_id frame",
    "ACK": "chat seq timestamp session message_id",
    "FRAME": "chat session message_id frame",
    "HTTP": "session status frame",
    "NOTICE": "device frame",
    "KICK": "session user device status",
    "REVOKE": "user device expires",
    "SYNC_LIST": "seq session",
    "SYNC_PAGE": "seq session",
    "PRESENCE": "timestamp session",
}


def put(kind, flags=0, items=(), **fields):
    """One record as a worker publishes it. items: (user, flags) of targets,
    (chat, delivered, last) of a list, (user, flags, last seen) of presences,
    records of a page."""
    out = struct.pack("<BB", NUMBER_OF[kind], flags)
    for name, fmt in FIELDS:
        if name not in OF_TYPE[kind].split():
            continue
        value = fields.pop(name, None)
        if fmt == "str":
            value = value.encode() if isinstance(value, str) else value
            out += struct.pack("<I", ABSENT if value is None else len(value))
            out += value or b""
        elif name == "chat":
            out += (value or NO_CHAT).bytes
        else:
            out += struct.pack("<" + fmt, value or 0)
    assert not fields, fields

    if kind in ("ENTRY", "NOTICE"):
        out += b"".join(struct.pack("<QB", *item) for item in items)
    elif kind == "SYNC_LIST":
        out += page_requests(*items)
    elif kind == "PRESENCE":
        out += b"".join(struct.pack("<QBq", *item) for item in items)
    elif kind == "SYNC_PAGE":
        out += b"".join(items)
    return struct.pack("<I", len(out)) + out


def batch(data):
    """The records of one PUBLISH."""
    assert data[0] == 1
    return records(data[1:])


def records(data):
    out, pos = [], 0
    while pos < len(data):
        n, = struct.unpack_from("<I", data, pos)
        out.append(record(data[pos + 4:pos + 4 + n]))
        pos += 4 + n
    assert pos == len(data)
    return out


def record(data):
    rec = types.SimpleNamespace(type=RECORDS[data[0]], flags=data[1])
    pos = 2
    for name, fmt in FIELDS:
        if name not in OF_TYPE[rec.type].split():
            continue
        if fmt == "str":
            n, = struct.unpack_from("<I", data, pos)
            pos += 4
            value = None
            if n != ABSENT:
                value = data[pos:pos + n].decode()
                pos += n
        else:
            value, = struct.unpack_from("<" + fmt, data, pos)
            pos += struct.calcsize(fmt)
        setattr(rec, name, uuid.UUID(bytes=value) if name == "chat" else value)

    tail = data[pos:]
    if rec.type in ("ENTRY", "NOTICE"):
        rec.items = [struct.unpack_from("<QB", tail, i)
                     for i in range(0, len(tail), 9)]
    elif rec.type == "SYNC_LIST":
        rec.items = [(uuid.UUID(bytes=tail[i:i + 16]),
                      *struct.unpack_from("<QQ", tail, i + 16))
                     for i in range(0, len(tail), 32)]
    elif rec.type == "PRESENCE":
        rec.items = list(struct.iter_unpack("<QBq", tail))
    elif rec.type == "SYNC_PAGE":
        rec.items = records(tail)
    return rec
