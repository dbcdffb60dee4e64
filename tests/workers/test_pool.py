"""The pool: how it starts, restarts, replaces and ends processes."""

import os
import re
import shutil
import signal
import subprocess
import time

import pytest
from stack import alive, children, cmdline
from stores import BUILD, ROOT, clean_env, wait_for

# n_<role>: the number of processes of each role
ROLE_KEYS = re.findall(r"^(n_\w+) ", (ROOT / "conf/workers.conf").read_text(),
                       re.M)


@pytest.fixture
def pool(emptied, worker):
    """Returns a function that starts a pool of two sync workers from a copy of
    the program. Its result has .roles(): the pids of a role."""
    def start(program=None, **keys):
        keys = {**dict.fromkeys(ROLE_KEYS, 0), "n_sync": 2, **keys}
        conf = emptied.conf(**keys)
        if program is None:
            program = conf.parent / "chat-worker"
            shutil.copy(BUILD / "chat-worker", program)
        p = worker(conf, "pool", program=program)
        p.conf, p.program = conf, program
        p.run_dir = conf.parent / "run"
        p.roles = lambda role="sync": [
            c for c in children(p.pid)
            if cmdline(c) == ["chat-worker", role]]
        wait_for(lambda: len(p.roles()) == int(keys["n_sync"]), say="children")
        # and wait until they handle signals
        wait_for(lambda: emptied.redis().exists("session.sync:{15}"))
        time.sleep(0.2)
        return p
    return start


def replace_program(program, text=None):
    """Puts a new file under the old name, as a package manager does."""
    new = program.with_suffix(".new")
    if text is None:
        shutil.copy(BUILD / "chat-worker", new)
    else:
        new.write_text(text)
        new.chmod(0o755)
    os.replace(new, program)


def edit(conf, **keys):
    text = conf.read_text()
    for key, value in keys.items():
        text = re.sub(rf"^{key} .*\n", "", text, flags=re.M)
        text += f"{key} {value}\n"
    conf.write_text(text)


def test_process_titles_show_their_roles(pool):
    p = pool()
    assert cmdline(p.pid) == ["chat-worker", "pool"]
    assert len(p.roles()) == 2
    assert (p.run_dir / "chat-worker.pid").read_text() == f"{p.pid}\n"


def test_process_title_of_a_single_role_shows_the_role(emptied, worker):
    w = worker(emptied.conf(), "sync")
    wait_for(lambda: cmdline(w.pid) == ["chat-worker", "sync"])
    wait_for(lambda: emptied.redis().exists("session.sync:{15}"))
    assert w.stop() == 0


def test_dead_process_is_restarted_at_once(pool):
    p = pool()
    victim, other = p.roles()
    os.kill(victim, signal.SIGKILL)
    start = time.monotonic()
    wait_for(lambda: len(p.roles()) == 2 and victim not in p.roles(), 2)
    assert time.monotonic() - start < 1
    assert other in p.roles()
    assert re.search(r"died role=sync pid=%d signal=9" % victim, p.log())


def test_restart_delay_of_a_failing_process_grows(pool):
    p = pool(n_sync=1)
    replace_program(p.program, "#!/bin/sh\nexit 3\n")
    os.kill(p.roles()[0], signal.SIGKILL)

    def waits():
        return [int(w) for w in re.findall(r"restart_ms=(\d+)", p.log())]

    wait_for(lambda: len(waits()) >= 6, 20)
    for n, wait in enumerate(waits()):
        assert 50 <= wait <= min(10000, 100 * 2 ** n)
    assert "code=3" in p.log()

    replace_program(p.program)
    wait_for(lambda: len(p.roles()) == 1, 12)


def test_sigterm_ends_the_pool_and_its_processes(pool):
    p = pool()
    kids = p.roles()
    p.signal(signal.SIGTERM)
    assert p.process.wait(10) == 0
    assert not any(alive(k) for k in kids)
    assert not (p.run_dir / "chat-worker.pid").exists()
    assert p.log().count("ended role=sync") == 2
    assert "signal" not in p.log()


def test_process_that_does_not_end_is_killed_after_ten_seconds(pool):
    p = pool(n_sync=1)
    [kid] = p.roles()
    os.kill(kid, signal.SIGSTOP)
    start = time.monotonic()
    p.signal(signal.SIGTERM)
    assert p.process.wait(20) == 0
    assert 9 < time.monotonic() - start < 13
    assert not alive(kid)


def test_children_have_their_own_process_groups(pool):
    p = pool()
    groups = {os.getpgid(k) for k in p.roles()}
    assert os.getpgid(p.pid) not in groups and len(groups) == 2


