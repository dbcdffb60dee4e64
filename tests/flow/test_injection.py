"""Forged identity headers, and text that tries to pass as SQL, JSON, a header
or a Redis command."""

import requests

from chatclient import Problem, new_id

HOSTILE = [
    "'; DROP TABLE users; --", "' OR '1'='1", "\\'; SELECT pg_sleep(9); --",
    "$1", "%s%n%p", "{\"type\":\"new_message\"}", "\"},{\"a\":\"",
    "line\r\nSet-Cookie: a=b", "*3\r\n$8\r\nFLUSHALL\r\n", "\\u0000",
    "\u202e\u0645\U0001f600", "</script><script>alert(1)</script>",
]


def test_identity_headers_of_a_client_are_ignored(phone):
    ann, bob = phone("ann"), phone("bob")
    spoof = {"X-Chat-User-Id": bob.user, "X-Chat-Device-Id": bob.device,
             "x-chat-user-id": bob.user, "X_Chat_User_Id": bob.user}
    me = ann.call("GET", "/users/me", headers=spoof)
    assert me["userId"] == ann.user
    # the headers do not replace a token
    answer = ann.api.raw("GET", "/users/me", headers=spoof)
    assert answer.status_code == 401
    answer = ann.api.raw("POST", "/auth/logout", headers=spoof)
    assert answer.status_code == 401
    bob.call("GET", "/users/me")


async def test_identity_headers_do_not_change_the_sender(phone):
    ann, bob = phone("ann"), phone("bob")
    chat = await ann.direct(bob)
    entry = await ann.rest("POST", f"/chats/{chat}/messages",
                           {"messageId": new_id(), "content": "x",
                            "senderId": bob.user, "userId": bob.user},
                           headers={"X-Chat-User-Id": bob.user})
    assert entry["senderId"] == ann.user
    assert entry["senderDeviceId"] == ann.device


async def test_hostile_text_is_stored_unchanged(stack, phone):
    ann, bob = phone("ann"), phone("bob")
    await ann.connect()
    await bob.connect()
    chat = await ann.direct(bob)
    for text in HOSTILE:
        await ann.send(chat, text)
        if text.isprintable():  # control characters in a name are refused
            await ann.rest("PATCH", "/users/me", {"username": text[:60]})
            me = await ann.rest("GET", "/users/me")
            assert me["username"] == text[:60]
    await bob.has(chat, len(HOSTILE))
    assert [t for _, t in bob.contents(chat)] == HOSTILE
    assert [e["content"] for e in await bob.history(chat)] == HOSTILE
    assert stack.sql("SELECT count(*) FROM users")[0][0] >= 2
    assert stack.redis().ping()


async def test_hostile_titles_are_stored_unchanged(phone):
    ann, bob = phone("ann"), phone("bob")
    for text in HOSTILE:
        chat = await ann.group(text, bob)
        assert (await bob.rest("GET", f"/chats/{chat}"))["title"] == text


def test_hostile_ids_are_refused(phone):
    ann = phone("ann")
    ids = ["1'", "..", "%2e%2e", "%00", "-1", "99999999999999999999999",
           "1;DROP TABLE chats", "%27%20OR%201=1--", "x" * 300]
    for bad in ids:
        for path in (f"/chats/{bad}", f"/chats/{bad}/messages",
                     f"/users/{bad}"):
            answer = ann.api.raw("GET", path, ann.access)
            assert answer.status_code in (400, 404), (path, answer.text)
            assert answer.headers["Content-Type"].startswith(
                "application/problem+json")


def test_hostile_parameters_are_refused(phone):
    ann, bob = phone("ann"), phone("bob")
    chat = ann.call("POST", "/chats", {"type": "direct",
                                       "memberIds": [bob.user]})["chatId"]
    for q in ("limit=0", "limit=101", "limit=1e9", "limit=-5", "limit='",
              "after=-1", "after=x", "after=1;select", "before=1&after=1",
              "after=99999999999999999999"):
        answer = ann.api.raw("GET", f"/chats/{chat}/messages?{q}",
                             ann.access)
        assert answer.status_code == 400, (q, answer.text)
        assert answer.json()["code"] == "bad_field"
    for cursor in ("x", "'", "%00", "AAAA", "A" * 2000):
        answer = ann.api.raw("GET", f"/chats?cursor={cursor}", ann.access)
        assert answer.status_code == 400, (cursor, answer.text)


def test_headers_cannot_be_smuggled(stack, phone):
    """A request with both length headers, whose body contains a second
    request, is refused and gets a single answer."""
    import socket
    ann = phone("ann")
    inner = (f"GET /api/v1/users/me HTTP/1.1\r\nHost: x\r\n"
             f"Authorization: Bearer {ann.access}\r\n\r\n")
    raw = ("POST /api/v1/auth/code HTTP/1.1\r\nHost: x\r\n"
           "Content-Type: application/json\r\n"
           f"Content-Length: {len(inner) + 5}\r\n"
           "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner)
    with socket.create_connection(("127.0.0.1", stack.port), 5) as s:
        s.sendall(raw.encode())
        s.settimeout(3)
        data = b""
        try:
            while True:
                part = s.recv(65536)
                if not part:
                    break
                data += part
        except socket.timeout:
            pass
    assert data.startswith(b"HTTP/1.1 400"), data[:200]
    assert data.count(b"HTTP/1.1 ") == 1


def test_errors_of_nginx_are_problem_json_too(stack, phone):
    ann = phone("ann")

    def check(answer, status, code):
        assert answer.status_code == status, answer.text
        assert answer.headers["Content-Type"].startswith(
            "application/problem+json"), answer.text
        assert answer.json()["code"] == code
        assert answer.json()["status"] == status

    check(requests.get(stack.url + "/no/such"), 404, "not_found")
    check(requests.post(stack.url + "/.well-known/jwks.json"), 405,
          "method_not_allowed")
    big = ann.api.raw("PATCH", "/users/me", ann.access,
                      json={"username": "x" * 70000})
    check(big, 413, "too_large")
    check(requests.get(stack.url + "/api/v1/" + "x" * 9000), 414,
          "too_large")
    check(ann.api.raw("GET", "/no/such/route", ann.access), 404, "not_found")


def test_documents_health_checks_and_public_keys_are_served(stack):
    for path in ("/.well-known/jwks.json", "/api/v1/openapi.yaml",
                 "/api/v1/asyncapi.yaml", "/healthz", "/readyz"):
        assert requests.get(stack.url + path).status_code == 200, path
    key = requests.get(stack.url + "/.well-known/jwks.json").json()["keys"][0]
    assert key["crv"] == "Ed25519" and "d" not in key


def test_rest_works_over_tls(stack, phone):
    ann = phone("ann")
    answer = requests.get(
        stack.tls_url + "/api/v1/users/me", timeout=10,
        verify=str(stack.home / "tls" / "cert.pem"),
        headers={"Authorization": "Bearer " + ann.access})
    assert answer.json()["userId"] == ann.user


def test_an_unknown_chat_type_is_a_bad_field(phone):
    ann = phone("ann")
    try:
        ann.call("POST", "/chats", {"type": "party", "memberIds": []})
    except Problem as e:
        assert (e.status, e.code) == (400, "bad_field")
    else:
        raise AssertionError("an unknown chat type was accepted")
