"""HTTP/1.1 and RFC 6455 by hand, so that a test controls every byte.

Frames are built and parsed here without a WebSocket library: a library would
refuse to send the invalid frames of these tests. Called from edge.py and the
tests in its directory.
"""

import collections
import json
import os
import socket
import struct
import time

KEY = "dGhlIHNhbXBsZSBub25jZQ=="            # RFC 6455, section 1.3
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


class Response(collections.namedtuple(
        "Response", "status reason headers body rest")):
    """headers: names in lower case; rest: the bytes after a 101."""

    def json(self):
        return json.loads(self.body)


def request(sock, method, path, headers, body=b""):
    head = [f"{method} {path} HTTP/1.1"]
    head += [f"{name}: {value}" for name, value in headers]
    if body:
        head.append(f"Content-Length: {len(body)}")
    sock.sendall("\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body)
    return response(sock, method)


def response(sock, method="GET"):
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(65536)
        if not more:
            raise ValueError(f"connection closed within a response: {data!r}")
        data += more
    head, _, rest = data.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    _, status, reason = (lines[0] + " ").split(" ", 2)
    headers = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    status = int(status)
    if status == 101:
        return Response(status, reason.strip(), headers, b"", rest)
    if method == "HEAD" or status == 204:
        return Response(status, reason.strip(), headers, b"", rest)
    if headers.get("transfer-encoding") == "chunked":
        while not rest.endswith(b"0\r\n\r\n"):
            rest += sock.recv(65536)
        body = b""
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            n = int(size, 16)
            body, rest = body + rest[:n], rest[n + 2:]
            if n == 0:
                break
    else:
        length = int(headers.get("content-length", 0))
        while len(rest) < length:
            more = sock.recv(65536)
            if not more:
                raise ValueError("connection closed within a body")
            rest += more
        body, rest = rest[:length], rest[length:]
    return Response(status, reason.strip(), headers, body, rest)


def frame(op, payload=b"", fin=True, rsv=0, mask=True, length=None):
    """A client's frame. Each optional argument can make it invalid."""
    if isinstance(payload, str):
        payload = payload.encode()
    n = len(payload) if length is None else length
    out = bytes([(0x80 if fin else 0) | rsv << 4 | op])
    bit = 0x80 if mask else 0
    if n < 126:
        out += bytes([bit | n])
    elif n < 65536:
        out += bytes([bit | 126]) + struct.pack("!H", n)
    else:
        out += bytes([bit | 127]) + struct.pack("!Q", n)
    if mask:
        key = os.urandom(4)
        out += key
        stream = key * (len(payload) // 4 + 1)
        payload = (int.from_bytes(payload, "big")
                   ^ int.from_bytes(stream[:len(payload)], "big")
                   ).to_bytes(len(payload), "big")
    return out + payload


def close_payload(code, reason=""):
    return struct.pack("!H", code) + reason.encode()


Frame = collections.namedtuple("Frame", "fin rsv op payload")


class Closed(Exception):
    """The peer ended the connection without a close frame."""


class Socket:
    """The client's side of a connection after 101."""

    def __init__(self, sock, data=b"", timeout=10):
        self.sock = sock
        self.data = data
        self.timeout = timeout
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def close(self):
        self.sock.close()

    def raw(self, data):
        self.sock.sendall(data)

    def drip(self, data):
        """Sends each byte in a segment of its own."""
        for i in range(len(data)):
            self.sock.sendall(data[i:i + 1])

    def send(self, op, payload=b"", **kw):
        self.raw(frame(op, payload, **kw))

    def text(self, message):
        self.send(TEXT, message if isinstance(message, (str, bytes))
                  else json.dumps(message))

    def _receive(self, n, end):
        while len(self.data) < n:
            self.sock.settimeout(max(0.01, end - time.monotonic()))
            more = self.sock.recv(262144)
            if not more:
                raise Closed(f"after {self.data!r}")
            self.data += more

    def frame(self, timeout=None):
        """The next frame, as the server sent it. Raises socket.timeout when
        no frame arrives."""
        end = time.monotonic() + (timeout or self.timeout)
        self._receive(2, end)
        first, second = self.data[0], self.data[1]
        assert not second & 0x80, "a server must not mask"
        n, head = second & 0x7f, 2
        if n == 126:
            self._receive(4, end)
            n, head = struct.unpack("!H", self.data[2:4])[0], 4
        elif n == 127:
            self._receive(10, end)
            n, head = struct.unpack("!Q", self.data[2:10])[0], 10
        self._receive(head + n, end)
        payload = self.data[head:head + n]
        self.data = self.data[head + n:]
        return Frame(bool(first & 0x80), first >> 4 & 7, first & 15, payload)

    def message(self, *types, timeout=None):
        """The next JSON frame. If types are given, frames of other types are
        skipped."""
        end = time.monotonic() + (timeout or self.timeout)
        while True:
            got = self.frame(max(0.01, end - time.monotonic()))
            assert got.op == TEXT and got.fin and got.rsv == 0, got
            parsed = json.loads(got.payload)
            if not types or parsed["type"] in types:
                return parsed

    def until(self, op, timeout=None):
        """The next frame with this opcode; JSON frames are skipped."""
        end = time.monotonic() + (timeout or self.timeout)
        while True:
            got = self.frame(max(0.01, end - time.monotonic()))
            if got.op == op:
                return got
            assert got.op == TEXT, got

    def closed_with(self, timeout=None):
        """The code of the server's close frame. Waits until the server has
        ended the connection."""
        got = self.until(CLOSE, timeout)
        code = struct.unpack("!H", got.payload[:2])[0] if got.payload else 1005
        # after an invalid frame the server cannot parse our close frame: it
        # waits for our end of stream, at most 2 s
        try:
            self.send(CLOSE, got.payload[:2])
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        self.sock.settimeout(5)
        try:
            while self.sock.recv(65536):
                pass
        except ConnectionResetError:
            pass
        return code

    def alive(self):
        """Checks that the connection still answers a ping."""
        token = os.urandom(8)
        self.send(PING, token)
        while True:
            got = self.until(PONG)
            if got.payload == token:
                return True
