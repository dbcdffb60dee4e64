"""stores.py: a private PostgreSQL and Redis, and worker processes on them.

The database cluster belongs to the user postgres and listens on a unix socket
in a new directory; chatctl creates its schema. Redis listens on a unix socket
in the same directory. Tests that need nginx use stack.py.
"""

import itertools
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import tempfile
import time

import psycopg2
import redis as redis_py

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("CHAT_BUILD") or ROOT / "build-test")
PG_BIN = pathlib.Path(os.environ.get("PG_BIN")
                      or "/usr/lib/postgresql/15/bin")


def wait_for(condition, timeout=10, say="true condition"):
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"no {say} within {timeout} s"
        time.sleep(0.02)


class Stores:
    """home: the directory; dsn, redis_url: their values for workers.conf."""

    def __init__(self):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="chatw-", dir="/tmp"))
        self.home.chmod(0o755)
        self.pg_dir = self.home / "pg"
        self.redis_sock = self.home / "redis.sock"
        self.dsn = f"host={self.pg_dir} user=postgres dbname=postgres"
        self.redis_url = f"unix://{self.redis_sock}"
        self.numbers = itertools.count(1)
        self.pg = self.redis_process = None
        self.pg_dir.mkdir()
        if os.geteuid() == 0:
            owner = pwd.getpwnam("postgres")
            os.chown(self.pg_dir, owner.pw_uid, owner.pw_gid)

    # PostgreSQL refuses to run as root
    @staticmethod
    def as_postgres(*argv):
        argv = [str(a) for a in argv]
        if os.geteuid() == 0:
            argv = ["setpriv", "--reuid=postgres", "--regid=postgres",
                    "--init-groups", "--"] + argv
        return argv

    def start(self):
        subprocess.run(
            self.as_postgres(PG_BIN / "initdb", "-D", self.pg_dir / "data",
                             "-A", "trust", "-U", "postgres", "-E", "UTF8",
                             "--locale=C.UTF-8", "--no-sync"),
            check=True, stdout=subprocess.DEVNULL, cwd="/")
        self.start_pg()
        self.start_redis()
        self.ctl("migrate", "--dir", ROOT / "sql")
        return self

    def start_pg(self):
        log = open(self.home / "pg.log", "ab")
        self.pg = subprocess.Popen(
            self.as_postgres(PG_BIN / "postgres", "-D", self.pg_dir / "data",
                             "-k", self.pg_dir, "-c", "listen_addresses=",
                             "-c", "shared_buffers=64MB"),
            stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd="/")
        wait_for(self.pg_answers, 30, "PostgreSQL")

    def pg_answers(self):
        try:
            psycopg2.connect(self.dsn).close()
        except psycopg2.Error:
            return False
        return True

    def start_redis(self):
        self.redis_process = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket",
             str(self.redis_sock), "--save", "", "--dir", str(self.home)],
            stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        wait_for(self.redis_answers, 10, "Redis")

    def redis_answers(self):
        try:
            return self.redis().ping()
        except redis_py.RedisError:
            return False

    def stop_pg(self, sig=signal.SIGINT):
        self.pg.send_signal(sig)
        self.pg.wait(20)

    def stop_redis(self):
        self.redis_process.kill()
        self.redis_process.wait(10)

    def stop(self):
        for process, sig in ((self.pg, signal.SIGINT),
                             (self.redis_process, signal.SIGTERM)):
            if process is not None and process.poll() is None:
                process.send_signal(sig)
                process.wait(20)
        if not os.environ.get("CHAT_KEEP"):
            shutil.rmtree(self.home, ignore_errors=True)

    def redis(self):
        return redis_py.Redis(unix_socket_path=str(self.redis_sock))

    def sql(self, text, *args):
        """Runs one statement; returns its rows or None."""
        db = psycopg2.connect(self.dsn)
        try:
            db.autocommit = True
            cur = db.cursor()
            cur.execute(text, args or None)
            return cur.fetchall() if cur.description else None
        finally:
            db.close()

    def empty(self):
        self.redis().flushall()
        rows = self.sql("SELECT string_agg(quote_ident(c.relname), ', ')"
                        "  FROM pg_class c WHERE relkind IN ('r', 'p')"
                        "   AND relnamespace = 'public'::regnamespace"
                        "   AND NOT relispartition"
                        "   AND relname <> 'schema_migrations'")
        self.sql(f"TRUNCATE {rows[0][0]} RESTART IDENTITY CASCADE")

    def conf(self, **keys):
        """Writes a new workers.conf with its own run_dir and keys_dir."""
        home = self.home / f"w{next(self.numbers)}"
        home.mkdir()
        own = {"pg": self.dsn, "redis": self.redis_url,
               "run_dir": home / "run", "keys_dir": home / "keys"}
        own.update(keys)
        path = home / "workers.conf"
        path.write_text("".join(f"{k} {v}\n" for k, v in own.items()))
        return path

    def ctl(self, *argv, check=True, conf=None, **env):
        done = subprocess.run(
            [str(BUILD / "chatctl"), "-c", str(conf or self.conf())]
            + [str(a) for a in argv], text=True, timeout=60,
            env=clean_env(**env), stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)
        assert not check or done.returncode == 0, done.stderr
        return done


def clean_env(**env):
    base = {k: v for k, v in os.environ.items() if not k.startswith("CHAT_")}
    base.update({k: str(v) for k, v in env.items()})
    return base


class Worker:
    """One chat-worker process: a role or the pool."""

    def __init__(self, conf, role, program=None, **env):
        self.log_path = conf.parent / f"{role}.log"
        self.log_file = open(self.log_path, "ab")
        self.process = subprocess.Popen(
            [str(program or BUILD / "chat-worker"), "-c", str(conf), role],
            stdin=subprocess.DEVNULL, stdout=self.log_file,
            stderr=self.log_file, env=clean_env(**env))
        self.pid = self.process.pid

    def log(self):
        return self.log_path.read_text(errors="replace")

    def signal(self, sig):
        self.process.send_signal(sig)

    def state(self):
        """What each thread of the process waits for, from /proc."""
        found = []
        for task in pathlib.Path(f"/proc/{self.pid}/task").glob("*"):
            try:
                stat = (task / "stat").read_text().rpartition(")")[2].split()
                found.append(f"thread {task.name} {stat[0]} in "
                             f"{(task / 'wchan').read_text() or '?'}")
            except OSError as e:
                found.append(f"thread {task.name}: {e}")
        return "; ".join(found)

    def stop(self, timeout=20):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            # A test that failed may have left it stopped. Only then: SIGCONT
            # would undo the stop that LeakSanitizer waits for at the end.
            stat = pathlib.Path(f"/proc/{self.pid}/stat").read_text()
            if stat.rpartition(")")[2].split()[0] == "T":
                self.process.send_signal(signal.SIGCONT)
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                state = self.state()
                self.process.kill()
                self.process.wait(10)
                raise AssertionError(
                    f"SIGTERM did not end {self.process.args}: {state}\n"
                    + "\n".join(self.log().splitlines()[-15:])) from None
        self.log_file.close()
        return self.process.returncode