def test_children_end_with_the_pool(pool):
    p = pool()
    kids = p.roles()
    os.kill(p.pid, signal.SIGKILL)
    wait_for(lambda: not any(alive(k) for k in kids), 5)
    # the remaining files do not prevent the next pool
    q = subprocess.Popen([BUILD / "chat-worker", "-c", p.conf, "pool"],
                         env=clean_env(), stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: len(children(q.pid)) == 2)
    finally:
        q.terminate()
        code = q.wait(15)
    assert code == 0


def test_second_pool_is_refused(pool):
    p = pool()
    done = subprocess.run([BUILD / "chat-worker", "-c", p.conf, "pool"],
                          env=clean_env(), text=True, timeout=10,
                          stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert f"a pool is running, pid={p.pid}" in done.stderr
    assert len(p.roles()) == 2
    assert (p.run_dir / "chat-worker.pid").exists()


def test_reload_replaces_every_process_with_the_new_program(pool):
    p = pool()
    old = p.roles()
    replace_program(p.program)
    inode = os.stat(p.program).st_ino
    p.signal(signal.SIGHUP)

    fewest = 99
    end = time.monotonic() + 10
    while any(k in p.roles() for k in old):
        fewest = min(fewest, len(p.roles()))
        assert time.monotonic() < end
        time.sleep(0.02)

    assert fewest >= 2                      # the new ones started first
    wait_for(lambda: len(p.roles()) == 2)
    assert {os.stat(f"/proc/{k}/exe").st_ino for k in p.roles()} == {inode}
    assert cmdline(p.pid) == ["chat-worker", "pool"]


def test_reload_applies_changed_process_counts(pool):
    p = pool()
    edit(p.conf, n_sync=3)
    p.signal(signal.SIGHUP)
    wait_for(lambda: len(p.roles()) == 5)
    wait_for(lambda: len(p.roles()) == 3)
    edit(p.conf, n_sync=0)
    p.signal(signal.SIGHUP)
    wait_for(lambda: p.roles() == [])
    assert alive(p.pid)


def test_reload_with_a_wrong_configuration_changes_nothing(pool):
    p = pool()
    old = p.roles()
    edit(p.conf, batch_max="lots")
    p.signal(signal.SIGHUP)
    wait_for(lambda: "new configuration refused, the old stays" in p.log())
    assert "batch_max must be a number from 1 to 1000" in p.log()
    time.sleep(0.5)
    assert p.roles() == old


def test_reload_with_a_broken_program_keeps_the_old_processes(pool):
    p = pool()
    old = p.roles()
    replace_program(p.program, "#!/bin/sh\nexit 1\n")
    p.signal(signal.SIGHUP)
    wait_for(lambda: p.log().count("died role=sync") >= 4)
    time.sleep(1.5)
    assert set(old) <= set(p.roles())

    replace_program(p.program)
    p.signal(signal.SIGHUP)
    wait_for(lambda: not set(old) & set(p.roles()) and len(p.roles()) == 2)


def test_reloads_during_a_reload_end_in_one_new_set(pool):
    p = pool()
    old = p.roles()
    for _ in range(3):
        p.signal(signal.SIGHUP)
        time.sleep(0.2)
    wait_for(lambda: len(p.roles()) == 2 and not set(old) & set(p.roles()))
    time.sleep(1.5)
    assert len(p.roles()) == 2


@pytest.mark.parametrize("line,why", [
    ("nonsense 1", ":5: unknown key \"nonsense\""),
    ("n_sync 100", ":5: n_sync must be a number from 0 to 64"),
    ("log_level loud", ":5: log_level must be one of: error warn info debug"),
])
def test_configuration_error_at_start_names_file_and_line(emptied, line, why):
    conf = emptied.conf()
    conf.write_text(conf.read_text() + line + "\n")
    done = subprocess.run([BUILD / "chat-worker", "-c", conf, "pool"],
                          env=clean_env(), text=True, timeout=10,
                          stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert f"{conf}{why}" in done.stderr


def test_wrong_usage_is_refused_with_code_2():
    def run(*argv):
        return subprocess.run([BUILD / "chat-worker", *argv], text=True,
                              env=clean_env(), timeout=10,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert run("--help").returncode == 0
    assert "pool" in run("--help").stdout
    assert run().returncode == 2
    assert run("nonsense").returncode == 2
    assert run("pool", "sync").returncode == 2
    assert run("-c", "/nonexistent", "sync").returncode == 1
