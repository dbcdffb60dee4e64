"""chatclient.py: a client written against the contract alone.

Used by tests/flow and tests/faults. The client does what the contract asks
for: it logs in with a code, resends an unanswered frame with the same
messageId, marks what it has received, and reconnects as the close code says.
It also checks what the contract promises a client: each entry of a chat comes
once, in order and without gaps, on every connection. Every broken promise is
added to `violations`; a test asserts that this list is empty.
"""

import asyncio
import json
import random
import time
import uuid

import requests
import websockets

RESEND = 10         # s without an answer
MARK_COUNT = 64     # entries
MARK_DELAY = 0.2    # s


class Problem(Exception):
    """A REST call was refused; .code is the error code of the contract."""

    def __init__(self, answer):
        self.status = answer.status_code
        self.headers = answer.headers
        self.text = answer.text
        try:
            self.body = answer.json()
        except ValueError:
            self.body = {}
        self.code = self.body.get("code")
        super().__init__(f"{self.status} {self.code}: {self.text[:300]}")


class Refused(Exception):
    """A frame was answered with `error`; .code is the error code."""

    def __init__(self, frame):
        self.frame = frame
        self.code = frame.get("code")
        super().__init__(f"{self.code}: {frame.get('message')}")


class Gone(Exception):
    """The connection is closed and the client must not reconnect."""


class Api:
    """The REST API. The base URL is the only state."""

    def __init__(self, url):
        self.url = url.rstrip("/")
        self.base = self.url + "/api/v1"
        self.http = requests.Session()

    def raw(self, method, path, token=None, headers=None, **kw):
        head = dict(headers or {})
        if token:
            head["Authorization"] = "Bearer " + token
        kw.setdefault("timeout", 20)
        base = self.base if not path.startswith("//") else self.url
        return self.http.request(method, base + path.replace("//", "/"),
                                 headers=head, **kw)

    def call(self, method, path, body=None, token=None, **kw):
        if body is not None:
            kw["json"] = body
        answer = self.raw(method, path, token, **kw)
        if answer.status_code >= 400:
            raise Problem(answer)
        return answer.json() if answer.content else None


def new_id():
    return str(uuid.uuid4())


