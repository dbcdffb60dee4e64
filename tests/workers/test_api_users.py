"""Profiles, PINs, privacy and erased accounts, with hostile values."""

import time

import pytest
from api_client import Rest, new_number, soon

HOSTILE = [
    "'; DROP TABLE users; --", "' OR '1'='1", "\\", "%s%n%x", "$1", "\\x00",
    "${jndi:ldap://x}", "<script>alert(1)</script>", "\u202e\u0000"[:1],
    "\U0001f600" * 64, "\"}],\"x\":[{", "--", "/* */", "NULL", "\u00e9\u0301"]


@pytest.fixture(scope="module")
def rest(stores):
    r = Rest(stores).start()
    yield r
    assert r.stop() == 0


@pytest.fixture(scope="module")
def ann(rest):
    return rest.login()


def bad_field(reply):
    assert (reply.status, reply.code) == (400, "bad_field"), reply
    return reply.json["errors"][0]["field"]


def test_new_profile_has_defaults(rest):
    ann = rest.login()
    me = ann.get("/users/me").json
    assert me.pop("createdAt").endswith("Z")
    assert me == {
        "userId": ann.user, "phoneNumber": ann.number, "username": None,
        "about": None, "profilePictureUrl": None, "status": "available",
        "privacy": {"lastSeen": "everyone"}, "pinSet": False}


def test_patch_changes_only_the_named_fields(rest):
    ann = rest.login()
    reply = ann.patch("/users/me", {"username": "Ada", "about": "hi\nthere"})
    assert reply.status == 200 and reply.json["username"] == "Ada"
    reply = ann.patch("/users/me", {"profilePictureUrl": "https://x.org/a?b"})
    assert reply.json["username"] == "Ada"
    assert reply.json["about"] == "hi\nthere"
    reply = ann.patch("/users/me", {"username": None, "other": 1})
    assert reply.json["username"] is None
    assert reply.json["profilePictureUrl"] == "https://x.org/a?b"
    assert ann.patch("/users/me", {}).json == ann.get("/users/me").json


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
def test_wrong_profile_field_is_named(ann, name, value):
    assert bad_field(ann.patch("/users/me", {name: value})) == name


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_text_is_stored_unchanged(rest, ann, stores, value):
    reply = ann.patch("/users/me", {"username": value, "about": value})
    assert reply.status == 200, reply
    assert reply.json["username"] == value
    assert reply.json["about"] == value
    assert rest.login().get(f"/users/{ann.user}").json["username"] == value
    assert stores.sql("SELECT count(*) > 0 FROM users") == [(True,)]


@pytest.mark.parametrize("raw", [
    b'{"username":"a\\u0000b"}', b'{"username":"\\ud800"}',
    b'{"username":"a","username":"b"}', b'{"username":"\xff"}', b"",
    b"[]", b'"x"', b"5", b"null", b"{", b"{}x", b"{'a':1}",
    b'{"a":' * 40 + b"1" + b"}" * 40, b"\x00", b"{\"a\":1e999}",
    b'{"username":99999999999999999999999}'])
def test_broken_json_is_refused(ann, raw):
    reply = ann.patch("/users/me", raw=raw,
                      headers={"Content-Type": "application/json"})
    assert reply.status == 400, reply
    assert reply.code in ("bad_request", "bad_field")


@pytest.mark.parametrize("status", ["available", "away", "busy", "invisible"])
def test_status_is_set_and_shown_to_others(rest, ann, status):
    reply = ann.put("/users/me/status", {"status": status})
    assert reply.status == 200 and reply.json["status"] == status
    seen = rest.login().get(f"/users/{ann.user}").json["status"]
    assert seen == ("offline" if status == "invisible" else status)


@pytest.mark.parametrize("value", [None, "", "x", 5, "AWAY", ["away"],
                                   "away' --"])
def test_wrong_status_is_bad_field(ann, value):
    assert bad_field(ann.put("/users/me/status",
                             {"status": value})) == "status"


@pytest.mark.parametrize("value", ["everyone", "contacts", "nobody"])
def test_privacy_is_set(ann, value):
    reply = ann.put("/users/me/privacy", {"lastSeen": value})
    assert reply.json["privacy"] == {"lastSeen": value}


@pytest.mark.parametrize("value", [None, "x", 1, {}, "nobody\"}"])
def test_wrong_privacy_is_bad_field(ann, value):
    assert bad_field(ann.put("/users/me/privacy",
                             {"lastSeen": value})) == "lastSeen"


def test_public_profile_has_no_number(rest, ann):
    other = rest.login()
    reply = other.get(f"/users/{ann.user}")
    assert set(reply.json) == {"userId", "username", "about",
                               "profilePictureUrl", "status"}
    assert ann.number.encode() not in reply.text


