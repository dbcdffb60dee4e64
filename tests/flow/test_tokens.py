"""Invalid access tokens of every kind, over REST and over the socket."""

import json

import requests

from tokens import Maker, bad_tokens

UPGRADE = {"Connection": "Upgrade", "Upgrade": "websocket",
           "Sec-WebSocket-Version": "13",
           "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
           "Sec-WebSocket-Protocol": "chat.v1"}


def problem(answer):
    assert answer.headers["Content-Type"].startswith(
        "application/problem+json"), answer.text
    body = json.loads(answer.text)
    assert body["status"] == answer.status_code
    assert body["type"] and body["title"]
    return answer.status_code, body["code"]


def test_a_valid_token_made_by_the_test_is_accepted(stack, phone):
    ann = phone("ann")
    token = Maker(stack).make(ann)
    assert ann.api.call("GET", "/users/me", token=token)["userId"] == ann.user


def test_bad_tokens_are_refused_by_rest(stack, phone):
    ann = phone("ann")
    wrong = {}
    for name, (value, code) in bad_tokens(Maker(stack), ann).items():
        head = {} if value is None else {"Authorization": value}
        for method, path in (("GET", "/users/me"), ("POST", "/chats")):
            answer = ann.api.raw(method, path, headers=head,
                                 json={} if method == "POST" else None)
            got = problem(answer)
            if got != (401, code) or "WWW-Authenticate" not in answer.headers:
                wrong[name, method] = got
    assert not wrong


def test_bad_tokens_are_refused_before_the_socket_opens(stack, phone):
    ann = phone("ann")
    wrong = {}
    for name, (value, code) in bad_tokens(Maker(stack), ann).items():
        variants = [{} if value is None else {"Authorization": value}]
        if value and value.startswith("Bearer ") and len(value) > 8 \
                and not set(value[7:]) & set("=!"):
            variants.append({"Sec-WebSocket-Protocol":
                             "chat.v1, bearer." + value[7:]})
        for headers in variants:
            got = problem(requests.get(stack.url + "/ws", timeout=10,
                                       headers={**UPGRADE, **headers}))
            if got != (401, code):
                wrong[name, list(headers)] = got
    assert not wrong


def test_header_and_subprotocol_that_disagree_are_refused(stack, phone):
    ann, bob = phone("ann"), phone("bob")
    head = dict(UPGRADE, Authorization="Bearer " + ann.access)
    head["Sec-WebSocket-Protocol"] = "chat.v1, bearer." + bob.access
    answer = requests.get(stack.url + "/ws", headers=head, timeout=10)
    assert problem(answer) == (401, "unauthorized")


def test_an_upgrade_without_our_subprotocol_gets_400(stack, phone):
    ann = phone("ann")
    head = dict(UPGRADE, Authorization="Bearer " + ann.access)
    for offered in (None, "chat.v2", "mqtt"):
        if offered:
            head["Sec-WebSocket-Protocol"] = offered
        else:
            del head["Sec-WebSocket-Protocol"]
        answer = requests.get(stack.url + "/ws", headers=head, timeout=10)
        assert problem(answer)[0] == 400


def test_tokens_and_phone_numbers_are_in_no_log(stack, phone):
    ann = phone("ann")
    requests.get(stack.url + "/ws", timeout=10, headers=dict(
        UPGRADE, **{"Sec-WebSocket-Protocol": "bearer." + ann.access}))
    ann.call("GET", "/users/me")
    ann.refresh()
    for path in stack.log_dir.iterdir():
        text = path.read_text(errors="replace")
        for secret in (ann.access, ann.refresh_token, ann.number,
                       ann.number[1:]):
            assert secret not in text, path.name
