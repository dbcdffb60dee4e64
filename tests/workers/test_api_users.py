"""Profiles, PINs, privacy, the end of an account; nasty values everywhere."""

import time

import pytest
from api_client import Rest, new_number, soon

NASTY = [
    "'; DROP TABLE users; --", "' OR '1'='1", "\\", "%s%n%x", "$1", "\\x00",
    "${jndi:ldap://x}", "<script>alert(1)</script>", "\u202e\u0000"[:1],
    "\U0001f600" * 64, "\"}],\"x\":[{", "--", "/* */", "NULL", "\u00e9\u0301"]


@pytest.fixture(scope="module")
def rest(stores):
    r = Rest(stores).start()
    yield r
    assert r.stop() == 0


@pytest.fixture(scope="module")
def who(rest):
    return rest.login()


def field(reply):
    assert (reply.status, reply.code) == (400, "bad_field"), reply
    return reply.json["errors"][0]["field"]


def test_new_profile(rest):
    who = rest.login()
    me = who.get("/users/me").json
    assert me.pop("createdAt").endswith("Z")
    assert me == {
        "userId": who.user, "phoneNumber": who.number, "username": None,
        "about": None, "profilePictureUrl": None, "status": "available",
        "privacy": {"lastSeen": "everyone"}, "pinSet": False}


def test_patch_changes_what_is_named_alone(rest):
    who = rest.login()
    reply = who.patch("/users/me", {"username": "Ada", "about": "hi\nthere"})
    assert reply.status == 200 and reply.json["username"] == "Ada"
    reply = who.patch("/users/me", {"profilePictureUrl": "https://x.org/a?b"})
    assert reply.json["username"] == "Ada"
    assert reply.json["about"] == "hi\nthere"
    reply = who.patch("/users/me", {"username": None, "other": 1})
    assert reply.json["username"] is None
    assert reply.json["profilePictureUrl"] == "https://x.org/a?b"
    assert who.patch("/users/me", {}).json == who.get("/users/me").json


@pytest.mark.parametrize("name,value", [
    ("username", ""), ("username", "x" * 65), ("username", 5),
    ("username", ["x"]), ("username", {}), ("username", True),
    ("username", "a\nb"), ("username", "a\u007fb"),
    ("about", "x" * 257), ("about", 1.5), ("about", "a\u0001"),
    ("profilePictureUrl", ""), ("profilePictureUrl", "x"),
    ("profilePictureUrl", "ftp://x.org/"),
    ("profilePictureUrl", "javascript:alert(1)"),
    ("profilePictureUrl", "https://"), ("profilePictureUrl", "https:///a"),
    ("profilePictureUrl", "https://x.org/\" onload=x"),
    ("profilePictureUrl", "https://x.org/ a"),
    ("profilePictureUrl", "https://x.org/" + "a" * 1020)])
def test_wrong_profile_field_is_named(who, name, value):
    assert field(who.patch("/users/me", {name: value})) == name


@pytest.mark.parametrize("value", NASTY)
def test_nasty_text_is_text(rest, who, stores, value):
    reply = who.patch("/users/me", {"username": value, "about": value})
    assert reply.status == 200, reply
    assert reply.json["username"] == value
    assert reply.json["about"] == value
    assert rest.login().get(f"/users/{who.user}").json["username"] == value
    assert stores.sql("SELECT count(*) > 0 FROM users") == [(True,)]


@pytest.mark.parametrize("raw", [
    b'{"username":"a\\u0000b"}', b'{"username":"\\ud800"}',
    b'{"username":"a","username":"b"}', b'{"username":"\xff"}', b"",
    b"[]", b'"x"', b"5", b"null", b"{", b"{}x", b"{'a':1}",
    b'{"a":' * 40 + b"1" + b"}" * 40, b"\x00", b"{\"a\":1e999}",
    b'{"username":99999999999999999999999}'])
def test_broken_json_is_refused(who, raw):
    reply = who.patch("/users/me", raw=raw,
                      headers={"Content-Type": "application/json"})
    assert reply.status == 400, reply
    assert reply.code in ("bad_request", "bad_field")


@pytest.mark.parametrize("status", ["available", "away", "busy", "invisible"])
def test_status(rest, who, status):
    reply = who.put("/users/me/status", {"status": status})
    assert reply.status == 200 and reply.json["status"] == status
    seen = rest.login().get(f"/users/{who.user}").json["status"]
    assert seen == ("offline" if status == "invisible" else status)


@pytest.mark.parametrize("value", [None, "", "x", 5, "AWAY", ["away"],
                                   "away' --"])
def test_wrong_status(who, value):
    assert field(who.put("/users/me/status", {"status": value})) == "status"


@pytest.mark.parametrize("value", ["everyone", "contacts", "nobody"])
def test_privacy(who, value):
    reply = who.put("/users/me/privacy", {"lastSeen": value})
    assert reply.json["privacy"] == {"lastSeen": value}


@pytest.mark.parametrize("value", [None, "x", 1, {}, "nobody\"}"])
def test_wrong_privacy(who, value):
    assert field(who.put("/users/me/privacy",
                         {"lastSeen": value})) == "lastSeen"


def test_public_profile_has_no_number(rest, who):
    other = rest.login()
    reply = other.get(f"/users/{who.user}")
    assert set(reply.json) == {"userId", "username", "about",
                               "profilePictureUrl", "status"}
    assert who.number.encode() not in reply.text


