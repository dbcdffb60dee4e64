"""The effect of each directive with valid values."""

import os
import signal
import time

import schema
from edge import Edge, ROOT
from test_frames import padded


def test_chat_max_frame_size_lowers_the_limit():
    with Edge(websocket="chat_max_frame_size 1k;") as edge:
        with edge.connect() as ws:
            assert ws.message()["limits"]["frame"] == 1024
            ws.text(padded(1024))
            assert ws.message()["type"] == "pong"
            ws.text(padded(1025))
            assert ws.closed_with() == 1009


def test_chat_allowed_origins_accepts_the_listed_origins():
    with Edge(websocket="chat_allowed_origins https://a.example "
                        "http://b.example:8080;") as edge:
        def status(origin):
            response, sock = edge.upgrade(
                Authorization=f"Bearer {edge.token()}", Origin=origin)
            sock.close()
            return response.status

        assert status("https://a.example") == 101
        assert status("http://b.example:8080") == 101
        assert status(f"http://127.0.0.1:{edge.port}") == 101
        assert status(None) == 101
        for origin in ("http://a.example", "https://a.example:8443",
                       "https://a.example.evil", "http://b.example",
                       "https://xa.example", "null"):
            assert status(origin) == 403, origin


def test_chat_allowed_origins_any_accepts_every_origin():
    with Edge(websocket="chat_allowed_origins any;") as edge:
        for origin in ("https://evil.example", "null"):
            response, sock = edge.upgrade(
                Authorization=f"Bearer {edge.token()}", Origin=origin)
            sock.close()
            assert response.status == 101


def test_a_silent_client_is_closed_with_4012():
    with Edge(websocket="chat_heartbeat 1s;") as edge:
        with edge.connect() as silent, edge.connect(user=2) as talking:
            assert silent.message()["heartbeat"] == 1
            assert talking.message()["heartbeat"] == 1
            start = time.monotonic()
            while time.monotonic() - start < 1.5:
                talking.text('{"type":"ping"}')
                assert talking.message()["type"] == "pong"
                time.sleep(0.25)
            assert silent.closed_with(timeout=5) == 4012
            assert 1.8 < time.monotonic() - start < 4
            # any frame of the client resets the heartbeat
            assert talking.alive()


def test_metrics_and_log_show_the_version():
    with Edge(server="location = /metrics { chat_status metrics; }") as edge:
        with edge.connect() as ws:
            ws.message()
            ws.text('{"type":"ping"}')
            ws.message()
            text = edge.http("GET", "/metrics").body.decode()
        version = (ROOT / "VERSION").read_text().strip()
        assert f'chat_build_info{{version="{version}"}} 1\n' in text
        assert f"chat: chat/{version} starts as edge" in edge.logs()
        for line in text.splitlines():
            assert line.startswith("#") or len(line.split()) == 2, line


def test_a_reload_drains_old_connections_and_accepts_new_ones():
    """An old connection gets `reconnect`, then 1012 within chat_drain; the
    new worker accepts connections meanwhile."""
    with Edge(http="chat_drain 2s;") as edge:
        with edge.connect() as old:
            old.message()
            os.kill(edge.nginx.pid, signal.SIGHUP)
            frame = old.message("reconnect")
            assert 0 <= frame["after"] <= 2000
            with edge.connect(user=5) as new:
                assert new.message()["type"] == "welcome"
                start = time.monotonic()
                assert old.closed_with(timeout=10) == 1012
                assert time.monotonic() - start < 6
                assert new.alive()


def test_chat_auth_sets_the_user_and_a_client_cannot():
    server = """
        location /who {
            chat_auth on;
            proxy_pass http://127.0.0.1:@PORT@/echo;
            proxy_set_header X-Chat-User-Id $chat_user_id;
            proxy_set_header X-Chat-Device-Id $chat_device_id;
        }
        location /nobody {
            proxy_pass http://127.0.0.1:@PORT@/echo;
            proxy_set_header X-Chat-User-Id $chat_user_id;
            proxy_set_header X-Chat-Device-Id $chat_device_id;
        }
        location /echo {
            return 200 "[$http_x_chat_user_id:$http_x_chat_device_id]";
        }
    """
    with Edge(server=server) as edge:
        forged = [("X-Chat-User-Id", "666"), ("X-Chat-Device-Id", "667")]
        token = ("Authorization", f"Bearer {edge.token(7, 8)}")
        assert edge.http("GET", "/who", [token]).body == b"[7:8]"
        assert edge.http("GET", "/who", [token, *forged]).body == b"[7:8]"
        assert edge.http("GET", "/nobody", forged).body == b"[:]"
        assert edge.http("GET", "/nobody", [token, *forged]).body == b"[:]"

        now = int(time.time())
        for headers, code in (
                ([], "unauthorized"), (forged, "unauthorized"),
                ([("Authorization", "Bearer x")], "unauthorized"),
                ([("Authorization",
                   f"Bearer {edge.token(iat=now - 9, exp=now - 1)}")],
                 "token_expired")):
            got = edge.http("GET", "/who", headers)
            problem = schema.validate_problem(got.status, got.headers,
                                              got.body)
            assert (got.status, problem["code"]) == (401, code)
            assert got.headers["www-authenticate"].startswith("Bearer")


def test_an_edge_without_redis_is_healthy_and_not_ready():
    with Edge() as edge:
        edge.processes[0].terminate()
        edge.processes[0].wait()
        end = time.monotonic() + 10
        while edge.http("GET", "/readyz").status != 503:
            assert time.monotonic() < end
            time.sleep(0.1)
        assert edge.http("GET", "/healthz").status == 200
        response = edge.refused(
            headers={"Authorization": f"Bearer {edge.token()}"})
        assert response.status == 503
        assert int(response.headers["retry-after"]) >= 1
        edge.redis_socket.unlink(missing_ok=True)
        edge.start_redis()
        end = time.monotonic() + 20
        while edge.http("GET", "/readyz").status != 200:
            assert time.monotonic() < end
            time.sleep(0.1)
        with edge.connect() as ws:
            assert ws.message()["type"] == "welcome"
