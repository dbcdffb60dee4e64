"""Helpers of the API tests: requests over the socket, chats by SQL."""

import http.client
import itertools
import json
import random
import socket
import time
import uuid

from stores import Worker, wait_for

BASE = "/api/v1"
_numbers = itertools.count(random.randrange(10**6) * 1000)
DEVICE = {"name": "Phone", "platform": "test"}


def new_number():
    return f"+1666{next(_numbers):011d}"


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout=20):
        super().__init__("chat", timeout=timeout)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Reply:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.text = response.read()
        self.type = response.headers.get("Content-Type")
        self.json = json.loads(self.text) if self.text else None

    @property
    def code(self):
        return self.json["code"]

    def __repr__(self):
        return f"<{self.status} {self.text[:300]}>"


class Login:
    """A device that has logged in."""

    def __init__(self, rest, login, number):
        self.rest, self.number = rest, number
        self.user, self.device = login["userId"], login["deviceId"]
        self.refresh, self.access = login["refreshToken"], login["accessToken"]
        self.new = login["newUser"]

    def __getattr__(self, name):
        if name not in ("get", "put", "post", "patch", "delete"):
            raise AttributeError(name)

        def call(path, body=None, **kw):
            return self.rest(name.upper(), path, body, user=self.user,
                             device=self.device, **kw)
        return call


class Rest:
    """An API worker and requests to it: rest("GET", "/chats", user=1)."""

    def __init__(self, stores, **keys):
        self.stores = stores
        self.conf = stores.conf(**keys)
        stores.ctl("keys", "generate", conf=self.conf)
        self.home = self.conf.parent
        self.socket = keys.get("api_socket", self.home / "run" / "api.sock")
        (self.home / "run").mkdir(exist_ok=True)
        self.worker = None

    def start(self, **env):
        self.worker = Worker(self.conf, "api", **env)
        wait_for(self.answers, 10, "API worker")
        return self

    def answers(self):
        assert self.worker.process.poll() is None, self.worker.log()
        try:
            return self("GET", "/nothing").status == 404
        except OSError:
            return False

    def stop(self):
        return self.worker.stop()

    def __call__(self, method, path, body=None, user=None, device=None,
                 headers=None, raw=None, base=BASE, connection=None):
        c = connection or UnixConnection(self.socket)
        head = {}
        if user is not None:
            head["X-Chat-User-Id"] = str(user)
        if device is not None:
            head["X-Chat-Device-Id"] = str(device)
        if body is not None:
            raw = json.dumps(body)
            head["Content-Type"] = "application/json"
        head.update(headers or {})
        try:
            c.request(method, base + path, raw, head)
            return Reply(c.getresponse())
        finally:
            if connection is None:
                c.close()

    def post(self, path, body=None, **kw):
        return self("POST", path, body, **kw)

    def code(self, number, **kw):
        reply = self.post("/auth/code", {"phoneNumber": number}, **kw)
        assert reply.status == 202, reply
        return reply.json["devCode"]

    def login_raw(self, number, code, device=DEVICE, headers=None, **more):
        return self.post("/auth/login", {
            "phoneNumber": number, "code": code, "device": device, **more},
            headers=headers)

    def login(self, number=None, **more):
        number = number or new_number()
        reply = self.login_raw(number, self.code(number), **more)
        assert reply.status == 200, reply
        return Login(self, reply.json, number)

    def refresh(self, token):
        return self.post("/auth/refresh", {"refreshToken": token})


def add_chat(stores, members, kind=2, title="A group", last=0, chat=None,
             active=None):
    """members: {user: {column: value}}. Returns the chat's id."""
    chat = chat or str(uuid.uuid4())
    stores.sql("INSERT INTO chats (id, type, title, created_by, last_seq,"
               " last_message_time) VALUES (%s, %s, %s, %s, %s,"
               " coalesce(%s::timestamptz, now()))",
               chat, kind, title, int(next(iter(members))), last, active)
    for user, more in members.items():
        row = {"role": 3, "joined_seq": 1, **more}
        names = ", ".join(row)
        placeholders = ", ".join(["%s"] * len(row))
        stores.sql(f"INSERT INTO chat_members (chat_id, user_id, {names})"
                   f" VALUES (%s, %s, {placeholders})", chat, int(user),
                   *row.values())
    return chat


def add_entries(stores, chat, first, last, sender, **more):
    """Inserts messages "m1", "m2", ... and raises the chat's last_seq."""
    row = {"kind": 1, "sender_device": 1, **more}
    for seq in range(first, last + 1):
        names = ", ".join(row)
        placeholders = ", ".join(["%s"] * len(row))
        content = row.get("content", f"m{seq}")
        stores.sql("INSERT INTO entries (chat_id, seq, sender_id, created_at,"
                   f" message_id{'' if 'content' in row else ', content'},"
                   f" {names}) VALUES (%s, %s, %s, now(), %s"
                   f"{'' if 'content' in row else ', %s'}, {placeholders})",
                   chat, seq, int(sender), f"id-{seq}",
                   *([] if "content" in row else [content]), *row.values())
    stores.sql("UPDATE chats SET last_seq = greatest(last_seq, %s)"
               " WHERE id = %s", last, chat)


def soon(condition, timeout=5, say="true condition"):
    return wait_for(condition, timeout, say)


def now():
    return time.time()
