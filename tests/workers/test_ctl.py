"""chatctl: migrations, keys, dead letters, status, the feed, manual pages."""

import json
import os
import shutil
import subprocess
import threading
import uuid

import pytest
from inner import event
from stores import BUILD, ROOT, clean_env


@pytest.fixture
def database(stores):
    """A new database; returns the environment variable with its DSN."""
    name = f"ctl_{uuid.uuid4().hex[:12]}"
    stores.sql(f"CREATE DATABASE {name}")
    yield {"CHAT_PG": stores.dsn.replace("dbname=postgres",
                                         f"dbname={name}")}
    stores.sql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def sql_dir(tmp_path):
    d = tmp_path / "sql"
    d.mkdir()
    (d / "001_first.sql").write_text("CREATE TABLE one (a int);\n")
    (d / "002_second.sql").write_text("CREATE TABLE two (a int);\n"
                                      "INSERT INTO two VALUES (1);\n")
    return d


def versions(stores, env):
    done = subprocess.run(
        ["psql", env["CHAT_PG"], "-Atc",
         "SELECT version, name FROM schema_migrations ORDER BY 1"],
        text=True, stdout=subprocess.PIPE, check=True)
    return done.stdout.split()


# ------------------------------------------------------------------- usage

@pytest.mark.parametrize("argv", [[], ["nonsense"], ["keys"], ["dead"],
                                  ["dead", "retry"], ["dead", "show", "x"],
                                  ["dead", "drop", "1-1", "2-2"],
                                  ["status", "more"], ["feed", "drop"],
                                  ["feed", "nonsense"],
                                  ["migrate", "--bad"]])
def test_wrong_usage_is_reported_with_code_2(stores, argv):
    done = stores.ctl(*argv, check=False)
    assert done.returncode == 2
    assert "Usage:" in done.stderr


@pytest.mark.parametrize("command", ["migrate", "keys", "dead", "status",
                                     "feed"])
def test_help_describes_each_command(stores, command):
    done = stores.ctl(command, "--help")
    assert done.stdout.startswith("Usage: chatctl [-c FILE] " + command)
    assert len(done.stdout.splitlines()) > 3


def test_configuration_error_names_file_and_line(stores):
    conf = stores.conf(nonsense=1)
    done = stores.ctl("status", conf=conf, check=False)
    assert done.returncode == 1
    assert f"{conf}:5: unknown key" in done.stderr


# ----------------------------------------------------------------- migrate

def test_migrate_applies_each_file_once_and_in_order(stores, database,
                                                     sql_dir):
    done = stores.ctl("migrate", "--dir", sql_dir, **database)
    assert done.stdout.splitlines() == [
        "applied 001_first.sql", "applied 002_second.sql",
        "schema is at version 2"]
    done = stores.ctl("migrate", sql_dir, **database)
    assert done.stdout == "schema is at version 2\n"

    (sql_dir / "003_third.sql").write_text("CREATE TABLE three (a int)")
    done = stores.ctl("migrate", sql_dir, **database)
    assert "applied 003_third.sql" in done.stdout
    assert versions(stores, database) == [
        "1|001_first.sql", "2|002_second.sql", "3|003_third.sql"]


def test_migrate_refuses_a_changed_file(stores, database, sql_dir):
    stores.ctl("migrate", sql_dir, **database)
    (sql_dir / "001_first.sql").write_text("CREATE TABLE one (a bigint);\n")
    (sql_dir / "003_third.sql").write_text("CREATE TABLE three (a int)")
    done = stores.ctl("migrate", sql_dir, check=False, **database)
    assert done.returncode == 1
    assert "001_first.sql has changed since it was applied" in done.stderr
    assert len(versions(stores, database)) == 2


def test_migrate_refuses_a_missing_file(stores, database, sql_dir):
    stores.ctl("migrate", sql_dir, **database)
    (sql_dir / "002_second.sql").unlink()
    done = stores.ctl("migrate", sql_dir, check=False, **database)
    assert done.returncode == 1
    assert "002_second.sql was applied, but its file is missing" in done.stderr


