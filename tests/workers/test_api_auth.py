"""Codes, logins, token pairs and devices: every rule of the contract."""

import base64
import concurrent.futures
import hashlib
import hmac
import http.server
import json
import subprocess
import threading
import time

import pytest
from api_client import DEVICE, Login, Rest, add_chat, new_number, soon
from stores import BUILD, clean_env


@pytest.fixture(scope="module")
def rest(stores):
    r = Rest(stores).start()
    yield r
    assert r.stop() == 0


@pytest.fixture(scope="module")
def limited(stores):
    r = Rest(stores, code_limit_number=3, code_limit_address=6,
             login_limit_address=8).start()
    yield r
    assert r.stop() == 0


def claims(token):
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def wrong(code):
    return f"{(int(code) + 1) % 1000000:06d}"


# ------------------------------------------------------------------- codes

def test_code_has_six_digits_and_expires_after_300_s(rest):
    reply = rest.post("/auth/code", {"phoneNumber": new_number()})
    assert reply.status == 202
    assert reply.json["expiresIn"] == 300
    assert len(reply.json["devCode"]) == 6 and reply.json["devCode"].isdigit()
    assert reply.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("number", [
    None, "", "+", "15551234567", "+05551234567", "+155512", "+" + "1" * 16,
    "+1555123456a", "+1555 1234567", " +15551234567", "+15551234567\n",
    "+155512\u0664567", 15551234567, ["+15551234567"], {"a": 1}, True,
    "+1555'; DROP TABLE users; --", "++15551234567"])
def test_number_that_is_not_e164_is_bad_field(rest, number):
    reply = rest.post("/auth/code", {"phoneNumber": number})
    assert (reply.status, reply.code) == (400, "bad_field")
    assert reply.type == "application/problem+json"
    assert reply.json["errors"][0]["field"] == "phoneNumber"
    assert reply.json["status"] == 400 and reply.json["title"]


@pytest.mark.parametrize("number", ["+1234567", "+123456789012345"])
def test_shortest_and_longest_number_pass(rest, number):
    assert rest.post("/auth/code", {"phoneNumber": number}).status == 202


def test_code_is_stored_only_as_a_hash(rest, stores):
    number = new_number()
    code = rest.code(number)
    row = stores.sql("SELECT code_hash FROM login_codes WHERE phone_number"
                     " = %s", number)[0][0]
    row = bytes(row)
    assert len(row) == 32
    assert code.encode() not in row
    assert row != hashlib.blake2b(code.encode(), digest_size=32).digest()


def test_code_works_once(rest):
    number = new_number()
    code = rest.code(number)
    assert rest.login_raw(number, code).status == 200
    reply = rest.login_raw(number, code)
    assert (reply.status, reply.code) == (401, "wrong_code")


def test_new_code_invalidates_the_old_one(rest):
    number = new_number()
    old = rest.code(number)
    while (new := rest.code(number)) == old:
        pass
    assert rest.login_raw(number, old).code == "wrong_code"
    assert rest.login_raw(number, new).status == 200


def test_code_of_another_number_is_wrong(rest):
    one, other = new_number(), new_number()
    a, b = rest.code(one), rest.code(other)
    while a == b:
        b = rest.code(other)
    assert rest.login_raw(one, b).code == "wrong_code"


def test_five_wrong_codes_invalidate_the_code(rest):
    number = new_number()
    code = rest.code(number)
    for _ in range(5):
        assert rest.login_raw(number, wrong(code)).code == "wrong_code"
    reply = rest.login_raw(number, code)
    assert (reply.status, reply.code) == (401, "wrong_code")
    assert rest.login_raw(number, rest.code(number)).status == 200


def test_four_wrong_codes_do_not_invalidate_the_code(rest):
    number = new_number()
    code = rest.code(number)
    for _ in range(4):
        rest.login_raw(number, wrong(code))
    assert rest.login_raw(number, code).status == 200


def test_concurrent_wrong_codes_are_each_counted(rest):
    number = new_number()
    code = rest.code(number)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(
            lambda _: rest.login_raw(number, wrong(code)), range(8)))
    assert {r.code for r in replies} == {"wrong_code"}
    assert rest.login_raw(number, code).code == "wrong_code"


