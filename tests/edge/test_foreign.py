"""A user who is not a member of a chat gets the same bytes as for a chat that
does not exist, by WebSocket and by REST. The logs contain nothing of the chat.

These tests run all workers, because the workers know a chat's members.
"""

import json
import re
import socket
import uuid

import pytest

import schema
import wire
from chatclient import Phone


@pytest.fixture(scope="module")
def phones(stack):
    ann = Phone(stack.url, "+15550188001", "ann").login()
    bob = Phone(stack.url, "+15550188002", "bob").login()
    eve = Phone(stack.url, "+15550188003", "eve").login()
    return ann, bob, eve


@pytest.fixture(scope="module")
def chat(phones):
    ann, bob, _ = phones
    chat = ann.call("POST", "/chats", {"type": "group", "title": "ours",
                                       "memberIds": [bob.user]})["chatId"]
    for i in range(3):
        ann.call("POST", f"/chats/{chat}/messages",
                 {"messageId": f"m-{i}", "content": "ours alone"})
    return chat


def missing_chat():
    """The id of a chat that does not exist."""
    return str(uuid.uuid4())


def socket_of(stack, phone):
    sock = socket.create_connection(("127.0.0.1", stack.port), timeout=15)
    response = wire.request(sock, "GET", "/ws", [
        ("Host", f"127.0.0.1:{stack.port}"), ("Connection", "Upgrade"),
        ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", wire.KEY),
        ("Sec-WebSocket-Protocol", f"chat.v1, bearer.{phone.access}")])
    assert response.status == 101, response
    ws = wire.Socket(sock, response.rest, timeout=15)
    ws.message("sync_complete")
    return ws


FRAMES = [
    {"type": "send_message", "messageId": "f-1", "content": "let me in"},
    {"type": "send_message", "messageId": "f-2", "content": "x",
     "replyTo": 1},
    {"type": "edit_message", "messageId": "f-3", "seq": 1, "content": "x"},
    {"type": "delete_message", "messageId": "f-4", "seq": 1},
    {"type": "react", "messageId": "f-5", "seq": 1, "emoji": "x"},
    {"type": "delivered", "seq": 1}, {"type": "delivered", "seq": 999},
    {"type": "read", "seq": 1},
]


@pytest.mark.parametrize("frame", FRAMES,
                         ids=[f"{f['type']}-{f.get('seq', 0)}"
                              for f in FRAMES])
def test_frames_do_not_reveal_a_foreign_chat(stack, phones, chat,
                                             frame):
    answers = []
    with socket_of(stack, phones[2]) as ws:
        for chat_id in (chat, missing_chat()):
            ws.text({**frame, "chatId": chat_id})
            got = ws.until(wire.TEXT)
            schema.validate_frame(got.payload)
            answers.append(got.payload.replace(chat_id.encode(), b"CHAT"))
        assert ws.alive()
    assert json.loads(answers[0])["code"] == "not_found"
    assert answers[0] == answers[1]


def test_typing_in_a_foreign_chat_reaches_no_member(stack, phones, chat):
    with socket_of(stack, phones[0]) as ann, \
            socket_of(stack, phones[2]) as eve:
        for chat_id in (chat, missing_chat()):
            eve.text({"type": "typing", "chatId": chat_id, "active": True})
        assert eve.alive()
        phones[1].call("POST", f"/chats/{chat}/messages",
                       {"messageId": "after-typing", "content": "x"})
        # the entry arrives after a typing frame, if there were one
        frame = ann.message("typing", "new_message")
        assert frame["type"] == "new_message"


REST = [
    ("GET", "", None), ("PATCH", "", {"title": "mine"}), ("DELETE", "", None),
    ("GET", "/members", None), ("POST", "/members", {"userIds": ["1"]}),
    ("PATCH", "/members/1", {"role": "owner"}), ("DELETE", "/members/1", None),
    ("GET", "/messages", None), ("GET", "/messages?before=2&limit=1", None),
    ("POST", "/messages", {"messageId": "r-1", "content": "x"}),
    ("POST", "/messages", {"messageId": "r-2"}), ("POST", "/messages", []),
    ("GET", "/messages/1/receipts", None),
    ("GET", "/messages/99/receipts", None),
]


@pytest.mark.parametrize("method,path,body", REST)
def test_rest_does_not_reveal_a_foreign_chat(phones, chat, method, path,
                                             body):
    eve = phones[2]
    answers = []
    for chat_id in (chat, missing_chat()):
        kw = {} if body is None else {"json": body}
        got = eve.api.raw(method, f"/chats/{chat_id}{path}", eve.access, **kw)
        schema.validate_response(method, f"/api/v1/chats/{chat_id}{path}",
                                 got.status_code, got.headers, got.content)
        headers = {k: v for k, v in got.headers.items() if k != "Date"}
        answers.append((got.status_code, headers,
                        got.text.replace(chat_id, "CHAT")))
    assert answers[0][0] == 404
    assert answers[0] == answers[1]


