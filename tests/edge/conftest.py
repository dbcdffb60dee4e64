"""One edge, shared by the tests that do not change its state."""

import sys
import pathlib

import pytest

HERE = pathlib.Path(__file__).resolve().parent
for path in (HERE, HERE.parent, HERE.parent / "contract",
             HERE.parent / "workers"):
    if str(path) not in sys.path:
        sys.path.insert(0, str(path))

from edge import Edge  # noqa: E402
from played import Played  # noqa: E402


@pytest.fixture(scope="module")
def edge():
    with Edge() as e:
        yield e


@pytest.fixture
def ws(edge):
    """A new connection; its welcome has been read."""
    with edge.connect() as socket:
        assert socket.message()["type"] == "welcome"
        yield socket


@pytest.fixture
def w(edge):
    return Played(edge)
