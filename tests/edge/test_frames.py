"""RFC 6455, byte by byte: a violation closes the connection with the right
code, and a valid frame does not."""

import json
import os
import socket
import struct
import time

import pytest

import wire
from wire import BINARY, CLOSE, CONT, PING, PONG, TEXT

PING_FRAME = '{"type":"ping"}'
LIMIT = 65536


def padded(size):
    """A ping frame of exactly `size` bytes; the edge ignores the padding."""
    text = '{"type":"ping","pad":"%s"}'
    return text % ("x" * (size - len(text) + 2))


# ------------------------------------------------------------------- sizes

def test_an_empty_message_is_an_error_and_the_connection_lives(ws):
    ws.send(TEXT, b"")
    assert ws.message("error")["code"] == "bad_frame"
    assert ws.alive()


def test_an_empty_message_of_empty_fragments_is_an_error(ws):
    ws.send(TEXT, b"", fin=False)
    ws.send(CONT, b"", fin=False)
    ws.send(CONT, b"")
    assert ws.message("error")["code"] == "bad_frame"
    assert ws.alive()


@pytest.mark.parametrize("size", [125, 126, 127, 128, 4096, LIMIT - 1, LIMIT])
def test_a_message_up_to_64_kib_is_accepted(ws, size):
    text = padded(size)
    assert len(text) == size
    ws.text(text)
    assert ws.message()["type"] == "pong"


def test_a_message_above_64_kib_closes_with_1009(ws):
    ws.text(padded(LIMIT + 1))
    assert ws.closed_with() == 1009


def test_fragments_above_64_kib_in_sum_close_with_1009(ws):
    text = padded(LIMIT + 1)
    ws.send(TEXT, text[:40000], fin=False)
    ws.send(CONT, text[40000:])
    assert ws.closed_with() == 1009


def test_fragments_of_64_kib_in_sum_are_accepted(ws):
    text = padded(LIMIT)
    ws.send(TEXT, text[:30000], fin=False)
    ws.send(CONT, text[30000:60000], fin=False)
    ws.send(CONT, text[60000:])
    assert ws.message()["type"] == "pong"


@pytest.mark.parametrize("length", [LIMIT + 1, 1 << 31, 1 << 40,
                                    (1 << 63) - 1])
def test_a_declared_length_above_the_limit_closes_at_once(ws, length):
    """The edge checks the header and does not wait for the payload."""
    ws.raw(wire.frame(TEXT, b"", length=length))
    assert ws.closed_with() == 1009


def test_a_length_with_its_highest_bit_set_is_refused(ws):
    ws.raw(bytes([0x81, 0xff]) + struct.pack("!Q", 1 << 63) + b"mask")
    assert ws.closed_with() in (1002, 1009)


def test_a_length_in_too_many_bytes_is_not_misread(ws):
    """Section 5.2: the minimal number of bytes MUST be used. The edge either
    refuses the frame or reads exactly this length."""
    mask = b"\0\0\0\0"
    body = PING_FRAME.encode()
    ws.raw(bytes([0x81, 0x80 | 126]) + struct.pack("!H", len(body)) + mask
           + body)
    got = ws.frame()
    if got.op == CLOSE:
        assert got.payload[:2] == struct.pack("!H", 1002)
    else:
        assert json.loads(got.payload)["type"] == "pong"


# ----------------------------------------------------------- invalid frames

@pytest.mark.parametrize("payload", [b"", b"x", os.urandom(300),
                                     PING_FRAME.encode()])
def test_a_binary_message_closes_with_1003(ws, payload):
    ws.send(BINARY, payload)
    assert ws.closed_with() == 1003


def test_a_fragmented_binary_message_closes_with_1003(ws):
    ws.send(BINARY, b"x", fin=False)
    assert ws.closed_with() == 1003


@pytest.mark.parametrize("op", [TEXT, PING, CLOSE])
def test_an_unmasked_frame_closes_with_1002(ws, op):
    payload = PING_FRAME if op == TEXT else b""
    ws.send(op, payload, mask=False)
    assert ws.closed_with() == 1002


@pytest.mark.parametrize("rsv", range(1, 8))
def test_reserved_bits_close_with_1002(ws, rsv):
    ws.send(TEXT, PING_FRAME, rsv=rsv)
    assert ws.closed_with() == 1002