def test_wrong_unknown_and_expired_codes_get_the_same_answer(rest, stores):
    number = new_number()
    code = rest.code(number)
    answers = [rest.login_raw(number, wrong(code)).text,
               rest.login_raw(new_number(), "123456").text]
    stores.sql("UPDATE login_codes SET expires_at = now() WHERE phone_number"
               " = %s", number)
    answers.append(rest.login_raw(number, code).text)
    assert len(set(answers)) == 1


# ------------------------------------------------------------------- login

def test_first_login_creates_the_user(rest, stores):
    number = new_number()
    one = rest.login(number)
    two = rest.login(number)
    assert one.new is True and two.new is False
    assert one.user == two.user and one.device != two.device
    assert isinstance(one.user, str) and isinstance(one.device, str)
    assert stores.sql("SELECT count(*) FROM users WHERE phone_number = %s",
                      number) == [(1,)]


def test_concurrent_logins_with_one_code_create_one_device(rest, stores):
    number = new_number()
    code = rest.code(number)
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        replies = list(pool.map(lambda _: rest.login_raw(number, code),
                                range(6)))
    assert sorted(r.status for r in replies) == [200] + [401] * 5
    assert stores.sql("SELECT count(*) FROM devices d JOIN users u ON u.id ="
                      " d.user_id WHERE phone_number = %s", number) == [(1,)]


def test_access_token_names_user_and_device(rest):
    ann = rest.login()
    c = claims(ann.access)
    assert c["sub"] == ann.user and c["did"] == ann.device
    assert c["exp"] - c["iat"] == 900
    assert abs(c["iat"] - time.time()) < 5


@pytest.mark.parametrize("field,value", [
    ("code", None), ("code", 123456), ("code", ""), ("code", "1" * 33),
    ("device", None), ("device", "x"), ("device", []), ("device", {}),
    ("device", {"name": "", "platform": "x"}),
    ("device", {"name": "x" * 65, "platform": "x"}),
    ("device", {"name": "x", "platform": "x" * 33}),
    ("device", {"name": "x", "platform": ""}),
    ("device", {"name": 1, "platform": "x"}),
    ("device", {"name": "a\nb", "platform": "x"}),
    ("pin", 123456), ("pin", "1" * 65),
    ("revokeDeviceId", 5), ("revokeDeviceId", "0"), ("revokeDeviceId", "-1"),
    ("revokeDeviceId", "9223372036854775808"), ("revokeDeviceId", "1 OR 1=1")])
def test_wrong_login_field_is_bad_field_and_keeps_the_code(rest, field,
                                                           value):
    number = new_number()
    code = rest.code(number)
    body = {"phoneNumber": number, "code": code, "device": DEVICE,
            field: value}
    reply = rest.post("/auth/login", body)
    assert (reply.status, reply.code) == (400, "bad_field"), reply
    assert reply.json["errors"]
    assert rest.login_raw(number, code).status == 200


def test_device_name_length_is_in_characters(rest):
    number = new_number()
    name = "\U0001f4f1" * 64
    ann = rest.login(number, device={"name": name, "platform": "p" * 32})
    assert ann.get("/devices").json["items"][0]["name"] == name


def test_unknown_fields_are_ignored(rest):
    number = new_number()
    reply = rest.login_raw(number, rest.code(number), more={"a": [1]})
    assert reply.status == 200


def test_suspended_user_cannot_log_in(rest, stores):
    ann = rest.login()
    stores.sql("UPDATE users SET suspended_at = now() WHERE id = %s", ann.user)
    reply = rest.login_raw(ann.number, rest.code(ann.number))
    assert (reply.status, reply.code) == (403, "suspended")


def test_login_of_an_eleventh_device_gets_the_list_of_ten(rest):
    ann = rest.login()
    others = [rest.login(ann.number) for _ in range(9)]
    code = rest.code(ann.number)

    reply = rest.login_raw(ann.number, code)
    assert (reply.status, reply.code) == (409, "too_many_devices")
    assert [d["deviceId"] for d in reply.json["devices"]] \
        == [ann.device] + [o.device for o in others]
    assert set(reply.json["devices"][0]) == {
        "deviceId", "name", "platform", "createdAt", "lastSeen", "current"}
    assert all(d["current"] is False for d in reply.json["devices"])

    # another user's device frees no slot; the code stays valid
    stranger = rest.login()
    assert rest.login_raw(ann.number, code,
                          revokeDeviceId=stranger.device).status == 409
    assert stranger.get("/devices").status == 200

    reply = rest.login_raw(ann.number, code, revokeDeviceId=others[3].device)
    assert reply.status == 200
    assert others[3].get("/devices").code == "device_revoked"
    ids = [d["deviceId"] for d in ann.get("/devices").json["items"]]
    assert len(ids) == 10 and others[3].device not in ids


