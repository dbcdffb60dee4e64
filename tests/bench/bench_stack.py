"""bench_stack.py: our own server as a target: runs conf/stack.sh in its own
directory and provides the arguments for the load tool.

Has the same interface as the peers (peers/peers.py): name, proto, port,
roots, args, start, stop.
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
        # on two cores one message worker can use the full commit rate of the
        # database, and its batches are twice as large as those of two
        keys.setdefault("n_message", 1)
        self.home = pathlib.Path(home)
        self.port = free_port()
        self.tls_port = free_port()
        self.workers = workers
        self.keys = keys            # keys of workers.conf, such as n_message=4

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
        """Restarts with the same data and this number of edges."""
        self.stop()
        self.workers = workers
        self.start()

    def renew(self):
        """Restarts all processes."""
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
        """Inserts rows for the load without the workers: see load_setup.c."""
        done = subprocess.run(
            [str(CHATLOAD), "setup", "--pg", self.dsn, *self.args,
             *(str(a) for a in args)], text=True, stderr=subprocess.PIPE)
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        # the clean-disconnect markers of the devices are not valid any more
        subprocess.run(
            ["redis-cli", "-s", self.home / "sock/app/redis.sock", "EVAL",
             "for _, k in ipairs(redis.call('KEYS', 'route:*')) do "
             "redis.call('DEL', k) end", "0"], check=True,
            stdout=subprocess.DEVNULL)

    def users(self, n):
        self.setup("--setup-users", n)

    def before_run(self):
        """Marks all entries as delivered: a run without receipts leaves
        every device behind."""
        self.setup("--forget")

    def checkpoint(self):
        """Writes dirty pages, so that the next run does not pay for them."""
        host = dict(w.split("=", 1) for w in self.dsn.split())["host"]
        subprocess.run(["psql", "-X", "-q", "-h", host, "-U", "postgres",
                        "-d", "postgres", "-c", "CHECKPOINT"], check=False,
                       stderr=subprocess.DEVNULL)
