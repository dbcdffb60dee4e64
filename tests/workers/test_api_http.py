"""The API worker as a server: routes, bodies, draining, failing stores."""

import os
import socket
import stat
import threading
import time

import psycopg2
import pytest
from stores import wait_for
from api_client import (Rest, UnixConnection, add_chat, add_entries,
                        new_number, soon)


@pytest.fixture(scope="module")
def rest(stores):
    r = Rest(stores).start()
    yield r
    assert r.stop() == 0


@pytest.fixture(scope="module")
def ann(rest):
    return rest.login()


# ------------------------------------------------------------------- routes

@pytest.mark.parametrize("path", [
    "/", "", "/nothing", "/auth", "/auth/", "/auth/code/", "/users",
    "/users/", "/users/me/", "/users/me/x", "/users/1/2", "/chats/",
    "/chats/x/messages/", "/chats//messages", "/chats/x/messages/1",
    "/contacts", "/blocks/1", "/search", "//chats", "/../chats", "/CHATS",
    "/chats%00", "/%63hats%00/x"])
def test_unknown_path_is_not_found(ann, path):
    reply = ann.get(path)
    assert (reply.status, reply.code) == (404, "not_found")
    assert reply.type == "application/problem+json"


@pytest.mark.parametrize("base", ["", "/api", "/api/v2", "/api/v1x"])
def test_path_with_another_base_is_not_found(rest, base):
    assert rest("GET", "/chats", base=base, user=1, device=1).status == 404


@pytest.mark.parametrize("method,path,allow", [
    ("GET", "/auth/code", "POST, OPTIONS"),
    ("DELETE", "/chats", "GET, HEAD, POST, OPTIONS"),
    ("POST", "/chats", "GET, HEAD, POST, OPTIONS"),
    ("PUT", "/chats/x", "GET, HEAD, PATCH, DELETE, OPTIONS"),
    ("GET", "/chats/x/members/5", "PATCH, DELETE, OPTIONS"),
    ("PUT", "/users/me", "GET, HEAD, PATCH, DELETE, OPTIONS"),
    ("POST", "/users/5", "GET, HEAD, OPTIONS"),
    ("GET", "/devices/5", "DELETE, OPTIONS"),
    ("PATCH", "/users/me/pin", "PUT, OPTIONS"),
    ("TRACE", "/chats", "GET, HEAD, POST, OPTIONS"),
    ("X'--", "/chats", "GET, HEAD, POST, OPTIONS")])
def test_unsupported_method_gets_the_allowed_ones(ann, method, path, allow):
    reply = ann.rest(method, path, user=ann.user, device=ann.device)
    assert (reply.status, reply.code) == (405, "method_not_allowed")
    assert reply.headers["Allow"] == allow


def test_options_and_head_are_answered(ann):
    reply = ann.rest("OPTIONS", "/chats")
    assert reply.status == 204
    assert reply.headers["Allow"] == "GET, HEAD, POST, OPTIONS"
    reply = ann.rest("HEAD", "/users/me", user=ann.user, device=ann.device)
    assert reply.status == 200 and reply.text == b""
    assert int(reply.headers["Content-Length"]) > 10


def test_escaped_path_is_the_same_path(ann):
    assert ann.get("/%63hats").status == 200
    assert ann.get("/users/%6De").json["userId"] == ann.user


@pytest.mark.parametrize("user,device", [
    (None, None), ("1", None), (None, "1"), ("", ""), ("0", "1"), ("-1", "1"),
    ("x", "1"), ("1", "9223372036854775808"), ("1 OR 1=1", "1"),
    ("9223372036854775807", "9223372036854775807"), ("01", "1")])
@pytest.mark.parametrize("method,path", [
    ("GET", "/chats"), ("POST", "/auth/logout"), ("GET", "/users/me"),
    ("PATCH", "/users/me")])
def test_request_without_identity_is_unauthorized(
        rest, method, path, user, device):
    body = {} if method == "PATCH" else None
    reply = rest(method, path, body, user=user, device=device)
    assert (reply.status, reply.code) == (401, "unauthorized")
    assert reply.headers["WWW-Authenticate"] == "Bearer"


# ------------------------------------------------------------------- bodies

@pytest.mark.parametrize("kind", [
    "text/plain", "application/x-www-form-urlencoded", "application/jsonx",
    "", "json", "application/xml; a=application/json"])
