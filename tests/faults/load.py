"""load.py: a swarm of simulated clients that record what they see.

One process with one event loop and its own WebSocket code on asyncio's
protocols, so that 500 clients with 500 messages per second leave enough of
two cores to the servers. Each client follows the contract: it resends what
was not answered (after 10 s, after retryAfter, on a new connection), sends
receipts, pings, reconnects with full-jitter backoff, changes the connection
on `reconnect`, refreshes its token on 4401, and does not reconnect after
4403 and 4409. Sends, answers and received entries are added to a
checker.Record.

SQL statements create users, devices and chats, and the stack's own key signs
the tokens: logins are not tested here.
"""

import asyncio
import base64
import collections
import json
import os
import random
import socket
import struct
import time
import uuid

import nacl.signing
import psycopg2
import psycopg2.extras

from checker import Ack, Got, Mark, Opened, Record, Refused, Send

RESEND = 10             # s without an answer
RECEIPT_COUNT = 64      # entries
RECEIPT_DELAY = 0.2     # s
TICK = 0.05             # s
BACKOFF = 0.1, 2.0      # s: first and longest delay
OPEN_LIMIT = 5          # s for the handshake and the welcome
CLOSE_REPLACED = 8      # s until the client closes a replaced connection
                        # that the edge should have closed
PING_AFTER = 5          # s without data until a client sends a ping
PONG_LIMIT = 5          # s without an answer until the socket counts as dead

TCP_REPAIR = 19


# -------------------------------------------------------------------- users

def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Signer:
    """Access tokens, signed with the stack's private key."""

    def __init__(self, stack):
        jwk = json.loads((stack.home / "keys" / "token.jwk").read_text())
        jwk = jwk["keys"][0] if "keys" in jwk else jwk
        d = jwk["d"] + "=" * (-len(jwk["d"]) % 4)
        self.key = nacl.signing.SigningKey(base64.urlsafe_b64decode(d))
        self.head = b64(json.dumps({"alg": "EdDSA", "typ": "JWT",
                                    "kid": jwk["kid"]}).encode())

    def token(self, user, device, life=3600):
        now = int(time.time())
        body = b64(json.dumps({"sub": user, "did": device, "iat": now - 1,
                               "exp": now + life}).encode())
        text = self.head + "." + body
        return text + "." + b64(self.key.sign(text.encode()).signature)


def make_users(stack, n, devices=1):
    """Returns [(user, [device ...])], all as strings."""
    db = psycopg2.connect(stack.dsn())
    base = 10**13 + random.randrange(10**12)
    with db, db.cursor() as cur:
        users = [r[0] for r in psycopg2.extras.execute_values(
            cur, "INSERT INTO users (phone_number) VALUES %s RETURNING id",
            [(f"+1{base + i}",) for i in range(n)], page_size=1000,
            fetch=True)]
        found = psycopg2.extras.execute_values(
            cur, "INSERT INTO devices (user_id, name, platform) VALUES %s"
            " RETURNING user_id, id",
            [(u, f"d{k}", "test") for u in users for k in range(devices)],
            page_size=1000, fetch=True)
    db.close()
    of = collections.defaultdict(list)
    for user, device in found:
        of[user].append(str(device))
    return [(str(u), of[u]) for u in users]


def make_chats(stack, groups):
    """groups: [[user ...] ...]. Returns the chatIds."""
    db = psycopg2.connect(stack.dsn())
    ids = [str(uuid.uuid4()) for _ in groups]
    with db, db.cursor() as cur:
        psycopg2.extras.execute_values(
            cur, "INSERT INTO chats (id, type, title, created_by) VALUES %s",
            [(c, 2, "load", int(g[0])) for c, g in zip(ids, groups)],
            page_size=1000)
        psycopg2.extras.execute_values(
            cur, "INSERT INTO chat_members (chat_id, user_id, role,"
            " joined_seq) VALUES %s",
            [(c, int(u), 1 if u == g[0] else 3, 1)
             for c, g in zip(ids, groups) for u in g], page_size=1000)
    db.close()
    return ids


def truth(stack, chats):
    rows = stack.sql(
        "SELECT chat_id::text, seq, sender_device::text, message_id, content"
        " FROM entries WHERE chat_id = ANY(%s::uuid[]) ORDER BY 1, 2",
        list(chats))
    return [tuple(r) for r in rows]


# ---------------------------------------------------------------- WebSocket