@pytest.mark.parametrize("user", [
    "0", "-1", "9223372036854775807", "9223372036854775808", "x", "1'--",
    "1%20", "%201", "1%00", "1e3", "0x1", "18446744073709551617"])
def test_unknown_or_malformed_user_is_not_found(ann, user):
    reply = ann.get(f"/users/{user}")
    assert (reply.status, reply.code) == (404, "not_found")


# --------------------------------------------------------------------- pin

def test_pin_change_and_removal_need_the_current_pin(rest, stores):
    ann = rest.login()
    assert ann.put("/users/me/pin", {"pin": "123456"}).status == 204
    assert ann.get("/users/me").json["pinSet"] is True
    stored = stores.sql("SELECT pin_hash FROM users WHERE id = %s",
                        ann.user)[0][0]
    assert stored.startswith("$argon2id$")

    assert ann.put("/users/me/pin", {"pin": "222222"}).code == "pin_required"
    assert ann.put("/users/me/pin", {
        "pin": "222222", "currentPin": "123457"}).code == "pin_required"
    assert ann.put("/users/me/pin", {
        "pin": "222222", "currentPin": "123456"}).status == 204
    assert ann.put("/users/me/pin", {"pin": None}).code == "pin_required"
    assert ann.put("/users/me/pin", {
        "pin": None, "currentPin": "222222"}).status == 204
    assert ann.get("/users/me").json["pinSet"] is False


@pytest.mark.parametrize("body", [
    {}, {"pin": ""}, {"pin": "12345"}, {"pin": "1234567890123"},
    {"pin": "12345a"}, {"pin": 123456}, {"pin": "123456 "}, {"pin": ["1"]},
    {"pin": "\u0661" * 6}])
def test_malformed_pin_is_bad_field(ann, body):
    assert bad_field(ann.put("/users/me/pin", body)) == "pin"


def test_pin_attempts_are_limited(rest):
    ann = rest.login()
    ann.put("/users/me/pin", {"pin": "123456"})
    replies = [ann.put("/users/me/pin", {"pin": None, "currentPin": "000000"})
               for _ in range(11)]
    assert [r.status for r in replies] == [403] * 10 + [429]
    assert ann.put("/users/me/pin", {"pin": None,
                                     "currentPin": "123456"}).status == 429


# -------------------------------------------------------- ended accounts

def test_erased_account_leaves_no_personal_data(rest, stores):
    ann = rest.login()
    other_device = rest.login(ann.number)
    ann.patch("/users/me", {"username": "Ada", "about": "me"})
    ann.put("/users/me/pin", {"pin": "123456"})
    rest.code(ann.number)

    assert ann.delete("/users/me").status == 204

    assert ann.get("/users/me").code == "device_revoked"
    assert other_device.get("/users/me").code == "device_revoked"
    assert rest.refresh(ann.refresh).status == 401
    assert rest.login().get(f"/users/{ann.user}").status == 404
    assert stores.sql(
        "SELECT phone_number, username, about, profile_picture_url, pin_hash"
        " FROM users WHERE id = %s", ann.user) == [(None,) * 5]
    assert stores.sql("SELECT 1 FROM login_codes WHERE phone_number = %s",
                      ann.number) == []
    assert stores.sql("SELECT DISTINCT name, platform FROM devices WHERE"
                      " user_id = %s", ann.user) == [("", "")]
    for w in (ann, other_device):
        assert stores.redis().zscore("device.revoked", f"{w.user}:{w.device}")

    again = rest.login(ann.number)
    assert again.new is True and again.user != ann.user


def test_suspension_takes_effect_within_two_seconds(rest, stores):
    ann = rest.login()
    assert ann.get("/users/me").status == 200
    stores.sql("UPDATE users SET suspended_at = now() WHERE id = %s", ann.user)
    time.sleep(1.1)
    reply = ann.get("/users/me")
    assert (reply.status, reply.code) == (403, "suspended")


def test_device_of_another_user_is_no_identity(rest):
    one, other = rest.login(), rest.login()
    reply = rest("GET", "/users/me", user=one.user, device=other.device)
    assert (reply.status, reply.code) == (401, "unauthorized")


def test_revocation_without_redis_is_stored_there_later(rest, stores):
    ann = rest.login()
    other = rest.login(ann.number)
    stores.stop_redis()
    try:
        start = time.monotonic()
        assert ann.delete(f"/devices/{other.device}").status == 204
        assert time.monotonic() - start < 3
        assert other.get("/users/me").code == "device_revoked"
        assert ann.get("/users/me").status == 200
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