def test_concurrent_logins_create_no_eleventh_device(rest, stores):
    ann = rest.login()
    for _ in range(8):
        rest.login(ann.number)
    code = rest.code(ann.number)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: rest.login_raw(ann.number, code), range(4)))
    assert rest.login_raw(ann.number, rest.code(ann.number)).status == 409
    assert stores.sql("SELECT count(*) FROM devices WHERE user_id = %s",
                      ann.user) == [(10,)]


def test_new_device_starts_with_everything_delivered(rest, stores):
    ann = rest.login()
    here = add_chat(stores, {ann.user: {}}, last=40)
    left = add_chat(stores, {ann.user: {"left_seq": 12}}, last=40)
    fresh = add_chat(stores, {ann.user: {"joined_seq": 41}}, last=40)
    other = rest.login(ann.number)
    rows = dict(stores.sql("SELECT chat_id::text, delivered_seq FROM"
                           " device_marks WHERE device_id = %s",
                           other.device))
    assert rows == {here: 40, left: 12, fresh: 40}


# --------------------------------------------------------------------- pin

def test_login_requires_the_pin(rest):
    ann = rest.login()
    assert ann.put("/users/me/pin", {"pin": "654321"}).status == 204
    code = rest.code(ann.number)

    reply = rest.login_raw(ann.number, code)
    assert (reply.status, reply.code) == (403, "pin_required")
    reply = rest.login_raw(ann.number, code, pin="654322")
    assert (reply.status, reply.code) == (403, "pin_required")
    assert rest.login_raw(ann.number, code, pin="654321").status == 200


def test_five_wrong_pins_invalidate_the_code(rest):
    ann = rest.login()
    ann.put("/users/me/pin", {"pin": "654321"})
    code = rest.code(ann.number)
    for _ in range(5):
        assert rest.login_raw(ann.number, code,
                              pin="000000").code == "pin_required"
    assert rest.login_raw(ann.number, code, pin="654321").code == "wrong_code"


def test_wrong_code_with_right_pin_is_only_wrong_code(rest):
    ann = rest.login()
    ann.put("/users/me/pin", {"pin": "654321"})
    code = rest.code(ann.number)
    assert rest.login_raw(ann.number, wrong(code),
                          pin="654321").code == "wrong_code"


# ----------------------------------------------------------------- refresh

def test_refresh_returns_a_new_pair(rest):
    ann = rest.login()
    reply = rest.refresh(ann.refresh)
    assert reply.status == 200
    assert set(reply.json) == {"accessToken", "expiresIn", "refreshToken"}
    assert reply.json["expiresIn"] in (899, 900)
    assert reply.json["refreshToken"] != ann.refresh
    c = claims(reply.json["accessToken"])
    assert (c["sub"], c["did"]) == (ann.user, ann.device)
    assert rest.refresh(reply.json["refreshToken"]).status == 200


def test_just_replaced_token_gets_the_same_pair(rest):
    ann = rest.login()
    one, two = rest.refresh(ann.refresh), rest.refresh(ann.refresh)
    assert two.status == 200
    assert one.json["refreshToken"] == two.json["refreshToken"]
    assert one.json["accessToken"] == two.json["accessToken"]
    assert rest.refresh(two.json["refreshToken"]).status == 200


def test_old_token_after_use_of_the_new_revokes_the_device(rest):
    ann = rest.login()
    new = rest.refresh(ann.refresh).json["refreshToken"]
    newest = rest.refresh(new).json["refreshToken"]
    reply = rest.refresh(ann.refresh)
    assert (reply.status, reply.code) == (401, "refresh_reused")
    assert reply.headers["WWW-Authenticate"] == "Bearer"
    assert rest.refresh(newest).status == 401
    assert ann.get("/devices").code == "device_revoked"