def ws_frame(op, payload):
    """A masked frame, as clients send it."""
    n = len(payload)
    if n < 126:
        head = struct.pack("!BB", 0x80 | op, 0x80 | n)
    elif n < 65536:
        head = struct.pack("!BBH", 0x80 | op, 0x80 | 126, n)
    else:
        head = struct.pack("!BBQ", 0x80 | op, 0x80 | 127, n)
    key = os.urandom(4)
    mask = (key * (n // 4 + 1))[:n]
    masked = (int.from_bytes(payload, "big")
              ^ int.from_bytes(mask, "big")).to_bytes(n, "big")
    return head + key + masked


class Connection(asyncio.Protocol):
    """One socket; passes frames and the close to its client."""

    count = 0

    def __init__(self, client):
        Connection.count += 1
        self.client = client
        self.name = f"{client.device}/{Connection.count}"
        self.transport = None
        self.buf = b""
        self.head = True            # reading the HTTP head
        self.status = None          # HTTP status
        self.code = None            # close code
        self.closed = False
        self.silent = False         # ignores input, sends nothing
        self.welcome = asyncio.get_running_loop().create_future()
        self.welcome.add_done_callback(lambda f: f.exception())
        self.synced = False
        self.due = {}               # chat -> next seq
        self.dirty = {}             # chat -> [entries, since], no receipt yet
        self.heard = time.monotonic()       # time of the last data
        self.asked = None           # time of an unanswered ping
        self.heartbeat = 30
        self.pinged = self.heard

    def connection_made(self, transport):
        self.transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write((
            "GET /ws HTTP/1.1\r\nHost: chat\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key}\r\n"
            "Sec-WebSocket-Protocol: chat.v1\r\n"
            f"Authorization: Bearer {self.client.token}\r\n\r\n").encode())

    def data_received(self, data):
        if self.silent:
            return
        self.heard = time.monotonic()
        self.asked = None
        buf = self.buf + data if self.buf else data
        pos = 0

        if self.head:
            end = buf.find(b"\r\n\r\n")
            if end < 0:
                self.buf = buf
                return
            self.status = int(buf[9:12])
            if self.status != 101:
                self.transport.abort()
                return
            self.head = False
            pos = end + 4

        size = len(buf)
        while size - pos >= 2:
            op = buf[pos] & 15
            n = buf[pos + 1] & 127
            at = pos + 2
            if n == 126:
                if size - pos < 4:
                    break
                n = int.from_bytes(buf[pos + 2:pos + 4], "big")
                at = pos + 4
            elif n == 127:
                if size - pos < 10:
                    break
                n = int.from_bytes(buf[pos + 2:pos + 10], "big")
                at = pos + 10
            if size - at < n:
                break
            self.frame(op, buf[at:at + n])
            pos = at + n
        self.buf = buf[pos:]

    def frame(self, op, payload):
        if op == 1:
            self.client.frame(self, json.loads(payload))
        elif op == 8:
            self.code = int.from_bytes(payload[:2], "big") or 1005
            self.transport.write(ws_frame(8, payload[:2]))
            self.transport.close()
        elif op == 9:
            self.transport.write(ws_frame(10, payload))

    def send(self, text):
        if not self.closed and not self.silent:
            self.transport.write(ws_frame(1, text.encode()))

    def close(self, code=1000):
        if not self.closed and self.transport:
            self.transport.write(ws_frame(8, struct.pack("!H", code)))
            self.transport.close()

    def cut(self):
        """Closes the socket without FIN and RST (TCP_REPAIR); where that is
        not permitted, with a RST."""
        sock = self.transport.get_extra_info("socket")
        try:
            sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
        except OSError:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                            struct.pack("ii", 1, 0))
        self.transport.abort()

    def connection_lost(self, exc):
        if self.closed:
            return
        self.closed = True
        if not self.welcome.done():
            self.welcome.set_exception(OSError("closed"))
        self.client.ended(self)


# ------------------------------------------------------------------- client

class Sent:
    __slots__ = ("chat", "id", "content", "text", "at", "first", "again")

    def __init__(self, chat, mid, content, now):
        self.chat = chat
        self.id = mid
        self.content = content
        self.text = json.dumps({"type": "send_message", "chatId": chat,
                                "messageId": mid, "content": content})
        self.first = now
        self.at = None              # time of the last send
        self.again = None           # time of the next resend


class Client:
    """One device."""

    def __init__(self, swarm, user, device, source=None):
        self.swarm = swarm
        self.record = swarm.record
        self.user = user
        self.device = device
        self.source = source        # local address
        self.token = swarm.signer.token(user, device)
        self.chats = []
        self.conn = None
        self.old = []               # replaced connections, not yet closed
        self.pending = {}           # (chat, messageId) -> Sent
        self.stopped = None         # close code that forbids reconnecting
        self.connecting = None          # task that connects
        self.seen = {}              # chat -> highest seq
        self.receipts = True
        self.number = 0
        self.refreshed = 0
        self.synced_at = None       # time of the last sync_complete

    # ---------------------------------------------------------- connection

    @property
    def up(self):
        return self.conn is not None and not self.conn.closed \
            and self.conn.synced

    def start(self):
        self.connecting = asyncio.ensure_future(self.connect(0))

    async def open(self):
        loop = asyncio.get_running_loop()
        conn = Connection(self)
        try:
            await asyncio.wait_for(loop.create_connection(
                lambda: conn, "127.0.0.1", self.swarm.port,
                local_addr=self.source and (self.source, 0)), OPEN_LIMIT)
            await asyncio.wait_for(asyncio.shield(conn.welcome), OPEN_LIMIT)
        except (OSError, asyncio.TimeoutError):
            if conn.transport:
                conn.closed = True
                conn.transport.abort()
            if conn.status == 401:
                self.refresh()
            raise OSError("not opened") from None
        if self.swarm.stopping:
            conn.close()
            return
        old, self.conn = self.conn, conn
        self.swarm.opened(self)
        if old and not old.closed:
            self.old.append(old)
            loop.call_later(CLOSE_REPLACED, self.close_replaced, old)
        for sent in list(self.pending.values()):
            self.put(sent)

    def close_replaced(self, conn):
        if not conn.closed:
            conn.close()

    def refresh(self):
        self.refreshed += 1
        self.token = self.swarm.signer.token(self.user, self.device)

    async def connect(self, wait):
        """Connects, with full-jitter backoff between the attempts."""
        n = 0
        while not self.swarm.stopping and self.stopped is None:
            if wait:
                await asyncio.sleep(wait)
            try:
                await self.open()
                return
            except OSError:
                self.swarm.failed_opens += 1
                wait = random.uniform(0, min(BACKOFF[1], BACKOFF[0] * 2 ** n))
                n += 1

    def reconnect(self, wait=None):
        if self.swarm.stopping or self.stopped is not None:
            return
        if self.connecting and not self.connecting.done():
            return
        if wait is None:
            wait = random.uniform(0, BACKOFF[0])
        self.connecting = asyncio.ensure_future(self.connect(wait))

    def ended(self, conn):
        self.swarm.closes[conn.code or 1006] += 1
        if conn in self.old:
            self.old.remove(conn)
        if conn is not self.conn:
            return
        self.conn = None
        code = conn.code or 1006
        if code == 4401:
            self.refresh()
        elif code >= 4400:
            self.stopped = code
            return
        if self.swarm.reconnects:
            self.reconnect()

    # ------------------------------------------------------------- sending

    def send(self, chat, content=None):
        self.number += 1
        mid = f"{self.device}-{self.number}"
        sent = Sent(chat, mid, content or f"text {mid}", time.monotonic())
        self.pending[chat, mid] = sent
        if self.swarm.watch:
            self.swarm.watch.sent.add(mid)
        self.put(sent)
        return sent

    def put(self, sent):
        now = time.monotonic()
        conn = self.conn
        if conn is None or conn.closed:
            sent.again = None       # sent on the next connection
            return
        sent.at = now
        sent.again = now + RESEND
        self.record.add(Send(now, self.device, conn.name, sent.chat, sent.id,
                             sent.content))
        conn.send(sent.text)

    # ----------------------------------------------------------- receiving

    def frame(self, conn, f):
        kind = f["type"]
        now = time.monotonic()
        if kind == "new_message":
            chat, seq = f["chatId"], f["seq"]
            self.record.add(Got(now, self.device, conn.name, chat, seq,
                                f["kind"], f.get("senderDeviceId"),
                                f.get("messageId"), f.get("content")))
            self.swarm.got(self, f, now)
            self.arrived(conn, chat, seq, now)
        elif kind == "message_ack":
            chat, seq = f["chatId"], f["seq"]
            self.record.add(Ack(now, self.device, conn.name, chat,
                                f["messageId"], seq))
            sent = self.pending.pop((chat, f["messageId"]), None)
            if sent:
                self.swarm.acked(self, sent, now)
            self.arrived(conn, chat, seq, now)
        elif kind == "error":
            self.error(conn, f, now)
        elif kind == "welcome":
            conn.heartbeat = f["heartbeat"]
            self.record.add(Opened(now, self.device, conn.name))
            if not conn.welcome.done():
                conn.welcome.set_result(f)
        elif kind == "sync_complete":
            conn.synced = True
            self.synced_at = now
        elif kind == "reconnect":
            self.swarm.reconnect_frames.append(now)
            if conn is self.conn:
                self.reconnect(f["after"] / 1000)

    def arrived(self, conn, chat, seq, now):
        """Updates seq and the pending receipt for an entry."""
        if seq < conn.due.get(chat, 0):
            return
        conn.due[chat] = seq + 1
        if seq > self.seen.get(chat, 0):
            self.seen[chat] = seq
        if not self.receipts:
            return
        waiting = conn.dirty.get(chat)
        if waiting is None:
            conn.dirty[chat] = [1, now]
            return
        waiting[0] += 1
        if waiting[0] >= RECEIPT_COUNT:
            self.send_receipt(conn, chat)

    def send_receipt(self, conn, chat):
        del conn.dirty[chat]
        seq = conn.due[chat] - 1
        if conn.closed or conn.silent:
            return
        self.record.add(Mark(time.monotonic(), self.device, conn.name, chat,
                             seq))
        conn.send(f'{{"type":"delivered","chatId":"{chat}","seq":{seq}}}')

    def error(self, conn, f, now):
        self.swarm.errors[f["code"]] += 1
        sent = self.pending.get((f.get("chatId"), f.get("messageId")))
        if sent is None:
            return
        if f["code"] in ("unavailable", "rate_limited", "internal"):
            sent.again = now + f.get("retryAfter", 1)
            return
        del self.pending[sent.chat, sent.id]
        self.record.add(Refused(now, self.device, conn.name, sent.chat,
                                sent.id, f["code"]))

    # ----------------------------------------------------------------- time

    def tick(self, now):
        conn = self.conn
        for sent in list(self.pending.values()):
            if sent.again is not None and sent.again <= now:
                self.put(sent)
        if conn is None or conn.closed:
            return
        if conn.dirty:
            for chat, (_, since) in list(conn.dirty.items()):
                if now - since >= RECEIPT_DELAY:
                    self.send_receipt(conn, chat)
        if conn.silent:
            return
        if now - conn.pinged > conn.heartbeat \
                or (now - conn.heard > PING_AFTER and conn.asked is None):
            conn.pinged = conn.asked = now
            conn.send('{"type":"ping"}')
        elif conn.asked is not None and now - conn.asked > PONG_LIMIT:
            # the ping was not answered: the socket is dead
            conn.cut()


# -------------------------------------------------------------------- swarm

class Swarm:
    """All clients of a run, their send rate and their record."""

    def __init__(self, stack, reconnects=True):
        self.stack = stack
        self.port = stack.port
        self.signer = Signer(stack)
        self.record = Record()
        self.clients = []
        self.by_chat = collections.defaultdict(list)    # chat -> clients
        self.rate = 0               # messages per second
        self.stopping = False
        self.reconnects = reconnects
        self.errors = collections.Counter()
        self.closes = collections.Counter()
        self.opens = []             # times of opened connections
        self.reconnect_frames = []  # times of `reconnect` frames
        self.failed_opens = 0
        self.latency = []           # (t, s): first send to the answer
        self.watch = None           # a Recovery that gets the events
        self._tasks = []

    def groups(self, users, size, devices=1):
        """Adds users in groups of `size`; each group has one chat."""
        people = make_users(self.stack, users, devices)
        groups = [people[i:i + size] for i in range(0, users, size)]
        chats = make_chats(self.stack, [[u for u, _ in g] for g in groups])
        for chat, group in zip(chats, groups):
            self.record.members[chat] = {u: (1, None) for u, _ in group}
            for user, devs in group:
                for device in devs:
                    self.add(user, device, [chat])
        return chats

    def add(self, user, device, chats, source=None):
        client = Client(self, user, device, source)
        client.chats = list(chats)
        self.clients.append(client)
        self.record.user_of[device] = user
        for chat in chats:
            self.by_chat[chat].append(client)
        return client

    async def start(self, timeout=30, every=0.002):
        for c in self.clients:
            c.start()
            await asyncio.sleep(every)
        try:
            await self.until(lambda: all(c.up for c in self.clients),
                             timeout, "connected clients")
        except AssertionError:
            await self.stop()
            raise
        self._tasks = [asyncio.ensure_future(self._ticks()),
                       asyncio.ensure_future(self._pace())]

    async def stop(self):
        self.stopping = True
        self.rate = 0
        for task in self._tasks:
            task.cancel()
        for c in self.clients:
            if c.connecting:
                c.connecting.cancel()
            if c.conn:
                c.conn.close()
        await asyncio.sleep(0.05)
        for c in self.clients:
            if c.conn and not c.conn.closed:
                c.conn.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # a cancelled wait_for() may continue; `stopping` ends it
        await asyncio.gather(
            *[c.connecting for c in self.clients if c.connecting],
            return_exceptions=True)

    async def until(self, condition, timeout, name):
        end = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > end:
                down = sum(not c.up for c in self.clients)
                raise AssertionError(
                    f"no {name} within {timeout} s: {down} of "
                    f"{len(self.clients)} clients are down, "
                    f"{sum(len(c.pending) for c in self.clients)} sends "
                    f"wait, errors {dict(self.errors)}, closes "
                    f"{dict(self.closes)}")
            await asyncio.sleep(0.02)

    async def settle(self, timeout=25):
        """Stops sending and waits until every send is answered and every
        entry has arrived."""
        self.rate = 0
        await self.until(
            lambda: all(c.up and not c.pending for c in self.clients
                        if c.stopped is None), timeout, "answers to all sends")
        self.record.truth = await asyncio.to_thread(
            truth, self.stack, list(self.record.members))
        top = {}
        for chat, seq, *_ in self.record.truth:
            top[chat] = seq
        end = time.monotonic() + 10
        while time.monotonic() < end and not all(
                c.seen.get(chat, 0) >= top.get(chat, 0)
                for c in self.clients if c.stopped is None
                for chat in c.chats):
            await asyncio.sleep(0.05)
        # time for duplicates that arrive late
        await asyncio.sleep(0.3)

    # --------------------------------------------------------------- events

    def opened(self, client):
        self.opens.append(time.monotonic())

    def acked(self, client, sent, now):
        self.latency.append((now, now - sent.first))
        if self.watch:
            self.watch.acked(sent, now)

    def got(self, client, f, now):
        if self.watch:
            self.watch.got(client, f, now)

    async def _ticks(self):
        while True:
            await asyncio.sleep(TICK)
            now = time.monotonic()
            for c in self.clients:
                c.tick(now)

    async def _pace(self):
        """Starts `rate` sends per second; each comes from the next client in
        a shuffled order and goes to one of its chats."""
        order, pending, last = [], 0.0, time.monotonic()
        while True:
            await asyncio.sleep(0.01)
            now = time.monotonic()
            pending = min(pending + (now - last) * self.rate,
                          1 + self.rate / 4)
            last = now
            while pending >= 1 and self.rate:
                pending -= 1
                if not order:
                    order = [c for c in self.clients if c.chats]
                    random.shuffle(order)
                client = order.pop()
                if client.stopped is None:
                    client.send(random.choice(client.chats))


class Recovery:
    """Measures the recovery: every chat has accepted a message that was sent
    after the fault was removed, every device has received one, and every
    client is connected and caught up."""

    def __init__(self, swarm):
        self.swarm = swarm
        self.healed = time.monotonic()
        self.sent = set()           # messageIds sent since then
        self.chats = {}             # chat -> time
        self.devices = {}           # device -> time
        swarm.watch = self

    def acked(self, sent, now):
        if sent.id in self.sent:
            self.chats.setdefault(sent.chat, now)

    def got(self, client, f, now):
        if f.get("messageId") in self.sent:
            self.devices.setdefault(client.device, now)

    def _active(self):
        return [c for c in self.swarm.clients if c.stopped is None]

    def done(self):
        return len(self.chats) == len(self.swarm.by_chat) \
            and all(c.device in self.devices and c.up for c in self._active())

    def seconds(self):
        """Seconds from the removal of the fault to the last of these."""
        last = list(self.chats.values()) + list(self.devices.values())
        last += [c.synced_at for c in self._active() if c.synced_at]
        return max(0.0, max(last, default=self.healed) - self.healed)
