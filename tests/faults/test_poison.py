"""An event that fails five times becomes a dead letter with its error, and
other events are processed; chatctl shows, requeues and drops it."""

import asyncio
import subprocess

import psycopg2
import psycopg2.errors
import pytest

import checker
from load import Swarm
from stack import SLOW

DEAD = "message.sent.dead"


@pytest.fixture
def poisoned(stack):
    """Makes PostgreSQL refuse entries whose content begins with `poison`.
    Yields a function that removes the cause."""
    root = psycopg2.connect(stack.dsn().replace("user=chat",
                                                "user=postgres"))
    root.autocommit = True
    cur = root.cursor()
    cur.execute("""
        CREATE FUNCTION refuse_poison() RETURNS trigger AS $$
        BEGIN
            IF NEW.content LIKE 'poison%' THEN
                RAISE EXCEPTION 'poison' USING ERRCODE = 'P0001';
            END IF;
            RETURN NEW;
        END $$ LANGUAGE plpgsql""")
    cur.execute("CREATE TRIGGER refuse_poison BEFORE INSERT ON entries"
                " FOR EACH ROW EXECUTE FUNCTION refuse_poison()")

    def remove_trigger():
        # locks all partitions, and so may deadlock with a worker's insert
        for _ in range(20):
            try:
                cur.execute("DROP TRIGGER IF EXISTS refuse_poison ON entries")
                break
            except psycopg2.errors.DeadlockDetected:
                continue
        cur.execute("DROP FUNCTION IF EXISTS refuse_poison()")

    stack.redis().delete(DEAD)
    yield remove_trigger
    remove_trigger()
    root.close()
    stack.redis().delete(DEAD)


def chatctl(stack, *argv):
    done = subprocess.run(
        [stack.home / "bin" / "chatctl", "-c", stack.home / "workers.conf",
         *argv], text=True, capture_output=True, timeout=20)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def send_poison(swarm):
    """Sends three messages that no worker can store: [(client, send)]. They
    are answered with an error; the clients do not send them again."""
    bad = [(c, c.send(c.chats[0], f"poison of {c.device}"))
           for c in swarm.clients[:3]]
    await swarm.until(lambda: swarm.errors["internal"] >= 3, 20 * SLOW,
                      "errors")
    for c, sent in bad:
        del c.pending[sent.chat, sent.id]
        swarm.record.add(checker.Refused(sent.at, c.device, None,
                                         sent.chat, sent.id, "internal"))
    return bad


def dead_ids(stack, dead):
    """Returns the ids that chatctl lists; chatctl shows no content."""
    ids = [line.split()[0] for line in
           chatctl(stack, "dead", "list").splitlines() if "P0001" in line]
    assert ids == [i.decode() for i, _ in dead]
    shown = chatctl(stack, "dead", "show", ids[0])
    assert "P0001" in shown and "poison of" not in shown
    return ids


async def test_failing_event_becomes_a_dead_letter(stack, poisoned):
    swarm = Swarm(stack)
    await asyncio.to_thread(swarm.groups, 20, 5)
    await swarm.start(20 * SLOW)
    try:
        swarm.rate = 100
        await swarm.until(lambda: swarm.latency, 20 * SLOW, "a message")
        bad = await send_poison(swarm)
        dead = stack.redis().xrange(DEAD)
        assert [(f[b"error"], f[b"failures"]) for _, f in dead] \
            == [(b"P0001", b"5")] * 3
        n = len(swarm.latency)
        await swarm.until(lambda: len(swarm.latency) > n, 20 * SLOW,
                          "a message after the failing events")

        ids = dead_ids(stack, dead)
        dropped = next(s.content for _, s in bad
                       if s.content.encode() in dead[0][1][b"e"])

        # A dropped event is deleted. An event that is requeued while its
        # cause remains becomes a dead letter again.
        chatctl(stack, "dead", "drop", ids[0])
        chatctl(stack, "dead", "retry", ids[1])
        await swarm.until(
            lambda: stack.redis().xlen(DEAD) == 2
            and ids[1].encode() not in
            [i for i, _ in stack.redis().xrange(DEAD)],
            20 * SLOW, "the requeued event as a dead letter")

        # without the cause the events are stored and delivered
        await asyncio.to_thread(poisoned)
        chatctl(stack, "dead", "retry", "--all")
        await swarm.until(lambda: stack.redis().xlen(DEAD) == 0, 5,
                          "an empty stream of dead letters")
        await swarm.settle(30 * SLOW)
    finally:
        await swarm.stop()
    verdict = checker.check(swarm.record)
    assert verdict.clean, str(verdict)
    stored = [row[4] for row in swarm.record.truth
              if row[4].startswith("poison")]
    assert sorted(stored) == sorted(s.content for _, s in bad
                                    if s.content != dropped)
