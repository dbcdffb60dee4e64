"""The handshake: every check comes before 101, every refusal is problem+json.
"""

import base64
import hashlib
import hmac
import json
import os
import struct
import time

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

import schema
import wire
from edge import Edge, b64url


def expect_problem(response, status, code):
    problem = schema.validate_problem(response.status, response.headers,
                                      response.body)
    assert (response.status, problem["code"]) == (status, code), response
    if status == 401:
        assert response.headers["www-authenticate"].startswith("Bearer")
    return problem


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def test_accepts_a_token_in_authorization(edge):
    response, sock = edge.upgrade(bearer(edge.token()))
    sock.close()
    assert response.status == 101
    assert response.headers["upgrade"].lower() == "websocket"
    assert "upgrade" in response.headers["connection"].lower()
    assert response.headers["sec-websocket-accept"] == wire.ACCEPT
    assert response.headers["sec-websocket-protocol"] == "chat.v1"
    assert "sec-websocket-extensions" not in response.headers


@pytest.mark.parametrize("offer", [
    "chat.v1, bearer.{}", "bearer.{}, chat.v1", "chat.v1,bearer.{}",
    "chat.v2, bearer.{} ,chat.v1", ["chat.v1", "bearer.{}"]])
def test_accepts_a_token_as_subprotocol_and_selects_chat_v1(edge, offer):
    token = edge.token()
    offer = ([o.format(token) for o in offer] if isinstance(offer, list)
             else offer.format(token))
    response, sock = edge.upgrade(Sec_WebSocket_Protocol=offer)
    sock.close()
    assert response.status == 101, response
    assert response.headers["sec-websocket-protocol"] == "chat.v1"


def test_accepts_the_same_token_twice(edge):
    token = edge.token()
    response, sock = edge.upgrade(
        bearer(token), Sec_WebSocket_Protocol=f"chat.v1, bearer.{token}")
    sock.close()
    assert response.status == 101
    assert response.headers["sec-websocket-protocol"] == "chat.v1"


def test_header_names_and_values_are_case_insensitive(edge):
    response, sock = edge.upgrade(
        {"AUTHORIZATION": f"bEARER {edge.token()}"}, Upgrade="WebSocket",
        Connection="keep-alive, UPGRADE")
    sock.close()
    assert response.status == 101, response


def test_selects_no_extension(edge):
    response, sock = edge.upgrade(
        bearer(edge.token()),
        Sec_WebSocket_Extensions="permessage-deflate; client_max_window_bits")
    sock.close()
    assert response.status == 101
    assert "sec-websocket-extensions" not in response.headers


@pytest.mark.parametrize("version", [None, "8", "14", "13x", ""])
def test_another_version_is_refused_with_the_supported_one(edge, version):
    response = edge.refused(headers=bearer(edge.token()),
                            Sec_WebSocket_Version=version)
    expect_problem(response, response.status, "bad_request")
    assert response.status in (400, 426)
    assert response.headers["sec-websocket-version"] == "13"


@pytest.mark.parametrize("key", [
    None, "", "short", "A" * 24, "dGhlIHNhbXBsZSBub25jZQ",
    "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZQ===",
    "dGhlIHNhbXBsZSBub25j*Q==", [wire.KEY, wire.KEY],
    base64.b64encode(b"17 bytes are 1too").decode()])
def test_a_key_that_is_not_16_bytes_in_base64_is_refused(edge, key):
    expect_problem(edge.refused(headers=bearer(edge.token()),
                                Sec_WebSocket_Key=key), 400, "bad_request")


@pytest.mark.parametrize("headers", [
    {"Upgrade": None}, {"Upgrade": "h2c"}, {"Connection": None},
    {"Connection": "close"}])
