#!/usr/bin/python3
"""hello.py: two phones that write to each other, in the fewest words.

    /usr/bin/python3 conf/hello.py [http://127.0.0.1:8080]

Logs in two users by code (the server must run with the `dev` code sender, as
`make run` does), opens a chat by REST, and sends a message each way over
WebSocket. Needs python3-websockets and nothing of this project.
"""

import asyncio
import json
import random
import sys
import urllib.request
import uuid

import websockets

URL = (sys.argv[1:] or ["http://127.0.0.1:8080"])[0].rstrip("/")


def call(method, path, body, token=None):
    request = urllib.request.Request(
        URL + "/api/v1" + path, json.dumps(body).encode(), method=method,
        headers={"Content-Type": "application/json"})
    if token:
        request.add_header("Authorization", "Bearer " + token)
    with urllib.request.urlopen(request, timeout=15) as answer:
        return json.load(answer)


def log_in(name):
    number = f"+1555{random.randrange(10 ** 10):010d}"
    code = call("POST", "/auth/code", {"phoneNumber": number})["devCode"]
    me = call("POST", "/auth/login", {
        "phoneNumber": number, "code": code,
        "device": {"name": name, "platform": "hello.py"}})
    print(f"{name} is user {me['userId']}")
    return me


async def receive(name, ws, kind):
    """Frames, up to one of that type."""
    while True:
        frame = json.loads(await asyncio.wait_for(ws.recv(), 15))
        print(f"  {name} <- {json.dumps(frame)}")
        if frame["type"] == kind:
            return frame


async def send(name, ws, chat, text):
    frame = {"type": "send_message", "chatId": chat,
             "messageId": str(uuid.uuid4()), "content": text}
    print(f"  {name} -> {json.dumps(frame)}")
    await ws.send(json.dumps(frame))
    await receive(name, ws, "message_ack")


def socket_of(me):
    return websockets.connect(
        "ws" + URL[4:] + "/ws", subprotocols=["chat.v1"],
        extra_headers={"Authorization": "Bearer " + me["accessToken"]})


async def main():
    ann, bob = log_in("Ann"), log_in("Bob")
    chat = call("POST", "/chats", {
        "type": "direct", "memberIds": [bob["userId"]]},
        ann["accessToken"])["chatId"]
    print(f"their chat is {chat}")

    async with socket_of(ann) as a, socket_of(bob) as b:
        await receive("Ann", a, "sync_complete")
        await receive("Bob", b, "sync_complete")
        await send("Ann", a, chat, "Hello, Bob!")
        got = await receive("Bob", b, "new_message")
        await b.send(json.dumps({"type": "read", "chatId": chat,
                                 "seq": got["seq"]}))
        await send("Bob", b, chat, "Hello, Ann!")
        await receive("Ann", a, "new_message")
    print("done")


asyncio.run(main())
