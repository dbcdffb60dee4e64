"""stack.py: a private stack for tests, whose parts a test can break.

Starts everything through conf/stack.sh in its own directory with free ports.
A test can kill, stop and continue each part; heal() runs `make up` again.
"""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import psycopg2
import redis
import requests

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("CHAT_BUILD") or ROOT / "build-test")
SANITIZED = bool(os.environ.get("CHAT_SAN"))

# factor for all waits for the server, which is slower under sanitizers
SLOW = 3 if SANITIZED else 1


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Stack:
    def __init__(self, nginx=None, **env):
        """nginx: {"http": text, "server": text}, written into nginx.d;
        env: keys of workers.conf or of stack.sh, as CHAT_N_MESSAGE="1"."""
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="chat-", dir="/tmp"))
        self.home.chmod(0o755)
        self.port = free_port()
        self.tls_port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.tls_url = f"https://127.0.0.1:{self.tls_port}"
        self.ws_url = f"ws://127.0.0.1:{self.port}/ws"
        self.log_dir = self.home / "log"
        self.env = dict(os.environ, CHAT_HOME=str(self.home),
                        CHAT_BUILD=str(BUILD), CHAT_HTTP_PORT=str(self.port),
                        CHAT_HTTPS_PORT=str(self.tls_port),
                        CHAT_WAIT=str(60 * SLOW))
        for key in ("CHAT_PG", "CHAT_REDIS"):
            self.env.pop(key, None)
        self.env.update({k: str(v) for k, v in env.items()})

        # sanitizers write here, whatever user the process runs as
        self.san_dir = self.home / "asan"
        self.san_dir.mkdir()
        self.san_dir.chmod(0o1777)
        if SANITIZED:
            self.env["ASAN_OPTIONS"] = f"log_path={self.san_dir}/asan"
            self.env["UBSAN_OPTIONS"] = \
                f"print_stacktrace=1:log_path={self.san_dir}/ubsan"

        (self.home / "nginx.d").mkdir()
        for kind, text in (nginx or {}).items():
            (self.home / "nginx.d" / f"test.{kind}").write_text(text)

    # ----------------------------------------------------- the whole stack

    def sh(self, command, check=True, timeout=180):
        done = subprocess.run([str(ROOT / "conf" / "stack.sh"), command],
                              env=self.env, text=True, timeout=timeout,
                              stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        if check and done.returncode != 0:
            raise AssertionError(f"stack.sh {command}: {done.stdout}\n"
                                 f"{self.tails()}")
        return done

    def up(self):
        self.sh("up")
        return self

    heal = up

    def down(self):
        self.sh("down")

    def restart(self):
        self.down()
        self.up()

    def remove(self):
        """Stops everything and deletes the directory, unless CHAT_KEEP is
        set. Returns the sanitizers' reports."""
        self.sh("down", check=False)
        found = self.sanitizer_reports()
        if not os.environ.get("CHAT_KEEP"):
            shutil.rmtree(self.home, ignore_errors=True)
        return found

    def sanitizer_reports(self):
        found = [p.read_text(errors="replace")
                 for p in sorted(self.san_dir.glob("*"))]
        # UBSan prints its reports on stderr
        found += [line for p in self.log_dir.glob("*.log")
                  for line in p.read_text(errors="replace").splitlines()
                  if ": runtime error: " in line]
        return "\n".join(found)

    def ready(self):
        """/readyz answers 200, and the API worker answers (404)."""
        try:
            return [requests.get(self.url + path, timeout=2).status_code
                    for path in ("/readyz", "/api/v1/auth/")] == [200, 404]
        except requests.RequestException:
            return False

    def wait_ready(self, timeout=30):
        wait_for(self.ready, timeout * SLOW, "readyz 200")

    # --------------------------------------------------------------- parts

    PID_FILES = {"nginx": "nginx.pid", "pool": "pool.pid",
                 "redis": "redis/redis.pid",
                 "postgres": "pg/data/postmaster.pid"}

    def pid(self, part):
        return int((self.home / self.PID_FILES[part]).read_text()
                   .split()[0])

    def workers(self, role):
        """The pids of the pool's processes of a role."""
        return [p for p in children(self.pid("pool"))
                if cmdline(p)[1:2] == [role]]

    def nginx_workers(self):
        return [p for p in children(self.pid("nginx"))
                if cmdline(p)[:1] == ["nginx: worker process"]]

    def pids(self, part):
        if part == "nginx worker":
            return self.nginx_workers()
        if part in self.PID_FILES:
            return [self.pid(part)]
        return self.workers(part)

    def kill(self, part, sig=signal.SIGKILL, count=None):
        """Sends a signal to a part: nginx, pool, redis, postgres, "nginx
        worker", or a worker's role. Returns the pids."""
        pids = self.pids(part)[:count]
        assert pids, f"no {part} is running"
        for p in pids:
            os.kill(p, sig)
        return pids

    def stop(self, part, **kw):
        return self.kill(part, signal.SIGSTOP, **kw)

    @staticmethod
    def cont(pids):
        for p in pids:
            if alive(p):
                os.kill(p, signal.SIGCONT)

    def await_role(self, role, count=1, other_than=(), timeout=20):
        """Waits until the pool has `count` processes of a role; returns
        them."""
        def running():
            now = [p for p in self.workers(role) if p not in other_than]
            return len(now) >= count and now
        return wait_for(running, timeout * SLOW, f"{count} {role}")

    def reload_nginx(self):
        os.kill(self.pid("nginx"), signal.SIGHUP)

    # --------------------------------------------------------------- stores

    def dsn(self):
        return f"host={self.home}/sock/pg user=chat dbname=chat"

    def sql(self, text, *args):
        """Runs one statement; returns its rows, or None."""
        db = psycopg2.connect(self.dsn())
        try:
            db.autocommit = True
            cur = db.cursor()
            cur.execute(text, args)
            return cur.fetchall() if cur.description else None
        finally:
            db.close()

    def redis_socket(self):
        return f"{self.home}/sock/app/redis.sock"

    def redis(self):
        return redis.Redis(unix_socket_path=self.redis_socket())

    # ----------------------------------------------------------------- logs

    def log(self, name):
        """workers.log, nginx-error.log, access.log, postgres.log, redis.log"""
        path = self.log_dir / name
        return path.read_text(errors="replace") if path.exists() else ""

    def tails(self, lines=15):
        return "\n".join(
            f"--- {p.name}\n" + "\n".join(
                p.read_text(errors="replace").splitlines()[-lines:])
            for p in sorted(self.log_dir.glob("*.log")))


def wait_for(what, timeout, say="it"):
    end = time.monotonic() + timeout
    while True:
        value = what()
        if value:
            return value
        assert time.monotonic() < end, f"no {say} within {timeout} s"
        time.sleep(0.05)


def alive(pid):
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rsplit(")", 1)[1].split()[0] not in "ZX"


def cmdline(pid):
    try:
        raw = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return []
    return [a.decode(errors="replace") for a in raw.split(b"\0") if a]


def children(pid):
    """The running children of a process."""
    found = []
    for entry in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if fields[1] == str(pid) and fields[0] not in "ZX":
            found.append(int(entry.parent.name))
    return sorted(found)
