"""bench_check.py: checks that the load tool detects errors.

A broker loses, doubles and swaps a known number of messages, and stalls once.
The load tool must report these numbers and the stall; otherwise its results
for real servers are not valid. Runs before every benchmark for five seconds.
"""

import asyncio
import json
import subprocess
import time

from bench_stack import CHATLOAD

LOSE, DOUBLE, SWAP = 37, 41, 43     # every n-th message
RATE, SECS = 400, 2
STALL = 0.6


class Broker:
    """The part of MQTT 3.1.1 that the load tool uses."""

    def __init__(self, stall):
        self.stall = stall
        self.inbox = {}             # topic -> writer
        self.delayed = {}           # topic -> message to be swapped
        self.n = self.lost = self.doubled = self.swapped = 0

    async def serve(self, reader, writer):
        try:
            while True:
                head = (await reader.readexactly(1))[0]
                size = shift = 0
                while True:
                    b = (await reader.readexactly(1))[0]
                    size |= (b & 0x7f) << shift
                    shift += 7
                    if not b & 0x80:
                        break
                await self.packet(writer, head >> 4,
                                  await reader.readexactly(size))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def packet(self, writer, kind, body):
        if kind == 1:
            writer.write(b"\x20\x02\x00\x00")
        elif kind == 8:
            size = int.from_bytes(body[2:4], "big")
            self.inbox[body[4:4 + size]] = writer
            writer.write(b"\x90\x03" + body[:2] + b"\x01")
        elif kind == 3:
            size = int.from_bytes(body[:2], "big")
            writer.write(b"\x40\x02" + body[2 + size:4 + size])
            await self.forward(body[2:2 + size], body)

    async def forward(self, topic, body):
        self.n += 1
        if self.stall and self.n == RATE * SECS // 2:
            await asyncio.sleep(0)      # sends what is written
            time.sleep(self.stall)      # blocks all connections
        if not self.stall and self.n % LOSE == 0:
            self.lost += 1
            return
        times = 1
        if not self.stall and self.n % DOUBLE == 0:
            self.doubled += 1
            times = 2
        if not self.stall and self.n % SWAP == 0 and topic not in self.delayed:
            self.delayed[topic] = body
            return
        for _ in range(times):
            self.send(topic, body)
        if topic in self.delayed:
            self.send(topic, self.delayed.pop(topic))
            self.swapped += 1

    def send(self, topic, body):
        assert len(body) < 16384
        self.inbox[topic].write(bytes((0x32, len(body) & 0x7f | 0x80,
                                       len(body) >> 7)) + body)


async def measure(out, stall):
    broker = Broker(stall)
    server = await asyncio.start_server(broker.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    out.mkdir(parents=True, exist_ok=True)
    proc = await asyncio.create_subprocess_exec(
        str(CHATLOAD), "pairs", "--proto", "mqtt", "--port", str(port),
        "--users", "20", "--rate", str(RATE), "--warm", "0", "--secs",
        str(SECS), "--drain", "1", "--quiet", "--out", str(out / "check"),
        stdout=subprocess.DEVNULL)
    if await proc.wait() != 0:
        raise SystemExit("check: chatload has failed")
    server.close()
    return broker, json.loads((out / "check.json").read_text())


def run(out):
    broker, r = asyncio.run(measure(out, 0))
    c = r["counts"]
    facts = [
        ("sent", c["sent"], RATE * SECS),
        ("acks lost", r["acks_lost"], 0),
        ("lost", r["lost"], broker.lost + len(broker.delayed)),
        ("doubled", c["doubled"], broker.doubled),
        ("disordered", c["disordered"], broker.swapped),
    ]
    broker, r = asyncio.run(measure(out, STALL))
    ms = r["ms"]["delivery"]
    # the stall lasts 0.6 of 2 s: a third of the messages is due in it
    late = ms["p90"] > 300 * STALL and ms["p100"] > 900 * STALL
    facts += [("lost in a stall", r["lost"], 0), ("stall seen", late, True)]
    wrong = [f for f in facts if f[1] != f[2]]
    if wrong:
        raise SystemExit("check: the load tool miscounts: " + ", ".join(
            f"{name} is {found}, not {expected}"
            for name, found, expected in wrong))
    print("check: the load tool sees what is lost, doubled, disordered and "
          "late", flush=True)