def test_migrate_refuses_a_gap_before_any_file_is_applied(stores, database,
                                                          sql_dir):
    (sql_dir / "004_fourth.sql").write_text("CREATE TABLE four (a int)")
    done = stores.ctl("migrate", sql_dir, check=False, **database)
    assert done.returncode == 1
    assert "003_*.sql is missing" in done.stderr
    stores.ctl("migrate", ROOT / "sql", **database)


def test_migrate_refuses_two_files_with_one_number(stores, database, sql_dir):
    (sql_dir / "002_other.sql").write_text("SELECT 1")
    done = stores.ctl("migrate", sql_dir, check=False, **database)
    assert done.returncode == 1
    assert "have one number" in done.stderr


def test_failed_migration_is_rolled_back(stores, database, sql_dir):
    (sql_dir / "003_bad.sql").write_text("CREATE TABLE three (a int);\n"
                                         "SELECT no_such_column FROM one;\n")
    done = stores.ctl("migrate", sql_dir, check=False, **database)
    assert done.returncode == 1
    assert "003_bad.sql: failed with sqlstate 42703" in done.stderr
    assert "no_such_column" in done.stderr
    assert len(versions(stores, database)) == 2
    (sql_dir / "003_bad.sql").write_text("CREATE TABLE three (a int);\n")
    stores.ctl("migrate", sql_dir, **database)


def test_migration_may_not_end_its_transaction(stores, database, sql_dir):
    (sql_dir / "003_ends.sql").write_text("COMMIT; SELECT 1;")
    done = stores.ctl("migrate", sql_dir, check=False, **database)
    assert done.returncode == 1
    assert len(versions(stores, database)) == 2


