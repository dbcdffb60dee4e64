"""Checks of REST writes that the edge makes itself, before any worker."""

import json

import pytest

import schema
from edge import Edge

CHAT = "0199a3c1-7b1e-7cc3-9d2f-6f0b8a51c2d4"
JSON = ("Content-Type", "application/json")


@pytest.fixture(scope="module")
def rest():
    """An edge with a stub API worker that answers with the method."""
    with Edge(server="""
            location /api/ {
                chat_auth on;
                chat_enqueue on;
                client_max_body_size 1m;
                proxy_pass http://127.0.0.1:@PORT@/worker;
            }
            location /worker { return 200 "$request_method"; }
            """) as edge:
        yield edge


def send(edge, method, path, headers=(JSON,), body=b"{}"):
    return edge.http(method, "/api/v1" + path, [
        ("Authorization", f"Bearer {edge.token()}"), *headers], body)


def refused(edge, status, code, *args, **kw):
    got = send(edge, *args, **kw)
    problem = schema.validate_problem(got.status, got.headers, got.body)
    assert (got.status, problem["code"]) == (status, code)


def test_reads_and_other_routes_go_to_the_api_worker(rest):
    for method, path in (("GET", "/chats"), ("GET", f"/chats/{CHAT}"),
                         ("POST", "/devices"), ("PATCH", "/users/me"),
                         ("DELETE", "/devices/1"), ("POST", "/chatsx"),
                         ("PUT", f"/chats/{CHAT}"), ("POST", "/chats/"),
                         ("GET", f"/chats/{CHAT}/members"),
                         ("POST", f"/chats/{CHAT}/receipts")):
        got = send(rest, method, path)
        assert (got.status, got.body) == (200, method.encode()), path


@pytest.mark.parametrize("method,path", [
    ("PATCH", "/chats/x"), ("DELETE", "/chats/x"),
    ("POST", "/chats/x/messages"), ("POST", f"/chats/{CHAT}0/members"),
    ("PATCH", f"/chats/{CHAT}/members/0"),
    ("DELETE", f"/chats/{CHAT}/members/x"),
    ("DELETE", f"/chats/{CHAT}/members/9223372036854775808")])
def test_malformed_ids_are_not_found(rest, method, path):
    refused(rest, 404, "not_found", method, path)


@pytest.mark.parametrize("headers", [
    [], [("Content-Type", "text/plain")],
    [("Content-Type", "application/jsonx")],
    [("Content-Type", "application/x-www-form-urlencoded")],
    [("Content-Type", "")]])
def test_a_body_that_is_not_json_is_unsupported(rest, headers):
    refused(rest, 415, "unsupported_media_type", "POST",
            f"/chats/{CHAT}/messages", headers=headers)


@pytest.mark.parametrize("key", [
    "", "x" * 129, "with space", "\u00e9", "a\tb"])
def test_an_invalid_idempotency_key_is_refused(rest, key):
    refused(rest, 400, "bad_field", "POST", "/chats",
            headers=[JSON, ("Idempotency-Key", key)])


def test_two_idempotency_keys_are_refused(rest):
    refused(rest, 400, "bad_field", "POST", "/chats", headers=[
        JSON, ("Idempotency-Key", "a"), ("Idempotency-Key", "b")])


def test_a_body_above_64_kib_is_too_large(rest):
    refused(rest, 413, "too_large", "POST", f"/chats/{CHAT}/messages",
            body=b" " * 65537)


@pytest.mark.parametrize("headers", [
    [JSON], [("Content-Type", "Application/JSON; charset=utf-8")]])
def test_a_write_without_a_worker_is_unavailable_after_10_s(rest, headers):
    """No worker reads the stream; the complete event stays in the stream."""
    key = "k" * 128
    before = sum(rest.redis.xlen(k) for k in
                 rest.redis.scan_iter("message.sent:*"))
    got = send(rest, "POST", f"/chats/{CHAT}/messages",
               headers=[*headers, ("Idempotency-Key", key)],
               body=json.dumps({"messageId": "m", "content": "x"}).encode())
    problem = schema.validate_response(
        "POST", f"/api/v1/chats/{CHAT}/messages", got.status, got.headers,
        got.body)
    assert (got.status, problem["code"]) == (503, "unavailable")
    streams = list(rest.redis.scan_iter("message.sent:*"))
    assert sum(rest.redis.xlen(k) for k in streams) == before + 1
    _, fields = rest.redis.xrevrange(streams[0], count=1)[0]
    assert key.encode() in fields[b"e"] and b'"messageId"' in fields[b"e"]