def test_other_content_type_is_unsupported(rest, kind):
    reply = rest("POST", "/auth/code", raw=b'{"phoneNumber":"+15551234567"}',
                 headers={"Content-Type": kind})
    assert (reply.status, reply.code) == (415, "unsupported_media_type")


@pytest.mark.parametrize("kind", [
    "application/json; charset=utf-8", "APPLICATION/JSON",
    "application/json ;charset=utf-8"])
def test_variants_of_the_json_content_type_pass(rest, kind):
    reply = rest("POST", "/auth/code", raw=b'{"phoneNumber":"+15551234567"}',
                 headers={"Content-Type": kind})
    assert reply.status == 202


def test_body_of_64_kib_passes_and_a_longer_one_does_not(rest):
    def send(size):
        start = b'{"phoneNumber":"+15551234567","x":"'
        raw = start + b"x" * (size - len(start) - 2) + b'"}'
        assert len(raw) == size
        return rest("POST", "/auth/code", raw=raw,
                    headers={"Content-Type": "application/json"})

    assert send(65536).status == 202
    reply = send(65537)
    assert (reply.status, reply.code) == (413, "too_large")
    assert send(3000000).code == "too_large"


def test_one_connection_serves_many_requests(ann):
    c = UnixConnection(ann.rest.socket)
    for i in range(50):
        reply = ann.rest("GET", "/users/me" if i % 2 else "/nothing",
                         user=ann.user, device=ann.device, connection=c)
        assert reply.status == (200 if i % 2 else 404)
    assert c.sock is not None
    c.close()


def test_malformed_requests_do_not_affect_others(ann):
    for raw in (b"\x00" * 100, b"GET\r\n\r\n", b"POST /api/v1/auth/code HTTP/"
                b"1.1\r\nHost: x\r\nContent-Length: 999999999999999999999\r\n"
                b"\r\n", b"GET /" + b"a" * 100000, b"\r\n" * 50):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(2)
        s.connect(str(ann.rest.socket))
        try:
            s.sendall(raw)
            s.shutdown(socket.SHUT_WR)
            s.recv(1000)
        except OSError:
            pass
        s.close()
    assert ann.get("/users/me").status == 200


def test_nginx_may_connect_to_the_socket(rest):
    mode = os.stat(rest.socket).st_mode
    assert stat.S_ISSOCK(mode) and mode & 0o777 == 0o666


def test_process_title_shows_the_role(rest):
    raw = open(f"/proc/{rest.worker.pid}/cmdline", "rb").read()
    assert b"chat-worker api" in raw.replace(b"\0", b" ")


# ---------------------------------------------------------------- readiness

def ready(rest):
    return rest("GET", "/internal/ready", base="")


def test_worker_is_ready_while_both_stores_answer(rest, stores):
    assert ready(rest).status == 200
    stores.stop_redis()
    try:
        assert ready(rest).code == "unavailable"
    finally:
        stores.start_redis()
    soon(lambda: ready(rest).status == 200, 8)


def test_reads_succeed_again_right_after_a_postgresql_restart(ann, stores):
    assert ann.get("/users/me").status == 200
    stores.stop_pg()
    reply = ann.get("/users/me")
    assert (reply.status, reply.code) == (503, "unavailable")
    assert int(reply.headers["Retry-After"]) == reply.json["retryAfter"] >= 1
    assert ready(ann.rest).status == 503
    stores.start_pg()
    for _ in range(12):
        assert ann.get("/users/me").status == 200


def test_killed_connections_are_replaced(ann, stores):
    for _ in range(3):
        ann.get("/users/me")
        stores.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                   " WHERE application_name = 'chat-worker api'")
        assert ann.get("/users/me").status == 200
        assert ann.rest.post("/auth/code",
                             {"phoneNumber": new_number()}).status == 202


def test_read_succeeds_when_its_connection_is_killed(ann, stores):
    """The connection is busy when it is killed: its statement waits for a
    lock."""
    chat = add_chat(stores, {ann.user: {}})
    add_entries(stores, chat, 1, 3, ann.user)
    ann.get("/users/me")
    db = psycopg2.connect(stores.dsn)
    db.cursor().execute("LOCK TABLE chat_members IN ACCESS EXCLUSIVE MODE")
    replies = []
    t = threading.Thread(target=lambda: replies.append(
        ann.get(f"/chats/{chat}/messages")))
    t.start()
    soon(lambda: stores.sql(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name ="
        " 'chat-worker api' AND wait_event_type = 'Lock'") == [(1,)])
    stores.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE"
               " application_name = 'chat-worker api' AND wait_event_type ="
               " 'Lock'")
    time.sleep(0.2)
    db.close()
    t.join()
    assert replies[0].status == 200
    assert [e["seq"] for e in replies[0].json["items"]] == [1, 2, 3]


