"""Fixtures for tests of worker processes, see stores.py.

`stores` is one PostgreSQL and one Redis for the whole run. `emptied` is the
same stores after all rows and keys are deleted. `edge` is an edge that the
test plays; it collects records. `worker` starts processes that end with the
test.
"""

import msg
import pytest
from stores import Stores, Worker


@pytest.fixture(scope="session")
def stores():
    s = Stores()
    try:
        yield s.start()
    finally:
        s.stop()


@pytest.fixture
def emptied(stores):
    stores.empty()
    return stores


@pytest.fixture
def edge(emptied):
    """An edge that the test plays, see msg.py."""
    e = msg.MessageEdge(emptied)
    yield e
    e.close()


@pytest.fixture
def worker():
    """Starts workers that end with the test."""
    started = []

    def start(conf, role, **kw):
        started.append(Worker(conf, role, **kw))
        return started[-1]

    yield start

    for w in reversed(started):
        w.stop()