def test_concurrent_migrations_wait_for_each_other(stores, database, sql_dir):
    (sql_dir / "003_slow.sql").write_text("SELECT pg_sleep(0.5);"
                                          "CREATE TABLE three (a int);")
    done = []
    threads = [threading.Thread(target=lambda: done.append(
        stores.ctl("migrate", sql_dir, check=False, **database)))
        for _ in range(4)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert [d.returncode for d in done] == [0] * 4, done
    assert sum("applied 003_slow.sql" in d.stdout for d in done) == 1


def test_slow_migration_has_no_timeout(stores, database, sql_dir):
    (sql_dir / "003_slow.sql").write_text("SELECT pg_sleep(6)")
    stores.ctl("migrate", sql_dir, **database)


def test_migrate_reports_an_unavailable_database(stores, sql_dir):
    done = stores.ctl("migrate", sql_dir, check=False,
                      CHAT_PG="host=/nonexistent dbname=x")
    assert done.returncode == 1
    assert "the database cannot be reached" in done.stderr


# -------------------------------------------------------------------- keys

def mode(path):
    return os.stat(path).st_mode & 0o777


def test_keys_are_generated_once_and_never_overwritten(stores, tmp_path):
    d = tmp_path / "keys"
    done = stores.ctl("keys", "generate", "--dir", d)
    assert done.stdout.count("created ") == 3
    assert mode(d / "token.jwk") == 0o600
    assert mode(d / "chat_id.key") == 0o600
    assert mode(d / "jwks.json") == 0o644
    assert sorted(p.name for p in d.iterdir()) == [
        "chat_id.key", "jwks.json", "token.jwk"]

    key = (d / "chat_id.key").read_text()
    assert len(key) == 65 and int(key, 16) >= 0

    jwk = json.loads((d / "token.jwk").read_text())
    [public] = json.loads((d / "jwks.json").read_text())["keys"]
    assert jwk["kid"] == public["kid"] and jwk["x"] == public["x"]
    assert "d" in jwk and "d" not in public

    before = {p.name: p.read_bytes() for p in d.iterdir()}
    done = stores.ctl("keys", "generate", "--dir", d)
    assert done.stdout == ""
    assert before == {p.name: p.read_bytes() for p in d.iterdir()}


def test_rotate_keeps_the_old_public_keys(stores, tmp_path):
    d = tmp_path / "keys"
    stores.ctl("keys", "generate", "--dir", d)
    chat_id = (d / "chat_id.key").read_bytes()
    kids = [json.loads((d / "token.jwk").read_text())["kid"]]

    for _ in range(2):
        stores.ctl("keys", "generate", "--dir", d, "--rotate")
        kids.insert(0, json.loads((d / "token.jwk").read_text())["kid"])

    keys = json.loads((d / "jwks.json").read_text())["keys"]
    assert [k["kid"] for k in keys] == kids
    assert len(set(kids)) == 3
    assert not any("d" in k for k in keys)
    assert (d / "chat_id.key").read_bytes() == chat_id
    assert mode(d / "token.jwk") == 0o600


def test_missing_half_of_the_signing_keys_is_reported(stores, tmp_path):
    d = tmp_path / "keys"
    stores.ctl("keys", "generate", "--dir", d)
    (d / "jwks.json").unlink()
    done = stores.ctl("keys", "generate", "--dir", d, check=False)
    assert done.returncode == 1 and "jwks.json is missing" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_key_files_of_root_belong_to_the_directorys_owner(stores, tmp_path):
    d = tmp_path / "keys"
    d.mkdir()
    shutil.chown(d, "postgres", "postgres")
    stores.ctl("keys", "generate", "--dir", d)
    owner = os.stat(d).st_uid
    assert {os.stat(p).st_uid for p in d.iterdir()} == {owner}


# -------------------------------------------------------------------- dead

@pytest.fixture
def dead(emptied):
    r = emptied.redis()

    def add(n, e=b"not an event", stream="message.sent:{3}"):
        return [r.xadd("message.sent.dead", {
            "e": e, "stream": stream, "id": f"{i}-0", "error": "internal",
            "failures": 5, "at": 1767323045678}).decode() for i in range(n)]
    return add


def test_dead_list_and_show_print_everything_but_contents(emptied, dead):
    [one] = dead(1, e=b"content that nobody may see")
    out = emptied.ctl("dead", "list").stdout
    assert out == (f"{one} failures=5 error=internal "
                   "stream=message.sent:{3} type=unknown bytes=27\n")
    out = emptied.ctl("dead", "show", one).stdout
    assert "failures     5\n" in out and "cannot be decoded" in out
    assert "nobody" not in out


def test_dead_show_decodes_the_event(emptied, dead):
    [one] = dead(1, e=event("SEND", user=77, device=9, message_id="m-1",
                            content="nobody may see", body="nor this"))
    out = emptied.ctl("dead", "show", one).stdout
    assert "event        send\n" in out
    assert "user         77\n" in out
    assert "message id   m-1\n" in out
    assert "content      14 bytes\n" in out
    assert "nobody" not in out and "nor this" not in out
    assert "type=send" in emptied.ctl("dead", "list").stdout


def test_dead_retry_returns_the_event_to_its_stream(emptied, dead):
    one, two = dead(2, e=b"\0\1\xff bytes")
    done = emptied.ctl("dead", "retry", two)
    assert done.stdout == f"retried {two}\n"
    r = emptied.redis()
    assert [i.decode() for i, _ in r.xrange("message.sent.dead")] == [one]
    assert [f for _, f in r.xrange("message.sent:{3}")] == [
        {b"e": b"\0\1\xff bytes"}]


def test_dead_commands_with_all_handle_many_events(emptied, dead):
    dead(250)
    assert len(emptied.ctl("dead", "list").stdout.splitlines()) == 250
    emptied.ctl("dead", "retry", "--all")
    r = emptied.redis()
    assert r.xlen("message.sent.dead") == 0
    assert r.xlen("message.sent:{3}") == 250
    dead(120)
    assert emptied.ctl("dead", "drop", "--all").stdout.count("dropped") == 120
    assert r.xlen("message.sent.dead") == 0
    assert r.xlen("message.sent:{3}") == 250


def test_dead_drop_deletes_one(emptied, dead):
    one, two = dead(2)
    emptied.ctl("dead", "drop", one)
    assert [i.decode() for i, _ in
            emptied.redis().xrange("message.sent.dead")] == [two]


def test_dead_drop_of_an_unknown_id_is_reported(emptied, dead):
    dead(1)
    done = emptied.ctl("dead", "drop", "1-1", check=False)
    assert done.returncode == 1 and "no dead event 1-1" in done.stderr


def test_dead_retry_into_an_unknown_stream_is_refused(emptied, dead):
    [one] = dead(1, stream="users")
    done = emptied.ctl("dead", "retry", one, check=False)
    assert done.returncode == 1
    assert emptied.redis().xlen("message.sent.dead") == 1
    assert not emptied.redis().exists("users")


# ------------------------------------------------------------------ status

def test_status_shows_streams_owners_and_workers(emptied):
    r = emptied.redis()
    for _ in range(3):
        r.xadd("message.sent:{5}", {"e": "x"})
    r.zadd("workers:message", {"host.1.abc": 1767323045678})
    emptied.sql("INSERT INTO shard_owners VALUES (5, 42, 'host.1.abc')")

    lines = emptied.ctl("status").stdout.splitlines()
    assert lines[0].split() == ["shard", "waiting", "epoch", "owner"]
    assert lines[6].split() == ["5", "3", "42", "(host.1.abc)"]
    assert lines[7].split() == ["6", "0", "0", "(none)"]
    assert "shards owned 0 of 64" in lines
    assert "waiting 3" in lines
    assert any(line.startswith("worker host.1.abc last heartbeat ")
               for line in lines)


def test_status_shows_the_owner_while_its_lock_is_held(emptied):
    import psycopg2
    emptied.sql("INSERT INTO shard_owners VALUES (5, 42, 'host.1.abc')")
    db = psycopg2.connect(emptied.dsn)
    db.cursor().execute("SELECT pg_advisory_lock(%s, 5)", (0x43484154,))
    try:
        lines = emptied.ctl("status").stdout.splitlines()
    finally:
        db.close()
    assert lines[6].split()[3] == "host.1.abc"
    assert "shards owned 1 of 64" in lines


def test_status_reports_an_unavailable_redis(emptied):
    done = emptied.ctl("status", check=False,
                       CHAT_REDIS="unix:///nonexistent/redis.sock")
    assert done.returncode == 1 and "Redis cannot be read" in done.stderr
    assert "shard  waiting" in done.stdout


def test_programs_print_the_version_of_the_tree():
    for program in ("chat-worker", "chatctl"):
        out = subprocess.run([BUILD / program, "--version"], text=True,
                             env=clean_env(), stdout=subprocess.PIPE,
                             check=True).stdout
        assert out == f"{program} {(ROOT / 'VERSION').read_text()}"


# ------------------------------------------------------------ manual pages

@pytest.fixture(scope="module")
def man_pages():
    """The pages as `make man` builds them from --help."""
    env = {k: v for k, v in clean_env().items()
           if not k.startswith(("MAKE", "MFLAGS"))}
    subprocess.run(["make", "-s", f"B={os.path.relpath(BUILD, ROOT)}",
                    "CHAT_TEST=1", *(["SAN=1"] if os.environ.get("CHAT_SAN")
                                     else []), "man"],
                   cwd=ROOT, env=env, check=True, timeout=600)
    return BUILD / "man"


@pytest.mark.parametrize("page", ["chatctl.1", "chat-worker.8"])
def test_manual_page_has_no_warnings(man_pages, page):
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning",
                           man_pages / page], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0 and not done.stdout, done.stdout


@pytest.mark.parametrize("page, words", [
    ("chatctl.1", ["chatctl migrate", "chatctl keys generate",
                   "chatctl dead list", "show ID", "retry ID", "drop ID",
                   "chatctl status", "--rotate", "--conf"]),
    ("chat-worker.8", ["pool", "message", "api", "sync", "presence",
                       "SIGHUP", "--conf"])])
def test_manual_page_names_every_command(man_pages, page, words):
    text = subprocess.run(["mandoc", "-T", "ascii", man_pages / page],
                          text=True, check=True,
                          stdout=subprocess.PIPE).stdout
    while "\b" in text:                # bold and underline by overstriking
        i = text.index("\b")
        text = text[:i - 1] + text[i + 1:]
    text = " ".join(text.split())
    assert not [word for word in words if word not in text], text