def test_the_foreign_requests_changed_nothing(phones, chat):
    ann = phones[0]
    page = ann.call("GET", f"/chats/{chat}/messages?limit=100")
    assert [e["senderId"] for e in page["items"]][:3] == [ann.user] * 3
    assert phones[2].user not in [e["senderId"] for e in page["items"]]
    assert ann.call("GET", f"/chats/{chat}")["title"] == "ours"


KINDS = {"message", "edit", "delete", "reaction", "chat_changed",
         "role_changed", "member_added", "member_removed", "member_left"}


class Validated:
    """Reads frames and validates each against the schema."""

    def __init__(self):
        self.seen = []

    def take(self, ws, *types):
        while True:
            frame = schema.validate_frame(ws.message())
            self.seen.append(frame)
            if frame["type"] in types:
                return frame


def talk(v, a, b, chat):
    """Sends messages, receipts and changes of messages by WebSocket."""
    a.text({"type": "send_message", "chatId": chat, "messageId": "c-1",
            "content": "hello \u20ac \U0001F600", "expiresIn": 3600})
    assert v.take(a, "message_ack")["messageId"] == "c-1"
    assert v.take(b, "new_message")["seq"] == 1
    b.text({"type": "send_message", "chatId": chat, "messageId": "c-2",
            "content": "{}", "contentType": "application/json",
            "replyTo": 1, "mediaId": "media-1"})
    assert v.take(b, "message_ack")["seq"] == 2
    assert v.take(a, "new_message")["replyTo"] == 1
    b.text({"type": "read", "chatId": chat, "seq": 2})
    v.take(a, "receipt")
    for frame in ({"type": "edit_message", "seq": 1, "content": "hello"},
                  {"type": "react", "seq": 2, "emoji": "\U0001F44D"},
                  {"type": "react", "seq": 2, "emoji": ""},
                  {"type": "delete_message", "seq": 1}):
        a.text({**frame, "chatId": chat, "messageId": f"c{len(v.seen)}"})
        v.take(a, "message_ack")
        v.take(b, "new_message")
    a.text({"type": "typing", "chatId": chat, "active": True})
    v.take(b, "typing")


def change_members(v, ann, bob, b, group):
    """Changes a group by REST; a member sees each change."""
    member = f"/chats/{group}/members/{bob.user}"
    ann.call("PATCH", f"/chats/{group}", {"title": "u"})
    v.take(b, "new_message")
    ann.call("PATCH", member, {"role": "admin"})
    v.take(b, "new_message")
    ann.call("DELETE", member)
    v.take(b, "chat_removed")
    ann.call("POST", f"/chats/{group}/members", {"userIds": [bob.user]})
    v.take(b, "chat_added")
    v.take(b, "new_message")
    bob.call("DELETE", f"/chats/{group}")
    v.take(b, "chat_removed")


def test_every_frame_of_a_conversation_is_as_documented(stack, phones):
    ann, bob, _ = phones
    chat = ann.call("POST", "/chats", {"type": "direct",
                                       "memberIds": [bob.user]})["chatId"]
    group = ann.call("POST", "/chats", {"type": "group", "title": "t",
                                        "memberIds": [bob.user]})["chatId"]
    v = Validated()
    with socket_of(stack, ann) as a, socket_of(stack, bob) as b:
        talk(v, a, b, chat)
        change_members(v, ann, bob, b, group)
    assert {f["kind"] for f in v.seen if f["type"] == "new_message"} >= KINDS

    for phone in (ann, bob):
        for path in (f"/chats/{chat}/messages", f"/chats/{chat}", "/chats",
                     f"/chats/{chat}/members", "/users/me", "/devices",
                     f"/users/{bob.user}",
                     f"/chats/{chat}/messages/1/receipts"):
            got = phone.api.raw("GET", path, phone.access)
            schema.validate_response("GET", "/api/v1" + path,
                                     got.status_code, got.headers,
                                     got.content)
            assert got.status_code == 200, (path, got.text)
    page = ann.call("GET", f"/chats/{chat}/messages")["items"]
    assert page[0]["deleted"] is True and "content" not in page[0]


def test_no_log_contains_a_secret(stack, phones, chat):
    with socket_of(stack, phones[2]) as ws:
        ws.text({"type": "send_message", "chatId": chat, "messageId": "s-1",
                 "content": "hush-4711-hush"})
        ws.message("error")
    logs = "".join(p.read_text(errors="replace")
                   for p in stack.log_dir.iterdir())
    assert "GET /ws" in logs
    for phone in phones:
        assert phone.number not in logs and phone.number[1:] not in logs
        assert phone.refresh_token not in logs
        for part in phone.access.split(".")[1:]:
            assert part not in logs
    assert "hush-4711" not in logs and "ours alone" not in logs
    assert not re.search(r'"devCode"|bearer\.ey', logs)
