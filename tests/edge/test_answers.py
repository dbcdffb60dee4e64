"""A REST write waits for the worker's answer. The client may disconnect or
pipeline meanwhile; the answer may be late, invalid or repeated."""

import json
import socket
import subprocess
import threading

import pytest
import wire
from edge import Edge, wait_for
from inner import put
from played import Played, expect_no_frame, new_chat

CHAT = new_chat()
PATH = f"/api/v1/chats/{CHAT}/messages"
BODY = b'{"messageId":"r-1","content":"hello"}'


@pytest.fixture(scope="module")
def edge():
    with Edge(tls=True, server="""
            location = /metrics { chat_status metrics; }
            location /api/ {
                chat_auth on;
                chat_enqueue on;
                client_body_buffer_size 1k;
                proxy_pass http://127.0.0.1:@PORT@/worker;
            }
            location /worker { return 200 "worker"; }
            location = /mirrored {
                chat_websocket;
                mirror /slow;
            }
            location = /slow {
                internal;
                proxy_pass http://unix:@HOME@/nobody.sock:/;
                proxy_connect_timeout 2s;
            }
            location = /aside {
                mirror /inner;
                return 200;
            }
            location = /sub {
                auth_request /ws;
                proxy_pass http://127.0.0.1:@PORT@/worker;
            }
            """) as e:
        yield e


def request(edge, method="POST", path=PATH, body=BODY, headers=(), user=1):
    head = [f"{method} {path} HTTP/1.1", "Host: x",
            f"Authorization: Bearer {edge.token(user, user * 10)}",
            "Content-Type: application/json", *headers]
    if body and not any("Transfer" in h for h in headers):
        head.append(f"Content-Length: {len(body)}")
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def answer(w, ev, status=201, body='{"seq":1}'):
    w.publish(put("HTTP", session=ev.session, status=status, frame=body),
              edge=ev.edge)


@pytest.mark.parametrize("status", [200, 201, 400, 404, 409])
def test_the_edge_returns_the_workers_answer(edge, w, status):
    with edge.open() as sock:
        sock.sendall(request(edge, headers=["Idempotency-Key: k-1"]))
        ev = w.wait("SEND")
        assert (ev.flags, ev.user, ev.device, ev.chat, ev.body,
                ev.idempotency_key) == (1, 1, 10, CHAT, BODY, "k-1")
        answer(w, ev, status, '{"a":"\u20ac"}')
        got = wire.response(sock, "POST")
        assert (got.status, got.body.decode()) == (status, '{"a":"\u20ac"}')
        assert got.headers["content-type"] == (
            "application/json" if status < 400
            else "application/problem+json")
        # a second answer is dropped, and the connection is kept
        answer(w, ev)
        sock.sendall(request(edge, "GET", "/api/v1/chats", b""))
        assert wire.response(sock).body == b"worker"


def test_a_204_has_no_content(edge, w):
    with edge.open() as sock:
        sock.sendall(request(edge, "DELETE", f"/api/v1/chats/{CHAT}", b""))
        ev = w.wait("CHAT_LEAVE")
        assert ev.body is None
        answer(w, ev, 204, "")
        got = wire.response(sock, "DELETE")
        assert got.status == 204 and "content-length" not in got.headers
        sock.sendall(request(edge, "GET", "/api/v1/chats", b""))
        assert wire.response(sock).status == 200


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_also_a_header(edge, w, status):
    with edge.open() as sock:
        sock.sendall(request(edge))
        answer(w, w.wait("SEND"), status, '{"x":1,"retryAfter":17}')
        got = wire.response(sock, "POST")
        assert (got.status, got.headers["retry-after"]) == (status, "17")


