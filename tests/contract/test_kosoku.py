"""RFC 6455 by a suite that is not ours: Autobahn's cases, run by kosoku
against the echo of the test build, which is our own reader, joiner, UTF-8
check and writer without a token.

Sections 1 to 7 and 10. Left out: 9, performance; 12 and 13, compression,
which we do not offer. Big messages are asked for in tests/edge.
"""

import collections
import json
import subprocess

import pytest

import tools
import wire
from edge import Edge

SECTIONS = {"1", "2", "3", "4", "5", "6", "7", "10"}
GOOD = {"OK", "NON-STRICT", "INFORMATIONAL"}


@pytest.fixture(scope="module")
def echo():
    with Edge(server="location / { chat_websocket_echo 16m; }") as edge:
        yield edge


def run(port, out, *options):
    done = subprocess.run(
        [tools.python_bin("kosoku"), *options, "-p", "2", "-o", str(out),
         f"127.0.0.1:{port}"], stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, encoding="utf-8", timeout=300)
    reports = json.loads((out / "index.json").read_text())
    (cases,) = reports.values()
    return done, cases


def test_no_case_of_the_suite_fails(echo, tmp_path):
    done, cases = run(echo.port, tmp_path, "-x", "9.*", "-x", "12.*", "-x",
                      "13.*")
    assert {name.split(".")[0] for name in cases} == SECTIONS
    assert len(cases) >= 247
    bad = {name: (case["behavior"], case["behaviorClose"])
           for name, case in cases.items()
           if not {case["behavior"], case["behaviorClose"]} <= GOOD}
    assert not bad, done.stdout
    assert done.returncode == 0, done.stdout
    # kosoku lets a server pass that answers late; ours must not
    strict = collections.Counter(case["behavior"] for case in cases.values())
    assert strict["OK"] >= 230, strict


def test_the_suite_tells_a_server_that_is_wrong(tmp_path):
    """Control: no server at all is not a success."""
    done, cases = run(1, tmp_path, "-i", "1.1.1")
    assert done.returncode != 0
    assert cases["1.1.1"]["behavior"] not in GOOD


def echo_socket(edge):
    response, sock = edge.upgrade(path="/", Sec_WebSocket_Protocol=None)
    assert response.status == 101, response
    assert "sec-websocket-protocol" not in response.headers
    return wire.Socket(sock, response.rest, timeout=60)


@pytest.mark.parametrize("size", [0, 65535, 65536, 65537, 1 << 20, 16 << 20])
@pytest.mark.parametrize("op", [wire.TEXT, wire.BINARY])
def test_a_message_comes_back_as_it_was(echo, op, size):
    payload = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    with echo_socket(echo) as ws:
        ws.send(op, payload)
        got = ws.frame(60)
        assert (got.op, got.fin) == (op, True)
        assert got.payload == payload


def test_a_message_in_many_fragments_comes_back_joined(echo):
    payload = bytes(range(256)) * 4096          # 1 MiB
    with echo_socket(echo) as ws:
        pieces = [payload[i:i + 997] for i in range(0, len(payload), 997)]
        ws.raw(b"".join(
            wire.frame(wire.BINARY if i == 0 else wire.CONT, piece,
                       fin=i == len(pieces) - 1)
            for i, piece in enumerate(pieces)))
        assert ws.frame(60).payload == payload


def test_above_its_size_the_echo_closes_with_1009(echo):
    with echo_socket(echo) as ws:
        ws.raw(wire.frame(wire.BINARY, b"", length=(16 << 20) + 1))
        assert ws.closed_with() == 1009