@pytest.mark.parametrize("op", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
def test_reserved_opcodes_close_with_1002(ws, op):
    ws.send(op, b"")
    assert ws.closed_with() == 1002


def test_a_continuation_of_nothing_closes_with_1002(ws):
    ws.send(CONT, b"x")
    assert ws.closed_with() == 1002


def test_a_new_message_inside_a_fragmented_one_closes_with_1002(ws):
    ws.send(TEXT, '{"type":', fin=False)
    ws.send(TEXT, PING_FRAME)
    assert ws.closed_with() == 1002


@pytest.mark.parametrize("op", [PING, PONG, CLOSE])
def test_a_fragmented_control_frame_closes_with_1002(ws, op):
    ws.send(op, b"", fin=False)
    assert ws.closed_with() == 1002


@pytest.mark.parametrize("op", [PING, PONG, CLOSE])
def test_a_control_frame_above_125_bytes_closes_with_1002(ws, op):
    payload = b"\x03\xe8" + b"x" * 124
    ws.send(op, payload)
    assert ws.closed_with() == 1002


# ------------------------------------------------------------------- UTF-8

BROKEN = {
    "a lone continuation byte": b"\x80",
    "overlong slash": b"\xc0\xaf",
    "overlong nul": b"\xe0\x80\x80",
    "a surrogate": b"\xed\xa0\x80",
    "above U+10FFFF": b"\xf4\x90\x80\x80",
    "five bytes": b"\xf8\x88\x80\x80\x80",
    "0xff": b"\xff",
    "cut short": b"\xe2\x82",
}


@pytest.mark.parametrize("bad", BROKEN.values(), ids=BROKEN)
def test_broken_utf8_closes_with_1007(ws, bad):
    ws.send(TEXT, b'{"type":"ping","pad":"' + bad + b'"}')
    assert ws.closed_with() == 1007


def test_utf8_truncated_by_the_message_end_closes_with_1007(ws):
    ws.send(TEXT, b"\xf0\x9f\x98")
    assert ws.closed_with() == 1007


def test_utf8_may_be_split_by_fragments(ws):
    text = '{"type":"ping","pad":"\U0001F600\u20ac\u00e9"}'.encode()
    for i in range(len(text) - 1):
        ws.send(TEXT if i == 0 else CONT, text[i:i + 1], fin=False)
    ws.send(CONT, text[-1:])
    assert ws.message()["type"] == "pong"


def test_utf8_broken_across_fragments_closes_with_1007(ws):
    ws.send(TEXT, b'{"type":"ping","pad":"\xf0\x9f', fin=False)
    ws.send(CONT, b'\x98\x41"}')
    assert ws.closed_with() == 1007


def test_noncharacters_and_the_highest_code_point_are_accepted(ws):
    ws.text('{"type":"ping","pad":"\ufffe\uffff\U0010ffff\u0080"}')
    assert ws.message()["type"] == "pong"


# --------------------------------------------------------- pieces, segments

def test_a_frame_may_arrive_one_byte_at_a_time(ws):
    ws.drip(wire.frame(TEXT, PING_FRAME))
    assert ws.message()["type"] == "pong"
    ws.drip(wire.frame(TEXT, padded(200)))
    assert ws.message()["type"] == "pong"


def test_a_control_frame_may_arrive_one_byte_at_a_time(ws):
    ws.drip(wire.frame(PING, b"p" * 125))
    assert ws.until(PONG).payload == b"p" * 125


def test_a_64_kib_message_may_arrive_in_odd_segments(ws):
    data = wire.frame(TEXT, padded(LIMIT))
    for i in range(0, len(data), 1337):
        ws.raw(data[i:i + 1337])
    assert ws.message()["type"] == "pong"


def test_a_thousand_frames_in_one_segment_are_all_answered(ws):
    frames = b"".join(wire.frame(TEXT, PING_FRAME) for _ in range(1000))
    assert len(frames) < 65483          # one segment on loopback
    ws.raw(frames)
    for _ in range(1000):
        assert ws.message()["type"] == "pong"
    assert ws.alive()


def test_a_thousand_different_frames_are_answered_in_order(ws):
    ws.raw(b"".join(wire.frame(TEXT, json.dumps(
        {"type": "nothing", "chatId": str(i)})) if i % 2 else
        wire.frame(PING, str(i)) for i in range(1000)))
    for i in range(1000):
        got = ws.frame()
        if i % 2:
            error = json.loads(got.payload)
            assert error["code"] == "unknown_type"
        else:
            assert (got.op, got.payload) == (PONG, str(i).encode())


def test_a_ping_between_fragments_is_answered_at_once(ws):
    ws.send(TEXT, '{"type":', fin=False)
    ws.send(PING, b"between")
    assert ws.until(PONG).payload == b"between"
    ws.send(CONT, '"ping"', fin=False)
    ws.send(PONG, b"unsolicited")
    ws.send(CONT, b"}")
    assert ws.message()["type"] == "pong"


# ---------------------------------------------------------- control frames

@pytest.mark.parametrize("payload", [b"", b"x", bytes(range(125)),
                                     b"\xff\xfe"])
def test_a_ping_gets_a_pong_with_the_same_bytes(ws, payload):
    ws.send(PING, payload)
    got = ws.until(PONG)
    assert (got.payload, got.fin, got.rsv) == (payload, True, 0)


def test_an_unsolicited_pong_is_ignored(ws):
    ws.send(PONG, b"hello")
    assert ws.alive()


@pytest.mark.parametrize("code", [1000, 1001, 1003, 1007, 1011, 3000, 4999])
def test_a_close_is_answered_with_its_code(ws, code):
    ws.send(CLOSE, wire.close_payload(code, "bye \u20ac"))
    got = ws.until(CLOSE)
    assert struct.unpack("!H", got.payload[:2])[0] == code
    expect_closed(ws)


def test_a_close_without_a_code_is_answered(ws):
    ws.send(CLOSE)
    got = ws.until(CLOSE)
    assert got.payload in (b"", b"\x03\xe8")
    expect_closed(ws)


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999,
                                  5000, 65535])
