"""A chat that is somebody else's answers as one that does not exist, to the
byte, by socket and by REST; and nothing of it is in the logs.

With all workers, for they know who is a member.
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
def people(stack):
    ann = Phone(stack.url, "+15550188001", "ann").login()
    bob = Phone(stack.url, "+15550188002", "bob").login()
    eve = Phone(stack.url, "+15550188003", "eve").login()
    return ann, bob, eve


@pytest.fixture(scope="module")
def chat(people):
    ann, bob, _ = people
    chat = ann.call("POST", "/chats", {"type": "group", "title": "ours",
                                       "memberIds": [bob.user]})["chatId"]
    for i in range(3):
        ann.call("POST", f"/chats/{chat}/messages",
                 {"messageId": f"m-{i}", "content": "ours alone"})
    return chat


def nobody():
    """The id of no chat, in the same shard's form as a real one."""
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
def test_a_foreign_chat_answers_a_frame_as_none_does(stack, people, chat,
                                                     frame):
    answers = []
    with socket_of(stack, people[2]) as ws:
        for where in (chat, nobody()):
            ws.text({**frame, "chatId": where})
            got = ws.until(wire.TEXT)
            schema.validate_frame(got.payload)
            answers.append(got.payload.replace(where.encode(), b"CHAT"))
        assert ws.alive()
    assert json.loads(answers[0])["code"] == "not_found"
    assert answers[0] == answers[1]


def test_typing_in_a_foreign_chat_reaches_nobody(stack, people, chat):
    with socket_of(stack, people[0]) as ann, \
            socket_of(stack, people[2]) as eve:
        for where in (chat, nobody()):
            eve.text({"type": "typing", "chatId": where, "active": True})
        assert eve.alive()
        people[1].call("POST", f"/chats/{chat}/messages",
                       {"messageId": "after-typing", "content": "x"})
        # the entry comes behind whatever typing would have caused
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
def test_a_foreign_chat_answers_rest_as_none_does(people, chat, method, path,
                                                  body):
    eve = people[2]
    answers = []
    for where in (chat, nobody()):
        kw = {} if body is None else {"json": body}
        got = eve.api.raw(method, f"/chats/{where}{path}", eve.access, **kw)
        schema.validate_response(method, f"/api/v1/chats/{where}{path}",
                                 got.status_code, got.headers, got.content)
        headers = {k: v for k, v in got.headers.items() if k != "Date"}
        answers.append((got.status_code, headers,
                        got.text.replace(where, "CHAT")))
    assert answers[0][0] == 404
    assert answers[0] == answers[1]


def test_the_chat_is_as_it_was(people, chat):
    ann = people[0]
    page = ann.call("GET", f"/chats/{chat}/messages?limit=100")
    assert [e["senderId"] for e in page["items"]][:3] == [ann.user] * 3
    assert people[2].user not in [e["senderId"] for e in page["items"]]
    assert ann.call("GET", f"/chats/{chat}")["title"] == "ours"


KINDS = {"message", "edit", "delete", "reaction", "chat_changed",
         "role_changed", "member_added", "member_removed", "member_left"}


class Validated:
    """Reads frames and holds each against the document."""

    def __init__(self):
        self.seen = []

    def take(self, ws, *types):
        while True:
            frame = schema.validate_frame(ws.message())
            self.seen.append(frame)
            if frame["type"] in types:
                return frame


def talk(v, a, b, chat):
    """Messages, receipts and changes of messages, by socket."""
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
    """What a group's members see of its changes, by REST."""
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


def test_every_frame_of_a_conversation_is_as_documented(stack, people):
    ann, bob, _ = people
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


def test_nothing_secret_is_in_any_log(stack, people, chat):
    with socket_of(stack, people[2]) as ws:
        ws.text({"type": "send_message", "chatId": chat, "messageId": "s-1",
                 "content": "hush-4711-hush"})
        ws.message("error")
    logs = "".join(p.read_text(errors="replace")
                   for p in stack.log_dir.iterdir())
    assert "GET /ws" in logs
    for phone in people:
        assert phone.number not in logs and phone.number[1:] not in logs
        assert phone.refresh_token not in logs
        for part in phone.access.split(".")[1:]:
            assert part not in logs
    assert "hush-4711" not in logs and "ours alone" not in logs
    assert not re.search(r'"devCode"|bearer\.ey', logs)
