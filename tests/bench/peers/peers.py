"""peers.py: private instances of the servers that ours is compared with.

mosquitto, nchan (Debian's nginx) and ejabberd with its archive in PostgreSQL.
Each runs in its own directory, on a free port of 127.0.0.1, with the
configuration from this file's directory. Processes started here are stopped
here by their pid; the system's services are not touched.
"""

import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ERLANG_LIBS = "/usr/lib/x86_64-linux-gnu"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for_port(port, proc, seconds=60):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if proc.poll() is not None:
            raise RuntimeError(f"{proc.args[0]} ended with {proc.returncode}")
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise RuntimeError(f"{proc.args[0]}: nothing listens on {port}")


class Peer:
    """A directory, a port and processes; `roots` are the measured pids."""

    name = proto = ""
    durable = False
    user = None                     # the account, when we are root

    def __init__(self):
        self.begin()

    def begin(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="chat-peer-"))
        os.chmod(self.dir, 0o755)
        self.port = free_port()
        self.procs = []
        self.words = {"DIR": str(self.dir), "PORT": str(self.port)}

    @property
    def roots(self):
        return [p.pid for p in self.procs]

    def write(self, name):
        text = (HERE / name).read_text()
        for word, value in self.words.items():
            text = text.replace(f"@{word}@", value)
        path = self.dir / name
        path.write_text(text)
        return path

    def own(self, user):
        """Makes `user` the owner of the directory."""
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", f"{user}:", self.dir], check=True)

    def spawn(self, args, user=None, **more):
        account = {}
        if user and os.geteuid() == 0:
            entry = pwd.getpwnam(user)
            account = {"user": entry.pw_uid, "group": entry.pw_gid,
                       "extra_groups": []}
        log = open(self.dir / "stdout.log", "ab")
        proc = subprocess.Popen(
            [str(a) for a in args], stdin=subprocess.DEVNULL, stdout=log,
            stderr=log, cwd=self.dir, start_new_session=True, **account,
            **more)
        log.close()
        self.procs.append(proc)
        return proc

    def stop(self):
        for proc, sig in [(p, self.signal_of(p)) for p in self.procs[::-1]]:
            if proc.poll() is None:
                proc.send_signal(sig)
                try:
                    proc.wait(20)
                except subprocess.TimeoutExpired:
                    proc.kill()
                    proc.wait()
        self.procs = []
        shutil.rmtree(self.dir, ignore_errors=True)

    def signal_of(self, proc):
        return signal.SIGTERM

    def renew(self):
        """Starts new processes with an empty directory."""
        self.stop()
        self.begin()
        self.start()

    def users(self, n):
        """Creates the users 0 ... n-1, where the server requires accounts."""

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exc):
        self.stop()


class Mosquitto(Peer):
    name = "mosquitto, QoS 1, in memory"
    guess = 30000               # expected highest messages/s
    proto = "mqtt"

    def start(self):
        conf = self.write("mosquitto.conf")
        self.own("mosquitto")
        wait_for_port(self.port, self.spawn(
            ["/usr/sbin/mosquitto", "-c", conf], user="mosquitto"))


class Nchan(Peer):
    name = "nchan, in memory"
    guess = 12000
    proto = "nchan"

    def begin(self):
        super().begin()
        self.words["WORKERS"] = "2"

    def start(self):
        conf = self.write("nchan.conf")
        wait_for_port(self.port, self.spawn(
            ["/usr/sbin/nginx", "-p", self.dir, "-c", conf,
             "-e", self.dir / "error.log"]))

    def signal_of(self, proc):
        return signal.SIGTERM       # nginx: fast shutdown


class Postgres(Peer):
    """PostgreSQL with the defaults of initdb, as durable as ours."""

    def start(self):
        binary = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))[-1]
        self.own("postgres")
        init = self.spawn(
            [binary / "initdb", "-D", self.dir / "data", "-U", "postgres",
             "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"],
            user="postgres")
        if init.wait(120) != 0:
            raise RuntimeError((self.dir / "stdout.log").read_text()[-500:])
        self.procs.remove(init)
        wait_for_port(self.port, self.spawn(
            [binary / "postgres", "-D", self.dir / "data", "-p", self.port,
             "-k", self.dir, "-c", "listen_addresses=127.0.0.1",
             "-c", "max_connections=200", "-c", "shared_buffers=128MB"],
            user="postgres"))
        self.sql("SELECT 1", tries=50)

    def signal_of(self, proc):
        return signal.SIGINT        # fast shutdown: does not wait for sessions

    def sql(self, text, database="postgres", tries=1):
        for remaining in range(tries - 1, -1, -1):
            done = subprocess.run(
                ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h",
                 "127.0.0.1", "-p", str(self.port), "-U", "postgres",
                 "-d", database, "-f", "-"], input=text, text=True,
                capture_output=True)
            if done.returncode == 0:
                return
            if remaining == 0:
                raise RuntimeError(done.stderr)
            time.sleep(0.2)


class Ejabberd(Peer):
    name = "ejabberd, archive in PostgreSQL"
    proto = "xmpp"
    durable = True

    def begin(self):
        super().begin()
        self.pg = Postgres()

    def start(self):
        self.pg.start()
        self.pg.sql("CREATE DATABASE ejabberd")
        self.pg.sql(pathlib.Path("/usr/share/ejabberd/sql/pg.sql")
                    .read_text(), "ejabberd")
        self.words["PGPORT"] = str(self.pg.port)
        conf = self.write("ejabberd.yml")
        (self.dir / "mnesia").mkdir()
        (self.dir / "log").mkdir()
        self.own("ejabberd")
        env = dict(os.environ, ERL_LIBS=ERLANG_LIBS, HOME=str(self.dir),
                   EJABBERD_CONFIG_PATH=str(conf),
                   EJABBERD_LOG_PATH=str(self.dir / "log/ejabberd.log"),
                   ERL_CRASH_DUMP="/dev/null",
                   ERL_MAX_PORTS="32000")
        wait_for_port(self.port, self.spawn(
            ["erl", "+K", "true", "+P", "250000", "+Q", "65536",
             "-mnesia", "dir", f'"{self.dir}/mnesia"', "-noinput",
             "-s", "ejabberd"], user="ejabberd", env=env))

    @property
    def roots(self):
        return [p.pid for p in self.procs + self.pg.procs]

    def stop(self):
        super().stop()
        self.pg.stop()

    def users(self, n):
        self.pg.sql("INSERT INTO users (username, password) "
                    "SELECT 'u' || i, 'u' || i "
                    f"FROM generate_series(0, {n - 1}) i "
                    "ON CONFLICT DO NOTHING", "ejabberd")


PEERS = {"ejabberd": Ejabberd, "mosquitto": Mosquitto, "nchan": Nchan}
