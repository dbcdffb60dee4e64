"""One edge alone: nginx with our module and a private Redis, no workers.

    with Edge() as edge:
        sock = edge.connect()           # after 101; welcome is not read yet
        edge.refused(headers...)        # the response to a refused handshake

Called from the tests of edge/ and contract/. Tokens are signed here with a
test key, in the way an API worker signs them. All files are in a temporary
directory, nginx listens on a free port, and close() ends all processes.
"""

import base64
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time

import jwt
import redis
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

import wire

ROOT = pathlib.Path(__file__).resolve().parents[2]
NGINX = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")


def build_dir():
    """The directory of the test build. Builds it unless CHAT_BUILD is set."""
    if "CHAT_BUILD" in os.environ:
        return pathlib.Path(os.environ["CHAT_BUILD"])
    subprocess.run(["make", "-s", "-j2", "B=build-test", "CHAT_TEST=1",
                    "module"], cwd=ROOT, check=True)
    return ROOT / "build-test"


def environment(build):
    """The environment that nginx needs, also for a sanitizer build."""
    env = dict(os.environ)
    preload = build / "preload"
    if preload.exists():
        env["LD_PRELOAD"] = " ".join(preload.read_text().split())
        env.setdefault("ASAN_OPTIONS", "detect_leaks=0")
    return env


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Keys:
    """Writes a token key's JWKS and the key for direct chats to files."""

    def __init__(self, home):
        self.key = ed25519.Ed25519PrivateKey.generate()
        self.public = self.key.public_key().public_bytes(
            serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        self.kid = "edge-test"
        self.jwks = home / "jwks.json"
        self.jwks.write_text(json.dumps({"keys": [{
            "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA",
            "kid": self.kid, "x": b64url(self.public)}]}))
        self.id_key = home / "chat_id.key"
        self.id_key.write_text(os.urandom(32).hex() + "\n")

    def token(self, user=1, device=1, kid=None, key=None, alg="EdDSA",
              **claims):
        """A valid token, unless an argument makes it invalid. A claim with
        the value None is left out."""
        now = int(time.time())
        body = {"sub": str(user), "did": str(device), "iat": now,
                "exp": now + 900, **claims}
        body = {name: value for name, value in body.items()
                if value is not None}
        return jwt.encode(body, self.key if key is None else key,
                          algorithm=alg,
                          headers={"kid": self.kid if kid is None else kid})


class Edge:

    def __init__(self, http="", server="", websocket="", main="",
                 modules=None, log_level="info", tls=False, beside=None):
        """beside: another Edge, whose Redis this edge shares."""
        self.build = build_dir()
        self.module = self.build / "ngx_http_chat_module.so"
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="chat-edge-"))
        self.keys = Keys(self.home)
        self.port = free_port()
        self.beside = beside
        self.redis_socket = (beside or self).home / "redis.sock"
        self.conf = self.home / "nginx.conf"
        self.error_log = self.home / "error.log"
        self.access_log = self.home / "access.log"
        self.processes = []

        server = server.replace("@PORT@", str(self.port)).replace(
            "@HOME@", str(self.home))
        if tls:
            self.tls_port = free_port()
            self.certificate()
            server += f"""
                listen 127.0.0.1:{self.tls_port} ssl http2;
                ssl_certificate {self.home}/tls.pem;
                ssl_certificate_key {self.home}/tls.pem;
            """
        load = "\n".join(f"load_module {m};"
                         for m in (modules or [self.module]))
        self.conf.write_text(f"""
            {"user root root;" if os.geteuid() == 0 else ""}
            {load.replace("@MODULE@", str(self.module))}
            daemon off;
            worker_processes 1;
            pid {self.home}/nginx.pid;
            error_log {self.error_log} {log_level};
            {main}
            events {{ worker_connections 1024; }}
            http {{
                access_log {self.access_log};
                client_body_temp_path {self.home}/body;
                proxy_temp_path {self.home}/proxy;
                fastcgi_temp_path {self.home}/fastcgi;
                uwsgi_temp_path {self.home}/uwsgi;
                scgi_temp_path {self.home}/scgi;
                chat_redis unix://{self.redis_socket};
                chat_token_keys {self.keys.jwks};
                chat_id_key {self.keys.id_key};
                {http}
                server {{
                    listen 127.0.0.1:{self.port};
                    location = /ws {{ chat_websocket; {websocket} }}
                    location = /healthz {{ chat_status health; }}
                    location = /readyz {{ chat_status ready; }}
                    {server}
                }}
            }}
            """)

    # -------------------------------------------------------------- process

    def __enter__(self):
        try:
            if self.beside is None:
                self.start_redis()
            else:
                self.redis = self.beside.redis
            self.start_nginx()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def spawn(self, *argv, env=None):
        output = open(self.home / f"out.{len(self.processes)}", "wb")
        process = subprocess.Popen([str(a) for a in argv], cwd=self.home,
                                   stdin=subprocess.DEVNULL, stdout=output,
                                   stderr=output, env=env)
        output.close()
        self.processes.append(process)
        return process

    def start_redis(self):
        process = self.spawn(
            "redis-server", "--port", "0", "--unixsocket", self.redis_socket,
            "--save", "", "--appendonly", "no", "--dir", self.home)
        wait_for(lambda: self.redis_socket.exists(), "Redis", process)
        # an API worker adds this entry when the set of revoked devices is
        # complete
        self.redis = redis.Redis(unix_socket_path=str(self.redis_socket))
        wait_for(lambda: self.redis.zadd("device.revoked",
                                         {"0:0": 9999999999}) == 1,
                 "Redis", process)
        # a message worker writes this heartbeat twice a second
        self.redis.zadd("workers:message", {"edge-test": 1 << 50})

    def start_nginx(self):
        self.nginx = self.spawn(NGINX, "-p", self.home, "-e", self.error_log,
                                "-c", self.conf,
                                env=environment(self.build))
        wait_for(lambda: self.http("GET", "/readyz").status == 200,
                 lambda: f"nginx: {self.logs()[-3000:]}", self.nginx)

    def restart_nginx(self):
        self.nginx.send_signal(signal.SIGTERM)
        self.nginx.wait(20)
        self.start_nginx()

    def close(self):
        for process in reversed(self.processes):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in reversed(self.processes):
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        text = self.logs()
        shutil.rmtree(self.home, ignore_errors=True)
        # no test may cause any of these lines
        bad = re.search(r"AddressSanitizer|runtime error:|exited on signal|"
                        r"\[(alert|emerg|crit)\].*", text)
        assert bad is None, f"nginx: {text[max(0, bad.start() - 500):][:4000]}"

    def logs(self):
        """Everything nginx and Redis have written."""
        return "".join(
            path.read_text(errors="replace")
            for path in sorted(self.home.glob("*"))
            if path.name.startswith(("error", "access", "out.")))

    # --------------------------------------------------------------- client

    def token(self, user=1, device=1, **kw):
        return self.keys.token(user, device, **kw)

    def http(self, method, path, headers=(), body=b""):
        with self.open() as sock:
            return wire.request(sock, method, path, [
                ("Host", f"127.0.0.1:{self.port}"), *headers,
                ("Connection", "close")], body)

    def open(self, tls=False, window=None):
        """window: size of the receive buffer in bytes, for a slow reader."""
        sock = socket.socket()
        if window:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        sock.settimeout(15)
        sock.connect(("127.0.0.1", self.tls_port if tls else self.port))
        if not tls:
            return sock
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context.wrap_socket(sock)

    def certificate(self):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
             "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
             "-subj", "/CN=edge", "-keyout", self.home / "key.pem",
             "-out", self.home / "cert.pem"], check=True,
            stderr=subprocess.DEVNULL)
        (self.home / "tls.pem").write_bytes(
            (self.home / "key.pem").read_bytes()
            + (self.home / "cert.pem").read_bytes())

    def workers(self):
        """The pids of nginx's worker processes."""
        children = pathlib.Path(f"/proc/{self.nginx.pid}/task"
                                f"/{self.nginx.pid}/children")
        return [int(pid) for pid in children.read_text().split()]

    def metric(self, name):
        """A metric of the one worker; the server needs metrics at /metrics."""
        text = self.http("GET", "/metrics").body.decode()
        return int(re.search(rf"^{name}\{{.*\}} (\d+)$", text, re.M)[1])

    def upgrade(self, headers=None, path="/ws", method="GET", sock=None,
                **replaced):
        """Sends a handshake and returns the response and the socket. A
        keyword replaces a header: Sec_WebSocket_Key replaces
        Sec-WebSocket-Key. A list is sent as several headers, None removes
        the header."""
        fields = {
            "Host": f"127.0.0.1:{self.port}",
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": wire.KEY,
            "Sec-WebSocket-Protocol": "chat.v1",
            **(headers or {}),
        }
        fields.update({name.replace("_", "-"): value
                       for name, value in replaced.items()})
        pairs = [(name, v) for name, value in fields.items()
                 for v in (value if isinstance(value, list) else [value])
                 if v is not None]
        sock = sock or self.open()
        return wire.request(sock, method, path, pairs), sock

    def refused(self, **kw):
        response, sock = self.upgrade(**kw)
        sock.close()
        return response

    def connect(self, user=1, device=1, **kw):
        """Returns a wire.Socket after 101."""
        response, sock = self.upgrade(
            Authorization=f"Bearer {self.token(user, device)}", **kw)
        assert response.status == 101, response
        return wire.Socket(sock, response.rest)


def wait_for(condition, what, process=None, seconds=15):
    end = time.monotonic() + seconds
    while True:
        try:
            if condition():
                return
        except (OSError, ValueError, redis.RedisError):
            pass
        died = process is not None and process.poll() is not None
        if died or time.monotonic() > end:
            detail = what() if callable(what) else what
            raise AssertionError(
                f"{'process ended' if died else 'timed out'}: {detail}")
        time.sleep(0.05)