class Phone:
    """One device of one user."""

    def __init__(self, url, number, name="phone", platform="test"):
        self.api = Api(url)
        self.ws_url = "ws" + url[4:].rstrip("/") + "/ws"
        self.number = number
        self.name = name
        self.platform = platform
        self.access = self.refresh_token = None
        self.user = self.device = None

        self.frames = []            # everything received, in order
        self.log = {}               # chat -> {seq: entry}
        self.violations = []
        self.closed = []            # (code, reason) of connections that ended
        self.connections = 0
        self.auto_mark = True
        self.auto_reconnect = False
        self.welcome = None
        self.synced = False

        self._conn = None
        self._pending = {}          # (chat, messageId) -> _Sent
        self._wrote = {}            # (chat, messageId) -> frame, never removed
        self._marked = {}           # chat -> highest mark sent
        self._got = {}              # chat -> highest seq recorded
        self._unmarked = {}         # chat -> entries since the last mark
        self._change = asyncio.Event()
        self._tasks = set()
        self._stopping = False
        self._reconnecting = False

    # ------------------------------------------------------------- account

    def login(self, revoke=None, pin=None):
        code = self.api.call("POST", "/auth/code",
                             {"phoneNumber": self.number})["devCode"]
        body = {"phoneNumber": self.number, "code": code,
                "device": {"name": self.name, "platform": self.platform}}
        if revoke:
            body["revokeDeviceId"] = revoke
        if pin:
            body["pin"] = pin
        self._pair(self.api.call("POST", "/auth/login", body))
        return self

    def refresh(self):
        self._pair(self.api.call("POST", "/auth/refresh",
                                 {"refreshToken": self.refresh_token}))

    def _pair(self, answer):
        self.access = answer["accessToken"]
        self.refresh_token = answer["refreshToken"]
        self.user = answer.get("userId", self.user)
        self.device = answer.get("deviceId", self.device)

    def sibling(self, name):
        """Another device of the same user, not logged in yet."""
        return Phone(self.api.url, self.number, name, self.platform)

    # ---------------------------------------------------------------- REST

    def call(self, method, path, body=None, **kw):
        return self.api.call(method, path, body, token=self.access, **kw)

    async def rest(self, method, path, body=None, **kw):
        """call() in a thread, so that the event loop keeps running."""
        return await asyncio.to_thread(self.call, method, path, body, **kw)

    async def direct(self, other):
        user = getattr(other, "user", other)
        chat = await self.rest("POST", "/chats",
                               {"type": "direct", "memberIds": [user]})
        return chat["chatId"]

    async def group(self, title, *others):
        chat = await self.rest("POST", "/chats", {
            "type": "group", "title": title,
            "memberIds": [getattr(o, "user", o) for o in others]})
        return chat["chatId"]

    async def history(self, chat):
        """Every entry of a chat, read by REST, in order."""
        entries, after = [], 0
        while True:
            page = await self.rest(
                "GET", f"/chats/{chat}/messages?after={after}&limit=100")
            entries += page["items"]
            if page["complete"]:
                return entries
            after = page["items"][-1]["seq"]

    # ---------------------------------------------------------- connection

    async def connect(self, timeout=15, synced=True):
        """Opens the socket; returns when all missed entries have arrived."""
        self._stopping = False
        await self._open(timeout)
        if synced:
            await self.until(lambda: self.synced, timeout, "sync_complete")
        return self

    async def _open(self, timeout=15):
        ws = await websockets.connect(
            self.ws_url, subprotocols=["chat.v1"],
            extra_headers={"Authorization": "Bearer " + self.access},
            max_size=1 << 20, max_queue=None, ping_interval=None,
            open_timeout=timeout, close_timeout=3, compression=None)
        self.connections += 1
        conn = _Connection(self, ws)
        conn.task = self._spawn(conn.read())
        await asyncio.wait_for(conn.welcomed.wait(), timeout)
        if conn.over:
            raise Gone(self.closed[-1])
        old, self._conn = self._conn, conn
        self.synced = conn.synced
        for sent in list(self._pending.values()):
            await self._put(sent)
        return old

    async def close(self):
        """Closes the connection properly, as an app does when it exits."""
        self._stopping = True
        conn, self._conn = self._conn, None
        if conn:
            await self._flush_marks(conn)
            await conn.ws.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    def drop(self):
        """Aborts the TCP connection without a close frame."""
        if self._conn:
            self._conn.ws.transport.abort()

    @property
    def connected(self):
        return self._conn is not None and not self._conn.over

    def _spawn(self, coro):
        task = asyncio.ensure_future(coro)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _ended(self, conn):
        self.closed.append((conn.ws.close_code, conn.ws.close_reason))
        if conn is self._conn:
            self._conn = None
            self.synced = False
            code = conn.ws.close_code or 1006
            if self.auto_reconnect and not self._stopping:
                if code == 4401 or code < 4400:
                    self._spawn(self._reconnect(code))
                else:
                    self._fail(Gone(code))
        self._changed()

    async def _reconnect(self, code, wait=None):
        """Reconnects with full-jitter backoff."""
        if self._reconnecting:
            return
        self._reconnecting = True
        try:
            await self._reconnect_loop(code, wait)
        finally:
            self._reconnecting = False

    async def _reconnect_loop(self, code, wait):
        n = 0
        while not self._stopping:
            await asyncio.sleep(random.uniform(0, min(5, 0.2 * 2 ** n))
                                if wait is None else wait)
            wait, n = None, n + 1
            try:
                if code == 4401:
                    await asyncio.to_thread(self.refresh)
                    code = 1006
                old = await self._open()
            except websockets.exceptions.InvalidStatusCode as e:
                if e.status_code == 401:
                    code = 4401
                continue
            except (OSError, asyncio.TimeoutError, Gone, Problem,
                    requests.RequestException,
                    websockets.exceptions.WebSocketException):
                continue
            if old and not old.over:
                await old.ws.close()
            return

    # ------------------------------------------------------------- sending

    async def put(self, frame):
        """Sends a frame without waiting for an answer; text and bytes are
        sent unchanged."""
        await self._conn.ws.send(frame if isinstance(frame, (str, bytes))
                                 else json.dumps(frame))

    async def send(self, chat, content, message_id=None, wait=60, **fields):
        """Sends a message and returns its message_ack, or raises Refused. The
        frame is resent after 10 s and on every new connection until there is
        an answer."""
        frame = {"type": "send_message", "chatId": chat,
                 "messageId": message_id or new_id(), "content": content}
        frame.update(fields)
        return await self.ask(frame, wait)

    async def ask(self, frame, wait=60):
        """Like send(), for any frame that has a messageId."""
        key = (frame["chatId"], frame["messageId"])
        sent = self._pending.get(key)
        if sent is None:
            sent = self._pending[key] = _Sent(frame)
            self._wrote[key] = frame
            await self._put(sent)
        try:
            return await asyncio.wait_for(asyncio.shield(sent.answer), wait)
        except asyncio.TimeoutError:
            raise AssertionError(
                f"{self.name} (user {self.user}, device {self.device}): no "
                f"answer to {key} within {wait} s, sent {sent.tries} times, "
                f"connected {self.connected}, synced {self.synced}, closed "
                f"{self.closed[-3:]}, last frames {self.frames[-3:]}"
            ) from None
        finally:
            self._pending.pop(key, None)

    async def _put(self, sent):
        if sent.timer:
            sent.timer.cancel()
        loop = asyncio.get_running_loop()
        sent.timer = loop.call_later(
            RESEND, lambda: self._spawn(self._resend(sent)))
        if self.connected:
            sent.tries += 1
            try:
                await self._conn.ws.send(json.dumps(sent.frame))
            except websockets.exceptions.ConnectionClosed:
                pass            # resent on the next connection

    async def _resend(self, sent):
        if not sent.answer.done() and not self._stopping:
            await self._put(sent)

    def _answer(self, frame):
        key = (frame.get("chatId"), frame.get("messageId"))
        sent = self._pending.get(key)
        if sent is None or sent.answer.done():
            return None
        if frame["type"] == "error":
            after = frame.get("retryAfter")
            if frame["code"] in ("unavailable", "rate_limited") and after \
                    and sent.patient:
                sent.timer.cancel()
                sent.timer = asyncio.get_running_loop().call_later(
                    after, lambda: self._spawn(self._resend(sent)))
                return None
        sent.timer.cancel()
        if frame["type"] == "error":
            sent.answer.set_exception(Refused(frame))
        else:
            sent.answer.set_result(frame)
        return sent

    def _fail(self, error):
        for sent in self._pending.values():
            if not sent.answer.done():
                sent.answer.set_exception(error)

    # ----------------------------------------------------------- receiving

    def _received(self, conn, frame):
        self.frames.append(frame)
        kind = frame["type"]
        if kind == "welcome":
            self.welcome = frame
            conn.welcomed.set()
        elif kind == "sync_complete":
            if conn.synced:
                self.violations.append("a second sync_complete")
            conn.synced = True
            if conn is self._conn:
                self.synced = True
        elif kind == "new_message":
            self._entry(conn, frame["chatId"], frame["seq"], frame)
        elif kind == "message_ack":
            self._answer(frame)
            # an ack counts as the entry, also the second ack of a frame that
            # was sent on two connections
            entry = dict(self._wrote.get((frame["chatId"],
                                          frame["messageId"]), {}))
            entry.update(frame)
            self._entry(conn, frame["chatId"], frame["seq"], entry, ack=True)
        elif kind == "error":
            self._answer(frame)
        elif kind == "chat_added":
            chat = frame["chatId"]
            conn.next.setdefault(chat, frame["fromSeq"])
            self._marked.setdefault(chat, frame["fromSeq"] - 1)
        elif kind == "reconnect":
            if conn is self._conn and self.auto_reconnect:
                self._spawn(self._reconnect(1012, frame["after"] / 1000))
        self._changed()

    def _entry(self, conn, chat, seq, entry, ack=False):
        mine = self.log.setdefault(chat, {})
        expected = conn.next.get(chat)
        what = "an ack" if ack else "an entry"
        if expected is None:
            # the first entry of this chat on this connection must not leave
            # a gap after the mark
            mark = self._marked.get(chat)
            if mark is not None and seq > mark + 1:
                self.violations.append(
                    f"{self.name}: {chat} begins with {what} {seq}, the mark "
                    f"is {mark}, connection {self.connections}")
        elif seq > expected:
            self.violations.append(
                f"{self.name}: {chat} has {what} {seq} where {expected} "
                f"was expected, connection {self.connections}")
        elif seq < expected:
            if not ack:
                self.violations.append(
                    f"{self.name}: {chat} has {what} {seq} again, {expected} "
                    f"was expected")
            return
        conn.next[chat] = seq + 1
        mine[seq] = entry
        self._got[chat] = max(seq, self._got.get(chat, 0))
        if self.auto_mark:
            n = self._unmarked[chat] = self._unmarked.get(chat, 0) + 1
            if n >= MARK_COUNT:
                self._spawn(self._mark(conn, chat))
            elif n == 1:
                self._spawn(self._mark_later(conn, chat))

    async def _mark_later(self, conn, chat):
        await asyncio.sleep(MARK_DELAY)
        if self._unmarked.get(chat):
            await self._mark(conn, chat)

    async def _mark(self, conn, chat):
        self._unmarked[chat] = 0
        seq = conn.next[chat] - 1
        if conn.over:
            return
        try:
            await conn.ws.send(json.dumps(
                {"type": "delivered", "chatId": chat, "seq": seq}))
            self._marked[chat] = max(seq, self._marked.get(chat, 0))
        except websockets.exceptions.ConnectionClosed:
            pass                # the server sends the entries again

    async def _flush_marks(self, conn):
        for chat, n in list(self._unmarked.items()):
            if n and chat in conn.next:
                await self._mark(conn, chat)

    # -------------------------------------------------------------- waiting

    def _changed(self):
        self._change.set()

    async def until(self, what, timeout=15, say="something"):
        """Waits until what() is true; checks it after every frame."""
        end = time.monotonic() + timeout
        while True:
            self._change.clear()
            value = what()
            if value:
                return value
            left = end - time.monotonic()
            if left <= 0:
                raise AssertionError(
                    f"{self.name}: no {say} within {timeout} s; closed "
                    f"{self.closed[-3:]}, last frames {self.frames[-5:]}")
            try:
                await asyncio.wait_for(self._change.wait(), min(left, 1))
            except asyncio.TimeoutError:
                pass

    async def frame(self, type_, timeout=15, since=0, **fields):
        """The first frame of this type and with these fields, from index
        `since` of self.frames on."""
        def find():
            for f in self.frames[since:]:
                if f["type"] == type_ and all(f.get(k) == v
                                              for k, v in fields.items()):
                    return f
            return None
        return await self.until(find, timeout, f"{type_} {fields}")

    async def has(self, chat, seq, timeout=15):
        """Waits until every entry up to seq has arrived."""
        await self.until(lambda: self._got.get(chat, 0) >= seq, timeout,
                         f"entry {seq} of {chat}")

    async def ended(self, timeout=15):
        """Waits until this connection is closed; returns the close code."""
        n = len(self.closed) if self.connected else len(self.closed) - 1
        await self.until(lambda: len(self.closed) > n, timeout, "close")
        return self.closed[-1][0]

    def contents(self, chat):
        """What this device has received of a chat: [(seq, content)]."""
        return [(seq, e.get("content"))
                for seq, e in sorted(self.log.get(chat, {}).items())]


class _Sent:
    def __init__(self, frame):
        self.frame = frame
        self.answer = asyncio.get_running_loop().create_future()
        self.timer = None
        self.tries = 0
        self.patient = True     # observes the retryAfter of `unavailable`


class _Connection:
    def __init__(self, phone, ws):
        self.phone = phone
        self.ws = ws
        self.welcomed = asyncio.Event()
        self.synced = False
        self.over = False
        self.next = {}          # chat -> next expected seq
        self.task = None

    async def read(self):
        ping = asyncio.ensure_future(self.heartbeat())
        try:
            async for text in self.ws:
                self.phone._received(self, json.loads(text))
        except websockets.exceptions.ConnectionClosed:
            pass
        finally:
            ping.cancel()
            self.over = True
            self.welcomed.set()
            self.phone._ended(self)

    async def heartbeat(self):
        await self.welcomed.wait()
        every = (self.phone.welcome or {}).get("heartbeat", 30)
        while True:
            await asyncio.sleep(every)
            await self.ws.send('{"type":"ping"}')