def test_old_token_after_a_minute_revokes_the_device(rest, stores):
    ann = rest.login()
    new = rest.refresh(ann.refresh).json["refreshToken"]
    stores.sql("UPDATE refresh_tokens SET replaced_at = now() - interval"
               " '61 s' WHERE device_id = %s AND replaced_at IS NOT NULL",
               ann.device)
    assert rest.refresh(ann.refresh).code == "refresh_reused"
    assert rest.refresh(new).code == "device_revoked"


def test_concurrent_refreshes_get_one_pair(rest):
    ann = rest.login()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: rest.refresh(ann.refresh),
                                range(8)))
    assert {r.status for r in replies} == {200}
    assert len({r.json["refreshToken"] for r in replies}) == 1
    assert ann.get("/devices").status == 200


def test_refresh_tokens_are_stored_as_hashes(rest, stores):
    ann = rest.login()
    new = rest.refresh(ann.refresh).json
    rows = stores.sql("SELECT token_hash, successor FROM refresh_tokens WHERE"
                      " device_id = %s", ann.device)
    assert len(rows) == 2
    for token_hash, successor in rows:
        assert bytes(token_hash) in (
            hashlib.blake2b(t.encode(), digest_size=32).digest()
            for t in (ann.refresh, new["refreshToken"]))
        for secret in (ann.refresh, new["refreshToken"], new["accessToken"]):
            assert secret.encode() not in bytes(successor or b"")


@pytest.mark.parametrize("token,code", [
    ("x" * 43, "unauthorized"), ("x", "unauthorized"),
    ("' OR 1=1 --", "unauthorized"), (None, "bad_field"), (7, "bad_field"),
    ("", "bad_field"), ("x" * 257, "bad_field")])
def test_invalid_refresh_token_is_refused(rest, token, code):
    reply = rest.refresh(token)
    assert reply.code == code


def test_suspended_user_cannot_refresh(rest, stores):
    ann = rest.login()
    stores.sql("UPDATE users SET suspended_at = now() WHERE id = %s", ann.user)
    assert rest.refresh(ann.refresh).code == "suspended"


# ------------------------------------------------------- devices and logout

def test_devices_are_listed_with_the_current_one(rest):
    ann = rest.login()
    other = rest.login(ann.number, device={"name": "Web", "platform": "web"})
    items = ann.get("/devices").json["items"]
    assert [(d["deviceId"], d["name"], d["platform"], d["current"])
            for d in items] == [
        (ann.device, "Phone", "test", True),
        (other.device, "Web", "web", False)]
    assert items[0]["createdAt"].endswith("Z")


def test_devices_are_paged(rest):
    ann = rest.login()
    others = [rest.login(ann.number) for _ in range(2)]
    one = ann.get("/devices?limit=2").json
    assert len(one["items"]) == 2 and one["nextCursor"]
    two = ann.get("/devices?limit=2&cursor=" + one["nextCursor"]).json
    assert [d["deviceId"] for d in two["items"]] == [others[1].device]
    assert two["nextCursor"] is None


def test_logout_revokes_only_this_device(rest, stores):
    ann = rest.login()
    other = rest.login(ann.number)
    reply = ann.post("/auth/logout")
    assert reply.status == 204 and reply.text == b""
    assert ann.get("/devices").code == "device_revoked"
    assert rest.refresh(ann.refresh).code == "device_revoked"
    assert other.get("/devices").status == 200
    assert stores.redis().zscore("device.revoked",
                                 f"{ann.user}:{ann.device}") > time.time()


def test_delete_revokes_only_a_device_of_the_same_user(rest):
    ann, stranger = rest.login(), rest.login()
    other = rest.login(ann.number)
    assert ann.delete(f"/devices/{stranger.device}").status == 404
    assert stranger.get("/devices").status == 200
    assert ann.delete(f"/devices/{other.device}").status == 204
    assert other.get("/devices").code == "device_revoked"
    assert ann.delete(f"/devices/{other.device}").status == 404


@pytest.mark.parametrize("device", [
    "0", "-1", "x", "1%20OR%201=1", "9223372036854775807",
    "9223372036854775808", "99999999999999999999", "1;--", "01", "%00",
    "1%00"])
def test_malformed_device_id_is_not_found(rest, device):
    ann = rest.login()
    reply = ann.delete(f"/devices/{device}")
    assert (reply.status, reply.code) == (404, "not_found")


