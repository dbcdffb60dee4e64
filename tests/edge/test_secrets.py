"""No log contains a token, a message's content or a key, whatever a client
sends."""

import json

from edge import Edge
from wire import BINARY, TEXT

CHAT = "0199a3c1-7b1e-7cc3-9d2f-6f0b8a51c2d4"
SECRET = "hush-4711-hush"


def test_the_logs_of_the_edge_contain_no_secret():
    with Edge(server="location /api/ { chat_auth on; chat_enqueue on; "
                     "proxy_pass http://127.0.0.1:1; }") as edge:
        tokens = [edge.token(u, u, exp=exp) for u, exp in (
            (1, None), (2, 1), (3, 4102444800), (4, 4102444800))]
        tokens.append(tokens[2][:-5] + "AAAAA")

        for token in tokens:
            edge.refused(headers={"Authorization": f"Bearer {token}"})
            edge.refused(Sec_WebSocket_Protocol=f"bearer.{token}, chat.v1")
            edge.refused(Sec_WebSocket_Protocol=f"bearer.{token}")
            edge.refused(headers={"Authorization": f"Bearer {token}"},
                         Origin="https://evil.example")
            edge.http("GET", "/api/v1/chats",
                      [("Authorization", f"Bearer {token}")])

        with edge.connect(3, 3) as ws:
            ws.message()
            for frame in (
                    {"type": "send_message", "chatId": CHAT,
                     "messageId": SECRET, "content": SECRET},
                    {"type": "send_message", "chatId": CHAT,
                     "messageId": "x y", "content": SECRET},
                    {"type": SECRET}, {"type": "typing", "chatId": SECRET}):
                ws.text(json.dumps(frame))
            ws.send(TEXT, SECRET)
            assert ws.alive()
            ws.send(BINARY, SECRET)
            ws.closed_with()
        with edge.connect(4, 4) as ws:
            ws.message()
            ws.send(TEXT, b"\xff" + SECRET.encode())
            ws.closed_with()
        edge.http("POST", f"/api/v1/chats/{CHAT}/members",
                  [("Authorization", f"Bearer {tokens[2]}"),
                   ("Content-Type", "text/plain")], SECRET.encode())

        # nginx writes buffered log lines when it exits
        edge.nginx.terminate()
        edge.nginx.wait(20)
        logs = edge.logs()
        key = edge.keys.id_key.read_text().strip()

    assert "GET /ws" in logs, "the logs are empty"
    for token in tokens:
        for part in token.split(".")[1:]:
            assert part not in logs
    assert SECRET not in logs
    assert key not in logs
