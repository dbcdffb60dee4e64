"""bench_stack.py: our own server as a target: conf/stack.sh in a directory of
its own, with what the load tool must know of it.

Has the same face as the peers (peers/peers.py): name, proto, port, roots,
args, start, stop.
"""

import os
import pathlib
import subprocess

from peers.peers import free_port

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("CHAT_BUILD") or ROOT / "build")
CHATLOAD = BUILD / "chatload"


class Stack:
    name = "chat"
    proto = "chat"
    durable = True

    def __init__(self, home, workers=2, **keys):
        # on two cores one message worker is enough for all the database can
        # commit, and its batches are twice as large
        keys.setdefault("n_message", 1)
        self.home = pathlib.Path(home)
        self.port = free_port()
        self.tls_port = free_port()
        self.workers = workers
        self.keys = keys            # of workers.conf, such as n_message=4

    # ------------------------------------------------------------- running

    def script(self, command):
        env = dict(os.environ, CHAT_HOME=str(self.home),
                   CHAT_BUILD=str(BUILD), CHAT_LISTEN="127.0.0.1",
                   CHAT_HTTP_PORT=str(self.port),
                   CHAT_HTTPS_PORT=str(self.tls_port),
                   CHAT_NGINX_WORKERS=str(self.workers), quiet="1",
                   **{f"CHAT_{k.upper()}": str(v)
                      for k, v in self.keys.items()})
        done = subprocess.run(
            ["bash", str(ROOT / "conf/stack.sh"), command], env=env,
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode != 0:
            raise RuntimeError(f"stack.sh {command}: {done.stdout[-2000:]}")

    def start(self):
        self.script("up")

    def stop(self):
        self.script("down")

    def clean(self):
        self.script("clean")

    def restart(self, workers):
        """The same data, another number of edges."""
        self.stop()
        self.workers = workers
        self.start()

    def renew(self):
        """New processes."""
        self.restart(self.workers)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc):
        self.stop()

    # ------------------------------------------------------------ measuring

    @property
    def roots(self):
        pids = []
        for name in ("nginx.pid", "pool.pid", "redis/redis.pid",
                     "pg/data/postmaster.pid"):
            pids.append(int((self.home / name).read_text().split()[0]))
        return pids

    @property
    def args(self):
        return ["--keys", str(self.home / "keys")]

    @property
    def dsn(self):
        for line in (self.home / "workers.conf").read_text().splitlines():
            if line.startswith("pg "):
                return line[3:].strip()
        raise RuntimeError("workers.conf has no pg")

    def setup(self, *args):
        """Rows for the load, past the workers: see load_setup.c."""
        done = subprocess.run(
            [str(CHATLOAD), "setup", "--pg", self.dsn, *self.args,
             *(str(a) for a in args)], text=True, stderr=subprocess.PIPE)
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        # what devices have noted of themselves is not true any more
        subprocess.run(
            ["redis-cli", "-s", self.home / "sock/app/redis.sock", "EVAL",
             "for _, k in ipairs(redis.call('KEYS', 'route:*')) do "
             "redis.call('DEL', k) end", "0"], check=True,
            stdout=subprocess.DEVNULL)

    def users(self, n):
        self.setup("--setup-users", n)

    def before_run(self):
        """What a run with silent receivers has left is behind nobody."""
        self.setup("--forget")

    def checkpoint(self):
        """So that one run does not pay for the pages of the one before."""
        where = dict(w.split("=", 1) for w in self.dsn.split())["host"]
        subprocess.run(["psql", "-X", "-q", "-h", where, "-U", "postgres",
                        "-d", "postgres", "-c", "CHECKPOINT"], check=False,
                       stderr=subprocess.DEVNULL)