def test_revocation_is_published_to_all_edges(rest, stores):
    ann = rest.login()
    listener = stores.redis().pubsub(ignore_subscribe_messages=True)
    listener.subscribe("edge.all")
    listener.get_message(timeout=2)
    ann.post("/auth/logout")
    message = None
    for _ in range(20):
        message = listener.get_message(timeout=1)
        if message:
            break
    data = message["data"]
    assert data[0] == 1
    assert int(ann.user).to_bytes(8, "little") in data
    assert int(ann.device).to_bytes(8, "little") in data
    listener.close()


def test_revocations_are_restored_after_redis_is_emptied(rest, stores):
    ann = rest.login()
    ann.post("/auth/logout")
    soon(lambda: stores.redis().zscore("device.revoked", "0:0"))
    stores.redis().flushall()
    soon(lambda: stores.redis().zscore("device.revoked", "0:0"))
    assert stores.redis().zscore("device.revoked",
                                 f"{ann.user}:{ann.device}")


def test_expired_revocations_are_trimmed_at_start(stores):
    stores.redis().zadd("device.revoked", {"1:999999": time.time() - 5})
    r = Rest(stores).start()
    try:
        soon(lambda: stores.redis().zscore("device.revoked",
                                           "1:999999") is None)
        assert stores.redis().zscore("device.revoked", "0:0")
    finally:
        r.stop()


def test_upkeep_deletes_expired_rows(stores):
    stores.sql("INSERT INTO login_codes VALUES ('+19999999', '\\x00', 0,"
               " now(), now() - interval '1 s')")
    stores.sql("INSERT INTO idempotency_keys VALUES (1, 'r', 'old', 1, 200,"
               " '{}', now() - interval '25 h'), (1, 'r', 'new', 1, 200, '{}',"
               " now())")
    r = Rest(stores).start()
    try:
        soon(lambda: stores.sql("SELECT key FROM idempotency_keys WHERE"
                                " user_id = 1") == [("new",)])
        assert stores.sql("SELECT 1 FROM login_codes WHERE phone_number ="
                          " '+19999999'") == []
    finally:
        r.stop()


# ------------------------------------------------------------------- limits

def at(address):
    return {"X-Real-IP": address}


def test_codes_of_a_number_are_limited(limited):
    number = new_number()
    for left in (2, 1, 0):
        reply = limited.post("/auth/code", {"phoneNumber": number},
                             headers=at(f"10.1.0.{left}"))
        assert reply.status == 202
        assert reply.headers["RateLimit-Policy"] \
            == '"address";q=6;w=3600, "number";q=3;w=3600'
        assert f'"number";r={left};t=' in reply.headers["RateLimit"]
    reply = limited.post("/auth/code", {"phoneNumber": number},
                         headers=at("10.1.0.9"))
    assert (reply.status, reply.code) == (429, "rate_limited")
    assert 3590 <= int(reply.headers["Retry-After"]) <= 3600
    assert reply.json["retryAfter"] == int(reply.headers["Retry-After"])
    assert '"number";r=0' in reply.headers["RateLimit"]


@pytest.mark.parametrize("addresses", [
    ["10.2.0.1"] * 7, ["2001:db8::%x" % i for i in range(1, 8)]])
def test_codes_of_an_address_are_limited(limited, addresses):
    replies = [limited.post("/auth/code", {"phoneNumber": new_number()},
                            headers=at(a)).status for a in addresses]
    assert replies == [202] * 6 + [429]


def test_login_attempts_of_an_address_are_limited(limited):
    replies = [limited.login_raw(new_number(), "123456",
                                 headers=at("10.3.0.1")) for _ in range(9)]
    assert [r.status for r in replies] == [401] * 8 + [429]
    assert '"login";q=8' in replies[0].headers["RateLimit-Policy"]


def test_redis_holds_no_phone_number(limited, stores):
    number = new_number()
    limited.post("/auth/code", {"phoneNumber": number},
                 headers=at("10.4.0.1"))
    for key in stores.redis().keys("limit:*"):
        assert number.encode() not in key
        assert stores.redis().ttl(key) > 0


def test_dev_sender_has_no_limits_unless_they_are_set(rest):
    number = new_number()
    for _ in range(30):
        reply = rest.post("/auth/code", {"phoneNumber": number},
                          headers=at("10.5.0.1"))
        assert reply.status == 202
    assert "RateLimit" not in reply.headers


