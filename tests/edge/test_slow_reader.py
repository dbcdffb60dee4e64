"""A client that reads too slowly costs the edge at most chat_send_buffer and
is closed with 4008. A client that reads late, but within its buffer, loses
nothing."""

import pathlib

import pytest
from edge import Edge, wait_for
from inner import put
from played import Played, new_chat
from wire import CLOSE, Closed

TEXT = "x" * 2000
BUFFER = 256 * 1024
METRICS = "location = /metrics { chat_status metrics; }"


@pytest.fixture(scope="module")
def edge():
    with Edge(server=METRICS, tls=True,
              http=f"chat_send_buffer {BUFFER};") as e:
        yield e


@pytest.fixture(scope="module")
def roomy():
    """An edge with a send buffer of 16 MiB."""
    with Edge(server=METRICS, tls=True, http="chat_send_buffer 16m;") as e:
        yield e


def slow(w, user, tls=False, **kw):
    return w.synced(user, user, sock=w.edge.open(tls, window=4096), **kw)[0]


def rss(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    [line] = [ln for ln in status.splitlines() if ln.startswith("VmRSS")]
    return int(line.split()[1]) * 1024


def read_all(sock, first=1):
    """Reads up to the close frame; returns its code and the number of frames
    before it."""
    seq = first
    while True:
        got = sock.frame()
        if got.op == CLOSE:
            return int.from_bytes(got.payload[:2], "big"), seq - first
        assert b'"seq": %d,' % seq in got.payload, (seq, got.payload[:200])
        seq += 1


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_a_client_that_never_reads_is_closed_with_4008(edge, tls):
    """A frame that is partly sent is completed, so that the client can parse
    the close frame."""
    w = Played(edge)
    sock, chat = slow(w, 1, tls), new_chat()
    before = edge.metric("chat_edge_too_slow_total")
    seq = 0
    while edge.metric("chat_edge_too_slow_total") == before:
        w.publish(*(w.entry(chat, n, [1], text=TEXT)
                    for n in range(seq + 1, seq + 21)))
        seq += 20
        assert seq * len(TEXT) < 32 * 1024 * 1024, "the edge has no limit"
    code, n = read_all(sock)
    assert code == 4008 and n < seq
    sock.close()


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_a_client_that_reads_late_loses_nothing(roomy, tls):
    """The socket is full in the middle of a frame and of a TLS record while
    more frames are queued."""
    w = Played(roomy)
    sock, chat = slow(w, 1, tls), new_chat()
    before = roomy.metric("chat_edge_entries_total")
    # one by one, so that the socket is full with one frame in the queue
    seq, sizes = 0, (1, 25, 3, 100)
    for seq in range(1, 1001):
        w.publish(w.entry(chat, seq, [1], text=TEXT * 2))
    for i in range(12):
        w.publish(*(w.entry(chat, n, [1], text=TEXT * (n % 7 + 1))
                    for n in range(seq + 1, seq + sizes[i % 4] + 1)))
        seq += sizes[i % 4]
    wait_for(lambda: roomy.metric("chat_edge_entries_total") == before + seq,
             "all entries are queued")
    for n in range(1, seq + 1):
        assert sock.message()["seq"] == n
    w.publish(w.entry(chat, seq + 1, [1]))
    assert sock.message()["seq"] == seq + 1
    sock.close()


def test_a_late_reader_gets_large_frames_over_tls(roomy):
    w = Played(roomy)
    sock, chat = slow(w, 1, True), new_chat()
    for n in range(1, 40):
        w.publish(w.entry(chat, n, [1], text=TEXT * 120))
    for n in range(1, 40):
        assert sock.message()["seq"] == n
    sock.close()


def test_the_memory_of_the_edge_stays_bounded(edge):
    """40 clients that never read; 64 MB of entries for each of them."""
    w = Played(edge)
    users = range(100, 140)
    socks = [slow(w, user) for user in users]
    chat, before = new_chat(), edge.metric("chat_edge_too_slow_total")
    [pid] = edge.workers()
    at_first, seq = rss(pid), 0
    batches = edge.metric("chat_edge_batches_total")
    for i in range(320):
        w.publish(*(w.entry(chat, n, users, text=TEXT * 10)
                    for n in range(seq + 1, seq + 11)))
        seq += 10
        # Redis disconnects a subscriber that is 32 MB behind
        if i % 20 == 19:
            wait_for(lambda: edge.metric("chat_edge_batches_total")
                     >= batches + i + 1, "the edge has read the batches")
    wait_for(lambda: edge.metric("chat_edge_too_slow_total")
             == before + len(users), "all clients are closed")
    allowed = len(users) * BUFFER + 8 * 1024 * 1024
    if not (edge.build / "preload").exists():   # ASan frees late
        assert rss(pid) - at_first < allowed
    for sock in socks:
        sock.close()
    wait_for(lambda: edge.metric("chat_edge_sessions") == 0,
             "all sessions end")


def test_a_client_that_reads_gets_a_frame_of_the_buffers_size(edge):
    """256 KiB is the largest frame and the smallest buffer."""
    w = Played(edge)
    sock, _ = w.synced(7, 7)
    big = "x" * (262144 - 2)
    w.publish(put("NOTICE", items=[(7, 0)], frame=f'"{big}"'))
    assert len(sock.frame().payload) == 262144
    assert sock.alive()
    sock.close()


def test_a_client_that_pings_and_never_reads_is_closed(edge):
    """The buffer limits answers as well as entries."""
    w = Played(edge)
    sock = slow(w, 8)
    before = edge.metric("chat_edge_too_slow_total")
    sock.sock.settimeout(10)
    try:
        for _ in range(400000):
            sock.text('{"type":"ping"}')
            sock.text('{"type":"nothing"}')
    except (OSError, Closed):
        pass
    wait_for(lambda: edge.metric("chat_edge_too_slow_total") > before,
             "the client is closed")
    sock.close()
