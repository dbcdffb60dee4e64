"""restload.py: a device without a socket, which writes and reads by REST.

Uses the chats and the record of load.py's clients. A send that fails or is
answered with 429, 500, 502 or 503 is repeated with the same messageId, as
the contract requires.
"""

import asyncio
import json
import time

from checker import Ack, Refused, Send

LIMIT = 12              # s for an answer; the edge answers 503 after 10


async def call(port, method, path, token, body=None):
    """Returns (status, parsed body); OSError when the connection fails."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        data = b"" if body is None else json.dumps(body).encode()
        writer.write((
            f"{method} /api/v1{path} HTTP/1.1\r\nHost: chat\r\n"
            f"Authorization: Bearer {token}\r\nConnection: close\r\n"
            "Content-Type: application/json\r\n"
            f"Content-Length: {len(data)}\r\n\r\n").encode() + data)
        answer = await reader.read(-1)
    finally:
        writer.close()
    head, _, content = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 "):
        raise OSError("no answer")
    if b"chunked" in head.lower():
        content = unchunk(content)
    try:
        return int(head[9:12]), json.loads(content) if content else None
    except ValueError:
        raise OSError("incomplete answer") from None


def unchunk(data):
    out = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        n = int(size, 16)
        if n == 0:
            return out
        out += data[:n]
        data = data[n + 2:]
    raise ValueError("incomplete answer")


class RestClient:
    """Sends `rate` messages per second, one after the other, to its chats in
    turn, and concurrently requests the list of chats."""

    def __init__(self, swarm, user, device, chats, rate=2):
        self.swarm = swarm
        self.user = user
        self.device = device
        self.chats = chats
        self.rate = rate
        self.token = swarm.signer.token(user, device)
        self.number = 0
        self.waiting = 0            # sends without an answer
        self.read_ok = []           # times of reads answered with 200
        self.sent_ok = []           # times of acknowledged sends
        self.stopping = False
        swarm.record.user_of[device] = user
        swarm.record.absent.add(device)

    def start(self):
        self.tasks = [asyncio.ensure_future(self._writes()),
                      asyncio.ensure_future(self._reads())]

    async def settle(self):
        self.stopping = True
        await asyncio.gather(*self.tasks)

    async def _writes(self):
        while not self.stopping:
            self.number += 1
            await self._send(self.chats[self.number % len(self.chats)],
                             f"{self.device}-rest-{self.number}")
            await asyncio.sleep(1 / self.rate)

    async def _send(self, chat, mid):
        record, content = self.swarm.record, f"text {mid}"
        while True:
            record.add(Send(time.monotonic(), self.device, None, chat, mid,
                            content))
            wait = 0.2
            try:
                status, body = await asyncio.wait_for(call(
                    self.swarm.port, "POST", f"/chats/{chat}/messages",
                    self.token, {"messageId": mid, "content": content}),
                    LIMIT)
            except (OSError, asyncio.TimeoutError):
                status, body = 0, None
            now = time.monotonic()
            if status in (200, 201):
                self.sent_ok.append(now)
                record.add(Ack(now, self.device, None, chat, mid,
                               body["seq"]))
                return
            if status in (429, 500, 502, 503):
                wait = (body or {}).get("retryAfter", 1)
            elif status:
                record.add(Refused(now, self.device, None, chat, mid,
                                   (body or {}).get("code")))
                return
            await asyncio.sleep(wait)

    async def _reads(self):
        while not self.stopping:
            try:
                status, _ = await asyncio.wait_for(
                    call(self.swarm.port, "GET", "/chats?limit=10",
                         self.token), 5)
            except (OSError, asyncio.TimeoutError):
                status = 0
            if status == 200:
                self.read_ok.append(time.monotonic())
            await asyncio.sleep(0.2)

    def recovered(self, since):
        """Seconds from `since` to the first answered read, or None."""
        return next((t - since for t in self.read_ok if t >= since), None)