def test_request_waits_at_most_three_seconds_for_a_connection(stores):
    r = Rest(stores, api_threads=1).start()
    try:
        number = new_number()
        code = r.code(number)
        lock = threading.Event()
        done = threading.Event()

        def hold():
            db = psycopg2.connect(stores.dsn)
            cur = db.cursor()
            cur.execute("SELECT 1 FROM login_codes WHERE phone_number = %s"
                        " FOR UPDATE", (number,))
            lock.set()
            done.wait(20)
            db.rollback()
            db.close()

        holder = threading.Thread(target=hold)
        holder.start()
        lock.wait(5)
        slow = threading.Thread(target=r.login_raw, args=(number, code))
        slow.start()
        time.sleep(0.3)
        start = time.monotonic()
        reply = r.post("/auth/code", {"phoneNumber": new_number()})
        took = time.monotonic() - start
        done.set()
        holder.join()
        slow.join()
        assert (reply.status, reply.code) == (503, "unavailable")
        assert 2.5 < took < 4
    finally:
        r.stop()


# ------------------------------------------------------------- start and end

def test_sigterm_ends_within_three_seconds_with_idle_connections(stores):
    r = Rest(stores).start()
    idle = [UnixConnection(r.socket) for _ in range(5)]
    for c in idle:
        assert r("GET", "/nothing", connection=c).status == 404
    start = time.monotonic()
    assert r.stop() == 0
    assert time.monotonic() - start < 3
    for c in idle:
        c.close()


def test_new_process_takes_over_without_a_failed_request(stores):
    path = stores.home / "takeover.sock"
    old = Rest(stores, api_socket=path).start()
    new = Rest(stores, api_socket=path)
    failed, count, stop = [], [0], threading.Event()

    def ask():
        while not stop.is_set():
            try:
                assert old("GET", "/nothing").status == 404
                count[0] += 1
            except Exception as e:      # noqa: BLE001
                failed.append(repr(e))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for t in threads:
        t.start()
    try:
        wait_for(lambda: count[0] > 20, say="answers of the old process")
        new.start()
        # the old process answers on the same path: only the log shows
        # that the new one listens
        wait_for(lambda: "listening socket" in new.worker.log(),
                 say="socket of the new process")
        assert old.stop() == 0
        before = count[0]
        wait_for(lambda: failed or count[0] > before + 20,
                 say="answers of the new process")
        assert path.exists()
    finally:
        stop.set()
        for t in threads:
            t.join()
        new.stop()
    assert not failed and count[0] > 50


def test_sigterm_lets_a_running_request_finish(stores):
    r = Rest(stores).start()
    number = new_number()
    ann = r.login(number)
    ann.put("/users/me/pin", {"pin": "123456"})
    code = r.code(number)
    replies = []
    t = threading.Thread(target=lambda: replies.append(
        r.login_raw(number, code, pin="123456")))
    t.start()
    time.sleep(0.02)
    assert r.stop() == 0
    t.join()
    assert replies[0].status == 200


def test_worker_without_a_key_does_not_start(stores, tmp_path):
    r = Rest(stores)
    (r.home / "keys" / "token.jwk").unlink()
    with pytest.raises(AssertionError, match="token.jwk"):
        r.start()


# -------------------------------------------------------------------- load

def test_many_concurrent_requests_are_all_answered(rest, stores):
    ann = rest.login()
    chat = add_chat(stores, {ann.user: {}})
    add_entries(stores, chat, 1, 60, ann.user)
    errors = []

    def run():
        c = UnixConnection(rest.socket)
        for _ in range(40):
            try:
                reply = rest("GET", f"/chats/{chat}/messages", user=ann.user,
                             device=ann.device, connection=c)
                assert reply.status == 200 and len(reply.json["items"]) == 50
            except Exception as e:      # noqa: BLE001
                errors.append(repr(e))
        c.close()

    threads = [threading.Thread(target=run) for _ in range(32)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not errors