@pytest.mark.parametrize("user", [
    "0", "-1", "9223372036854775807", "9223372036854775808", "x", "1'--",
    "1%20", "%201", "1%00", "1e3", "0x1", "18446744073709551617"])
def test_unknown_or_malformed_user_is_not_found(who, user):
    reply = who.get(f"/users/{user}")
    assert (reply.status, reply.code) == (404, "not_found")


# --------------------------------------------------------------------- pin

def test_pin_is_changed_and_removed_with_the_current_one(rest, stores):
    who = rest.login()
    assert who.put("/users/me/pin", {"pin": "123456"}).status == 204
    assert who.get("/users/me").json["pinSet"] is True
    stored = stores.sql("SELECT pin_hash FROM users WHERE id = %s",
                        who.user)[0][0]
    assert stored.startswith("$argon2id$")

    assert who.put("/users/me/pin", {"pin": "222222"}).code == "pin_required"
    assert who.put("/users/me/pin", {
        "pin": "222222", "currentPin": "123457"}).code == "pin_required"
    assert who.put("/users/me/pin", {
        "pin": "222222", "currentPin": "123456"}).status == 204
    assert who.put("/users/me/pin", {"pin": None}).code == "pin_required"
    assert who.put("/users/me/pin", {
        "pin": None, "currentPin": "222222"}).status == 204
    assert who.get("/users/me").json["pinSet"] is False


@pytest.mark.parametrize("body", [
    {}, {"pin": ""}, {"pin": "12345"}, {"pin": "1234567890123"},
    {"pin": "12345a"}, {"pin": 123456}, {"pin": "123456 "}, {"pin": ["1"]},
    {"pin": "\u0661" * 6}])
def test_wrong_pin_shape(who, body):
    assert field(who.put("/users/me/pin", body)) == "pin"


def test_pin_tries_are_limited(rest):
    who = rest.login()
    who.put("/users/me/pin", {"pin": "123456"})
    replies = [who.put("/users/me/pin", {"pin": None, "currentPin": "000000"})
               for _ in range(11)]
    assert [r.status for r in replies] == [403] * 10 + [429]
    assert who.put("/users/me/pin", {"pin": None,
                                     "currentPin": "123456"}).status == 429


# ----------------------------------------------------------------- the end

def test_erased_account_leaves_nothing_of_the_person(rest, stores):
    who = rest.login()
    other_device = rest.login(who.number)
    who.patch("/users/me", {"username": "Ada", "about": "me"})
    who.put("/users/me/pin", {"pin": "123456"})
    rest.code(who.number)

    assert who.delete("/users/me").status == 204

    assert who.get("/users/me").code == "device_revoked"
    assert other_device.get("/users/me").code == "device_revoked"
    assert rest.refresh(who.refresh).status == 401
    assert rest.login().get(f"/users/{who.user}").status == 404
    assert stores.sql(
        "SELECT phone_number, username, about, profile_picture_url, pin_hash"
        " FROM users WHERE id = %s", who.user) == [(None,) * 5]
    assert stores.sql("SELECT 1 FROM login_codes WHERE phone_number = %s",
                      who.number) == []
    assert stores.sql("SELECT DISTINCT name, platform FROM devices WHERE"
                      " user_id = %s", who.user) == [("", "")]
    for w in (who, other_device):
        assert stores.redis().zscore("device.revoked", f"{w.user}:{w.device}")

    again = rest.login(who.number)
    assert again.new is True and again.user != who.user


def test_suspension_reaches_the_api_within_two_seconds(rest, stores):
    who = rest.login()
    assert who.get("/users/me").status == 200
    stores.sql("UPDATE users SET suspended_at = now() WHERE id = %s", who.user)
    time.sleep(1.1)
    reply = who.get("/users/me")
    assert (reply.status, reply.code) == (403, "suspended")


def test_device_of_another_user_is_no_identity(rest):
    one, other = rest.login(), rest.login()
    reply = rest("GET", "/users/me", user=one.user, device=other.device)
    assert (reply.status, reply.code) == (401, "unauthorized")


def test_revocation_when_redis_is_away_is_told_later(rest, stores):
    who = rest.login()
    other = rest.login(who.number)
    stores.stop_redis()
    try:
        begun = time.monotonic()
        assert who.delete(f"/devices/{other.device}").status == 204
        assert time.monotonic() - begun < 3
        assert other.get("/users/me").code == "device_revoked"
        assert who.get("/users/me").status == 200
    finally:
        stores.start_redis()
    soon(lambda: stores.redis().zscore("device.revoked",
                                       f"{other.user}:{other.device}"), 8)
    assert stores.redis().zscore("device.revoked", "0:0")


def test_limited_route_without_redis_is_unavailable(stores):
    r = Rest(stores, code_limit_number=5).start()
    try:
        assert r.post("/auth/code", {"phoneNumber": new_number()},
                      headers={"X-Real-IP": "10.9.9.9"}).status == 202
        stores.stop_redis()
        try:
            reply = r.post("/auth/code", {"phoneNumber": new_number()})
            assert (reply.status, reply.code) == (503, "unavailable")
            assert int(reply.headers["Retry-After"]) >= 1
        finally:
            stores.start_redis()
        soon(lambda: r.post("/auth/code",
                            {"phoneNumber": new_number()}).status == 202, 8)
    finally:
        r.stop()