@pytest.mark.parametrize("transfer", ["whole", "chunked", "dripped"])
@pytest.mark.parametrize("size", [1, 1000, 40000, 65536])
def test_a_body_of_any_size_arrives_complete(edge, w, transfer, size):
    body = (b'"' + b"x" * (size - 2) + b'"')[:size]
    with edge.open() as sock:
        data = request(edge, body=body)
        if transfer == "chunked":
            head = request(edge, body=b"",
                           headers=["Transfer-Encoding: chunked"])
            chunks = [body[i:i + 7000] for i in range(0, size, 7000)]
            data = head + b"".join(b"%x\r\n%s\r\n" % (len(c), c)
                                   for c in chunks) + b"0\r\n\r\n"
        step = len(data) if transfer != "dripped" else max(1, len(data) // 5)
        for i in range(0, len(data), step):
            sock.sendall(data[i:i + step])
        ev = w.wait("SEND")
        assert ev.body == body
        answer(w, ev)
        assert wire.response(sock, "POST").status == 201


def test_a_chunked_body_above_64_kib_is_too_large(edge, w):
    with edge.open() as sock:
        sock.sendall(request(edge, body=b"", headers=[
            "Transfer-Encoding: chunked"]) + b"10001\r\n" + b" " * 65537
            + b"\r\n0\r\n\r\n")
        got = wire.response(sock, "POST")
        assert (got.status, got.json()["code"]) == (413, "too_large")
    w.expect_nothing("SEND")


def test_a_request_ends_when_its_client_disconnects(edge, w):
    """The late answer is dropped."""
    for end in (socket.SHUT_RDWR, socket.SHUT_WR):
        sock = edge.open()
        sock.sendall(request(edge))
        ev = w.wait("SEND")
        assert edge.metric("chat_edge_requests_waiting") == 1
        sock.shutdown(end)
        wait_for(lambda: edge.metric("chat_edge_requests_waiting") == 0,
                 "the edge notices the disconnect")
        answer(w, ev)
        sock.close()
    assert edge.http("GET", "/healthz").status == 200


def test_a_client_may_disconnect_before_its_body_is_read(edge, w):
    sock = edge.open()
    sock.sendall(request(edge))
    sock.close()
    with edge.open() as later:      # once it is read, so is the first
        later.sendall(request(edge, body=b'"later"'))
        w.wait("SEND", where=lambda ev: ev.body == b'"later"')
    w.take("SEND")
    wait_for(lambda: edge.metric("chat_edge_requests_waiting") == 0,
             "the edge notices the disconnect")


def test_pipelined_writes_are_answered_in_order(edge, w):
    with edge.open() as sock:
        sock.sendall(b"".join(request(edge, body=b"%d" % n)
                              for n in range(3))
                     + request(edge, "GET", "/api/v1/x", b""))
        received = b""
        for n in range(3):
            ev = w.wait("SEND")
            assert ev.body == b"%d" % n
            w.expect_nothing("SEND")        # the next one still waits
            answer(w, ev, body=str(n))
            while b"\r\n\r\n%d" % n not in received:
                received += sock.recv(65536)
        while b"worker" not in received:
            received += sock.recv(65536)


def test_each_of_many_waiting_requests_gets_its_answer(edge, w):
    socks = [edge.open() for _ in range(200)]
    for n, sock in enumerate(socks):
        sock.sendall(request(edge, body=b"%d" % n))
    events = [w.wait("SEND") for _ in socks]
    assert len({ev.session for ev in events}) == len(socks)
    w.publish(*(put("HTTP", session=ev.session, status=201,
                    frame=ev.body.decode()) for ev in reversed(events)))
    for n, sock in enumerate(socks):
        assert wire.response(sock, "POST").body == b"%d" % n
        sock.close()
    assert edge.metric("chat_edge_requests_waiting") == 0


def test_an_invalid_status_is_not_sent(edge, w):
    with edge.open() as sock:
        sock.sendall(request(edge))
        ev = w.wait("SEND")
        for status in (0, 99, 101, 199, 600, 65535):
            answer(w, ev, status)
        answer(w, ev, 200)
        assert wire.response(sock, "POST").status == 200


def test_other_methods_are_not_writes(edge, w):
    for method in ("HEAD", "OPTIONS", "PUT", "GET"):
        with edge.open() as sock:
            sock.sendall(request(edge, method, PATH, b""))
            assert wire.response(sock, method).status == 200
    w.expect_nothing("SEND")


def test_writes_over_http_2(edge, w):
    curls = []
    for n in range(3):
        curl = subprocess.Popen(
            ["curl", "-sSk", "--http2", "--max-time", "20", "-w",
             " %{http_version} %{http_code}", "-H",
             f"Authorization: Bearer {edge.token()}", "-H",
             "Content-Type: application/json", "--data-binary",
             "x" * 5000 if n else "{}",
             f"https://127.0.0.1:{edge.tls_port}{PATH}"],
            stdout=subprocess.PIPE)
        curls.append(curl)
        ev = w.wait("SEND")
        if n == 2:                          # disconnects
            curl.kill()
            curl.wait()
            wait_for(lambda: edge.metric("chat_edge_requests_waiting") == 0,
                     "the edge notices the disconnect")
        answer(w, ev)
        if n < 2:
            assert curl.communicate()[0] == b'{"seq":1} 2 201'


def test_the_edge_assigns_the_id_of_a_new_chat(edge, w):
    """The id of a direct chat depends on its two users, in any order; the id
    of a group is always new."""
    def create(user, body):
        with edge.open() as sock:
            sock.sendall(request(edge, path="/api/v1/chats", user=user,
                                 body=json.dumps(body).encode()))
            ev = w.wait("CHAT_CREATE")
            answer(w, ev, 201, "{}")
            assert wire.response(sock, "POST").status == 201
            assert ev.chat.version == 7 and ev.user == user
            return ev.chat

    direct = create(1, {"type": "direct", "memberIds": ["2"]})
    assert direct == create(2, {"type": "direct", "memberIds": ["1", "2"]})
    assert direct != create(1, {"type": "direct", "memberIds": ["3"]})
    group = {"type": "group", "memberIds": ["2"]}
    assert create(1, group) != create(1, group)
    for invalid in ([], {"type": 1}, {"type": "direct", "memberIds": "2"},
                    {"type": "direct", "memberIds": [2, None]}, {}):
        create(1, invalid)


# --------------------------------------- requests that nginx has not released

def test_a_handshake_with_a_mirror_is_refused_and_logged(edge):
    """The subrequest would continue on a connection that nginx' HTTP code has
    released."""
    with socket.socket(socket.AF_UNIX) as nobody:
        nobody.bind(str(edge.home / "nobody.sock"))
        nobody.listen(1)
        response, sock = edge.upgrade(
            path="/mirrored", Authorization=f"Bearer {edge.token()}")
        assert response.status == 500
        sock.close()
        nobody.accept()[0].close()
    assert "no mirror or subrequest" in edge.logs()
    assert edge.http("GET", "/healthz").status == 200


def test_a_subrequest_opens_no_websocket(edge):
    response, sock = edge.upgrade(path="/sub",
                                  Authorization=f"Bearer {edge.token()}")
    assert response.status == 500           # what auth_request makes of a 404
    sock.close()
    assert edge.metric("chat_edge_sessions") == 0


def test_a_device_revoked_during_its_handshake_is_closed(edge, w):
    """Also between the 101 and the start of the session."""
    done = threading.Event()

    def revoke():
        while not done.is_set():
            w.publish_to_all(put("KICK", user=77, device=77, status=4403))

    thread = threading.Thread(target=revoke)
    thread.start()
    try:
        for _ in range(200):
            sock = edge.open()
            try:
                response, _ = edge.upgrade(
                    sock=sock, Authorization=f"Bearer {edge.token(77, 77)}")
                ws = wire.Socket(sock, response.rest)
                assert ws.closed_with() == 4403
            except ValueError:              # closed without a response
                pass
            sock.close()
    finally:
        done.set()
        thread.join()
    wait_for(lambda: edge.metric("chat_edge_sessions") == 0,
             "all sessions end")


def test_a_waiting_request_does_not_delay_a_session(edge, w):
    with edge.open() as sock:
        sock.sendall(request(edge))
        ev = w.wait("SEND")
        ws, _ = w.synced(5, 5)
        expect_no_frame(ws)
        ws.close()
        answer(w, ev)
        assert wire.response(sock, "POST").status == 201