def test_a_close_with_a_code_that_must_not_be_sent_is_1002(ws, code):
    ws.send(CLOSE, wire.close_payload(code))
    assert ws.closed_with() == 1002


def test_a_close_of_one_byte_is_1002(ws):
    ws.send(CLOSE, b"\x03")
    assert ws.closed_with() == 1002


def test_a_close_with_a_broken_reason_is_1007(ws):
    ws.send(CLOSE, b"\x03\xe8\xff\xff")
    assert ws.closed_with() in (1002, 1007)


def test_frames_after_a_close_are_not_read(ws):
    ws.raw(wire.frame(CLOSE, wire.close_payload(1000))
           + wire.frame(TEXT, PING_FRAME))
    assert ws.frame().op == CLOSE
    expect_closed(ws)


def expect_closed(ws):
    """The server sends nothing more and closes TCP first (section 7.1.1)."""
    ws.sock.settimeout(5)
    assert ws.data == b""
    try:
        assert ws.sock.recv(65536) == b""
    except ConnectionResetError:
        pass


# ------------------------------------------------------------------ endings

@pytest.mark.parametrize("payload,mask", [(PING_FRAME, False),
                                          (padded(LIMIT + 1), True)],
                         ids=["invalid", "too large"])
def test_the_server_closes_2_s_after_its_close_frame(ws, payload, mask):
    """The client neither answers the close frame nor disconnects."""
    ws.send(TEXT, payload, mask=mask)
    assert ws.until(CLOSE).payload[:2] in (b"\x03\xea", b"\x03\xf1")
    start = time.monotonic()
    expect_closed(ws)
    assert time.monotonic() - start < 4


def test_the_answer_to_a_close_ends_the_connection_at_once(ws):
    ws.send(BINARY, b"x")
    ws.until(CLOSE)
    start = time.monotonic()
    ws.send(CLOSE, b"\x03\xeb")
    expect_closed(ws)
    assert time.monotonic() - start < 1


def test_a_device_may_reconnect_after_a_reset(edge):
    for cut in (b"", b"\x81", wire.frame(TEXT, padded(500))[:100]):
        with edge.connect(user=77, device=78) as ws:
            ws.message()
            ws.raw(cut)
            # RST instead of FIN
            ws.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                               struct.pack("ii", 1, 0))
    with edge.connect(user=77, device=78) as ws:
        assert ws.message()["type"] == "welcome"


def test_a_second_connection_of_a_device_closes_the_first(edge):
    with edge.connect(user=81, device=82) as first:
        first.message()
        # the first route is in Redis before the second connection starts
        assert first.alive()
        with edge.connect(user=81, device=82) as second:
            assert second.message()["type"] == "welcome"
            assert first.closed_with() == 4409
            assert second.alive()