def test_a_request_without_an_upgrade_is_refused(edge, headers):
    expect_problem(edge.refused(headers={**bearer(edge.token()), **headers}),
                   400, "bad_request")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_another_method_is_refused(edge, method):
    response = edge.refused(method=method, headers=bearer(edge.token()))
    expect_problem(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "GET"


@pytest.mark.parametrize("offer", [
    None, "", "chat.v2", "Chat.V1", "chat.v1x", "mqtt, chat"])
def test_a_handshake_without_chat_v1_is_refused(edge, offer):
    expect_problem(edge.refused(headers=bearer(edge.token()),
                                Sec_WebSocket_Protocol=offer),
                   400, "bad_request")


def test_bearer_alone_is_not_chat_v1(edge):
    expect_problem(edge.refused(
        Sec_WebSocket_Protocol=f"bearer.{edge.token()}"), 400, "bad_request")


# ------------------------------------------------------------------- tokens

def expect_401(edge, token, code="unauthorized"):
    expect_problem(edge.refused(headers=bearer(token)), 401, code)
    expect_problem(edge.refused(
        Sec_WebSocket_Protocol=f"chat.v1, bearer.{token}"), 401, code)


@pytest.mark.parametrize("headers", [
    {}, {"Authorization": ""}, {"Authorization": "Bearer"},
    {"Authorization": "Bearer "}, {"Authorization": "Basic dTpw"}])
def test_a_handshake_without_a_token_is_refused(edge, headers):
    expect_problem(edge.refused(headers=headers), 401, "unauthorized")


def test_a_bearer_subprotocol_without_a_token_is_refused(edge):
    expect_problem(edge.refused(Sec_WebSocket_Protocol="chat.v1, bearer."),
                   401, "unauthorized")


def test_an_expired_token_is_token_expired(edge):
    now = int(time.time())
    expect_401(edge, edge.token(iat=now - 1000, exp=now - 1), "token_expired")
    expect_401(edge, edge.token(iat=now - 1000, exp=now), "token_expired")


def test_a_token_expires_while_it_is_in_the_cache(edge):
    token = edge.token(exp=int(time.time()) + 2)
    response, sock = edge.upgrade(bearer(token))
    sock.close()
    assert response.status == 101
    time.sleep(2.2)
    expect_problem(edge.refused(headers=bearer(token)), 401, "token_expired")


def test_an_expired_token_with_a_bad_signature_is_unauthorized(edge):
    now = int(time.time())
    token = edge.token(iat=now - 1000, exp=now - 1)
    head, body, _ = token.split(".")
    expect_401(edge, f"{head}.{body}.{b64url(bytes(64))}")


@pytest.mark.parametrize("cut", [1, 10, 43, 86, 100])
def test_a_truncated_token_is_refused(edge, cut):
    expect_401(edge, edge.token()[:-cut])


def test_a_changed_token_is_refused(edge):
    head, body, signature = edge.token(user=1).split(".")
    other = edge.token(user=2).split(".")[1]
    expect_401(edge, f"{head}.{other}.{signature}")
    flipped = "B" if signature[10] != "B" else "C"
    expect_401(edge, f"{head}.{body}.{signature[:10]}{flipped}"
                    f"{signature[11:]}")


def forged(edge, alg, sign):
    now = int(time.time())
    head = b64url(json.dumps({"alg": alg, "typ": "JWT",
                              "kid": edge.keys.kid}).encode())
    body = b64url(json.dumps({"sub": "1", "did": "1", "iat": now,
                              "exp": now + 900}).encode())
    return f"{head}.{body}.{sign(f'{head}.{body}'.encode())}"


@pytest.mark.parametrize("alg", ["none", "None", "NONE", ""])
def test_alg_none_is_refused(edge, alg):
    expect_401(edge, forged(edge, alg, lambda text: ""))
    expect_401(edge, forged(edge, alg, lambda text: b64url(bytes(64))))


def test_hs256_keyed_with_the_public_key_is_refused(edge):
    for secret in (edge.keys.public, b64url(edge.keys.public).encode(),
                   edge.keys.jwks.read_bytes()):
        expect_401(edge, forged(edge, "HS256", lambda text: b64url(
            hmac.new(secret, text, hashlib.sha256).digest())))


def test_a_good_signature_under_another_alg_is_refused(edge):
    for alg in ("RS256", "ES256", "HS256", "Ed448", "eddsa"):
        expect_401(edge, forged(edge, alg,
                                lambda text: b64url(edge.keys.key.sign(text))))


def test_an_unchanged_forged_token_is_accepted(edge):
    """Control test: the tests above fail only because of what they change."""
    response, sock = edge.upgrade(bearer(forged(
        edge, "EdDSA", lambda text: b64url(edge.keys.key.sign(text)))))
    sock.close()
    assert response.status == 101, response


def test_an_unknown_kid_is_refused(edge):
    expect_401(edge, edge.token(kid="another"))
    expect_401(edge, edge.token(kid="k" * 500))


def test_another_key_under_our_kid_is_refused(edge):
    expect_401(edge, edge.token(key=ed25519.Ed25519PrivateKey.generate()))


@pytest.mark.parametrize("claims", [
    {"sub": None}, {"did": None}, {"exp": None}, {"sub": ""}, {"sub": "0"},
    {"sub": "-1"}, {"sub": "01"}, {"sub": "1 "}, {"sub": "x"},
    {"did": "0"}, {"did": "99999999999999999999"},
    {"iat": int(time.time()) + 3600}])
def test_invalid_claims_are_refused(edge, claims):
    expect_401(edge, edge.token(**claims))


@pytest.mark.parametrize("token", [
    "x", "..", "a.b.c", "a.b", "a.b.c.d", "." * 100, "A" * 1024,
    "A" * 4000, "eyJhbGciOiJFZERTQSJ9..", "=.=.="],
    ids=lambda t: f"{t[:12]}-{len(t)}")
def test_a_malformed_token_is_refused(edge, token):
    expect_401(edge, token)


def test_two_different_tokens_are_refused(edge):
    response = edge.refused(
        headers=bearer(edge.token(1)),
        Sec_WebSocket_Protocol=f"chat.v1, bearer.{edge.token(2)}")
    expect_problem(response, 401, "unauthorized")
    response = edge.refused(
        headers={"Authorization": "Basic dTpw"},
        Sec_WebSocket_Protocol=f"chat.v1, bearer.{edge.token(2)}")
    expect_problem(response, 401, "unauthorized")


def test_a_device_revoked_while_the_edge_runs_is_refused(edge):
    token = edge.token(user=31, device=32)
    with edge.connect(user=31, device=32) as ws:
        assert ws.message()["type"] == "welcome"
        edge.redis.publish("edge.all", revocation(31, 32))
        assert ws.closed_with() == 4403
    expect_problem(edge.refused(headers=bearer(token)), 401, "device_revoked")
    response, sock = edge.upgrade(bearer(edge.token(user=31, device=33)))
    sock.close()
    assert response.status == 101, "another device of the user is not revoked"


def test_a_device_revoked_before_the_edge_started_is_refused():
    with Edge() as edge:
        edge.redis.zadd("device.revoked", {"31:32": int(time.time()) + 900})
        edge.restart_nginx()
        expect_problem(edge.refused(headers=bearer(edge.token(31, 32))),
                       401, "device_revoked")
        response, sock = edge.upgrade(bearer(edge.token(31, 33)))
        sock.close()
        assert response.status == 101


def revocation(user, device):
    """A batch with a REVOKE record, in the format of common/chat_batch.h."""
    record = struct.pack("<BBQQq", 7, 0, user, device,
                         int(time.time()) + 900)
    return b"\x01" + struct.pack("<I", len(record)) + record


# ------------------------------------------------------------------- origin

@pytest.mark.parametrize("origin", [
    "https://evil.example", "http://evil.example", "null", "",
    "https://127.0.0.1", "https://127.0.0.1:{port}.evil.example",
    "ftp://127.0.0.1:{port}", ["http://127.0.0.1:{port}", "http://evil"]])
def test_a_foreign_origin_is_refused(edge, origin):
    origin = ([o.format(port=edge.port) for o in origin]
              if isinstance(origin, list) else origin.format(port=edge.port))
    expect_problem(edge.refused(headers=bearer(edge.token()), Origin=origin),
                   403, "forbidden")


def test_the_own_host_is_an_allowed_origin(edge):
    for scheme in ("http", "https", "HTTP"):
        response, sock = edge.upgrade(
            bearer(edge.token()), Origin=f"{scheme}://127.0.0.1:{edge.port}")
        sock.close()
        assert response.status == 101, response


# ------------------------------------------------------------------ welcome

def test_welcome_is_the_first_frame_and_matches_the_schema(edge):
    with edge.connect(user=9223372036854775807, device=41) as ws:
        welcome = schema.validate_frame(ws.message())
    assert welcome["type"] == "welcome"
    assert welcome["userId"] == "9223372036854775807"
    assert welcome["deviceId"] == "41"
    assert welcome["heartbeat"] == 30
    assert welcome["limits"]["frame"] == 65536


def test_frames_in_the_same_segment_as_the_handshake_are_read(edge):
    with edge.open() as sock:
        head = (f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{edge.port}\r\n"
                f"Connection: Upgrade\r\nUpgrade: websocket\r\n"
                f"Sec-WebSocket-Version: 13\r\n"
                f"Sec-WebSocket-Key: {wire.KEY}\r\n"
                f"Sec-WebSocket-Protocol: chat.v1\r\n"
                f"Authorization: Bearer {edge.token()}\r\n\r\n").encode()
        sock.sendall(head + wire.frame(wire.TEXT, '{"type":"ping"}')
                     + wire.frame(wire.PING, b"early"))
        response = wire.response(sock)
        assert response.status == 101
        ws = wire.Socket(sock, response.rest)
        assert ws.message()["type"] == "welcome"
        assert ws.message()["type"] == "pong"
        assert ws.until(wire.PONG).payload == b"early"


def test_a_handshake_may_arrive_one_byte_at_a_time(edge):
    with edge.open() as sock:
        sock.setsockopt(6, 1, 1)
        for byte in (f"GET /ws HTTP/1.1\r\nHost: x:{edge.port}\r\n"
                     f"Connection: Upgrade\r\nUpgrade: websocket\r\n"
                     f"Sec-WebSocket-Version: 13\r\n"
                     f"Sec-WebSocket-Key: {wire.KEY}\r\n"
                     f"Sec-WebSocket-Protocol: chat.v1\r\n"
                     f"Authorization: Bearer {edge.token()}\r\n\r\n"
                     ).encode():
            sock.sendall(bytes([byte]))
        assert wire.response(sock).status == 101


def test_a_connection_succeeds_after_many_refusals(edge):
    for _ in range(50):
        edge.refused(headers=bearer(os.urandom(8).hex()))
    with edge.connect() as ws:
        assert ws.message()["type"] == "welcome"
