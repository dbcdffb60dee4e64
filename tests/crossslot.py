"""crossslot.py: checks that a Redis Cluster would accept all our commands.

    watch = SlotWatch(path_of_the_unix_socket)
    ...
    assert not watch.close(), watch.violations

SlotWatch reads MONITOR in a thread, reconnects when Redis restarts, and
records each command, script or transaction whose keys belong to more than one
hash slot (a cluster answers CROSSSLOT). Reads of several streams at once are
the only exception: they go through one transport function, which a cluster
client would split by slot. The server's COMMAND reports which arguments are
keys.
"""

import re
import socket
import threading

MULTI_STREAM_READS = {"XREAD", "XREADGROUP"}
LINE = re.compile(rb'^\+[\d.]+ \[\d+ ([^\]]*)\] (.*)$')
WORD = re.compile(rb'"((?:[^"\\]|\\.)*)"')


def crc16(data):
    """CRC-16/XMODEM, as Redis Cluster hashes keys."""
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xffff
    return crc


def slot(key):
    open_, close = key.find(b"{"), -1
    if open_ >= 0:
        close = key.find(b"}", open_)
    if close > open_ + 1:
        key = key[open_ + 1:close]
    return crc16(key) % 16384


class SlotWatch:
    def __init__(self, path, connect):
        """path: Redis' unix socket; connect: returns a redis.Redis."""
        self.path, self.connect = path, connect
        self.places = {}            # command -> (first, last, step) or None
        self.slots = {}             # key -> slot
        self.violations = []
        self.names = set()          # commands seen
        self.script = {}            # slots of the running script
        self.multi = {}             # client -> slots of its transaction
        self.sock, self.closing = None, False
        self.listening = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def close(self):
        self.closing = True
        if self.sock is not None:
            try:
                self.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.thread.join(10)
        return self.violations

    def _run(self):
        pause = threading.Event()
        while not self.closing:
            try:
                with socket.socket(socket.AF_UNIX) as self.sock:
                    self.sock.connect(self.path)
                    self.sock.sendall(b"MONITOR\r\n")
                    self._places()
                    for line in self.sock.makefile("rb"):
                        if line == b"+OK\r\n":
                            self.listening.set()
                        self._line(line.rstrip())
            except OSError:
                pass
            pause.wait(0.1)         # a restart of Redis is not an error

    def _places(self):
        if self.places:
            return
        for name, info in self.connect().command().items():
            self.places[name.upper()] = (
                info["first_key_pos"], info["last_key_pos"],
                info["step_count"])

    def _line(self, line):
        match = LINE.match(line)
        if not match:
            return
        client = match.group(1)
        words = [w.encode().decode("unicode_escape").encode("latin-1")
                 if "\\" in w else w.encode("latin-1")
                 for w in (m.decode("latin-1")
                           for m in WORD.findall(match.group(2)))]
        if words:
            self._command(client, words[0].decode().upper(), words)

    def _command(self, client, name, words):
        self.names.add(name)
        slots = {self._slot(k) for k in self.keys(name, words)}

        if client == b"lua":
            if not slots <= self.script.get("slots", slots):
                self._violation("inside a script", words)
            return
        if name in ("EVAL", "EVALSHA"):
            self.script = {"slots": slots}
        if name == "MULTI":
            self.multi[client] = set()
        elif name in ("EXEC", "DISCARD"):
            self.multi.pop(client, None)
        elif client in self.multi and slots:
            self.multi[client] |= slots
            if len(self.multi[client]) > 1:
                self._violation("inside a transaction", words)
            return
        if len(slots) > 1 and name not in MULTI_STREAM_READS:
            self._violation("in one command", words)

    def keys(self, name, words):
        """The keys among the words of a command."""
        if name in ("EVAL", "EVALSHA"):
            return words[3:3 + int(words[2])]
        if name in MULTI_STREAM_READS:
            upper = [w.upper() for w in words]
            remainder = words[upper.index(b"STREAMS") + 1:]
            return remainder[:len(remainder) // 2]
        first, last, step = self.places.get(name, (0, 0, 0))
        if not first:
            return []
        end = len(words) + last if last < 0 else last
        return words[first:end + 1:step or 1]

    def _slot(self, key):
        if key not in self.slots:
            if len(self.slots) > 100000:
                self.slots.clear()
            self.slots[key] = slot(key)
        return self.slots[key]

    def _violation(self, where, words):
        text = f"{where}: " + b" ".join(words[:8]).decode(
            errors="replace")[:200]
        if len(self.violations) < 20:
            self.violations.append(text)
