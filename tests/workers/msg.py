"""msg.py: helpers of the message worker's tests: events, chats and users."""

import json
import uuid

import inner
from fake_edge import FakeEdge


def shard(chat):
    return chat.bytes[15] & 63


def stream(chat):
    return "message.sent:{%d}" % shard(chat)


def new_chat(of_shard=None):
    raw = bytearray(uuid.uuid4().bytes)
    if of_shard is not None:
        raw[15] = (raw[15] & 0xc0) | of_shard
    return uuid.UUID(bytes=bytes(raw))


class MessageEdge(FakeEdge):
    """The edge as the message worker sees it."""

    connect = FakeEdge.route

    def add(self, kind, chat, **kw):
        return super().add(stream(chat), kind, chat=chat, **kw)

    def call(self, kind, chat, user, device=None, body=None, timeout=10, **kw):
        """Writes a REST request; returns (status, body)."""
        if body is not None and not isinstance(body, (str, bytes)):
            body = json.dumps(body)
        session = self.add(kind, chat, flags=inner.F_REST, user=user,
                           device=device or user * 10, body=body or "", **kw)
        rec = self.wait(lambda r: r.type == "HTTP" and r.session == session,
                        timeout)
        return rec.status, json.loads(rec.frame) if rec.frame else None

    def send(self, chat, user, mid, content="hello", device=None, timeout=10,
             **kw):
        """Sends as a WebSocket session does; returns the answer: an ENTRY, ACK
        or FRAME."""
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
    """Inserts the rows by SQL; the first member owns a group."""
    chat = chat or new_chat()
    stores.sql("INSERT INTO chats (id, type, title, created_by)"
               " VALUES (%s, %s, %s, %s)", str(chat), kind, title, members[0])
    stores.sql("INSERT INTO chat_members (chat_id, user_id, role, joined_seq)"
               " SELECT %s, u, CASE WHEN u = %s AND %s = 2 THEN 1 ELSE 3 END,"
               " 1 FROM unnest(%s) u", str(chat), members[0], kind, members)
    return chat


def code(rec):
    return json.loads(rec.frame)["code"]