# ------------------------------------------------------------------ senders

class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((dict(self.headers), body))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "2")
        if self.server.status == 302:
            self.send_header("Location", self.server.elsewhere)
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def hook():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    server.got, server.status = [], 200
    server.url = f"http://127.0.0.1:{server.server_port}/code"
    server.elsewhere = server.url + "/elsewhere"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def hooked(stores, hook):
    r = Rest(stores, code_sender="webhook", code_webhook_url=hook.url,
             code_webhook_secret="s3cret", listen_hint="0.0.0.0:443",
             code_limit_address=1000, login_limit_address=1000).start()
    yield r
    assert r.stop() == 0


def test_webhook_gets_a_signed_code(hooked, hook):
    hook.got.clear()
    number = new_number()
    reply = hooked.post("/auth/code", {"phoneNumber": number})
    assert reply.status == 202
    assert reply.json == {"expiresIn": 300}
    headers, body = hook.got[0]
    sent = json.loads(body)
    assert sent["phoneNumber"] == number and sent["expiresIn"] == 300
    assert headers["X-Chat-Signature"] == hmac.new(
        b"s3cret", body, hashlib.sha256).hexdigest()
    assert headers["Content-Type"] == "application/json"
    assert hooked.login_raw(number, sent["code"]).status == 200


@pytest.mark.parametrize("status", [500, 404, 302])
def test_failed_webhook_is_unavailable_and_invalidates_the_code(
        hooked, hook, status):
    hook.got.clear()
    hook.status = status
    number = new_number()
    try:
        reply = hooked.post("/auth/code", {"phoneNumber": number})
    finally:
        hook.status = 200
    assert (reply.status, reply.code) == (503, "unavailable")
    assert reply.json["retryAfter"] == int(reply.headers["Retry-After"]) > 0
    assert len(hook.got) == 1
    code = json.loads(hook.got[0][1])["code"]
    assert hooked.login_raw(number, code).code == "wrong_code"


def start_fails(stores, env=None, **keys):
    r = Rest(stores, **keys)
    done = subprocess.run([str(BUILD / "chat-worker"), "-c", str(r.conf),
                           "api"], env=clean_env(**(env or {})), text=True,
                          timeout=20, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    assert done.returncode != 0
    return done.stdout


@pytest.mark.parametrize("hint", [
    "0.0.0.0:8080", "*:80", "8080", "127.0.0.1:8080 192.168.1.2:8080",
    "[::]:443", "chat.example.org", "127.example.org", "localhost.evil.org"])
def test_dev_sender_refuses_addresses_other_than_loopback(stores, hint):
    output = start_fails(stores, listen_hint=hint)
    assert "loopback" in output and "code_dev_force" in output


@pytest.mark.parametrize("keys", [
    {"listen_hint": "127.0.0.1:8080 [::1]:8080 localhost unix:/run/x"},
    {"listen_hint": "127.0.0.2"},
    {"listen_hint": "0.0.0.0", "code_dev_force": "1"}])
def test_dev_sender_starts_on_loopback_or_when_forced(stores, keys):
    r = Rest(stores, **keys).start()
    assert r.stop() == 0


def test_webhook_without_secret_does_not_start(stores):
    keys = {"CHAT_CODE_SENDER": "webhook",
            "CHAT_CODE_WEBHOOK_URL": "http://127.0.0.1:9/"}
    assert "code_webhook_secret" in start_fails(stores, keys)


# --------------------------------------------------------------------- log

def test_log_has_no_code_token_or_number(stores, hook):
    r = Rest(stores, log_level="debug").start()
    number = new_number()
    code = r.code(number)
    r.login_raw(number, wrong(code))
    ann = Login(r, r.login_raw(number, code).json, number)
    ann.put("/users/me/pin", {"pin": "918273"})
    new = r.refresh(ann.refresh).json
    newest = r.refresh(new["refreshToken"]).json
    r.refresh(ann.refresh)
    ann.post("/auth/logout")
    r.stop()
    log = r.worker.log()
    assert f"device={ann.device}" in log
    for secret in (number, number[1:], code, ann.refresh, ann.access,
                   new["refreshToken"], new["accessToken"],
                   newest["refreshToken"], "918273"):
        assert secret not in log
