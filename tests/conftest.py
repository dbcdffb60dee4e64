"""Fixtures for every test: one private stack per session, phones, numbers."""

import asyncio
import inspect
import itertools
import os
import random
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))

from chatclient import Api, Phone               # noqa: E402
from crossslot import SlotWatch                 # noqa: E402
from stack import SLOW, Stack                   # noqa: E402

TEST_LIMIT = 300        # s, for one async test

# a location with a directive that only the test build has
ECHO = """
location = /echo {
    chat_websocket_echo 16m;
    chat_heartbeat 3600s;
}
"""


@pytest.fixture(scope="session")
def stack():
    s = Stack(nginx={"server": ECHO})
    watch = None
    try:
        s.up()
        s.slots = watch = SlotWatch(s.redis_socket(), s.redis)
        yield s
    finally:
        crossed = watch.close() if watch else []
        found = s.remove()
    assert not found, found
    assert not crossed, crossed     # a Redis Cluster would refuse these


@pytest.fixture(autouse=True)
def _heal_stack(request):
    """Repairs what a test has broken before the next test begins."""
    yield
    if "stack" in request.fixturenames:
        s = request.getfixturevalue("stack")
        if not s.ready():
            s.heal()


_numbers = itertools.count(random.randrange(10**6) * 1000)


@pytest.fixture
def number():
    """A function that returns phone numbers no user has yet."""
    return lambda: f"+1555{next(_numbers):011d}"


@pytest.fixture
def api(stack):
    return Api(stack.url)


@pytest.fixture
def phone(stack, number):
    """A function that makes a device, by default of a new user and logged in.
    A device that has recorded a violation of the contract fails the test at
    its end."""
    made = []

    def make(name="phone", of=None, login=True):
        p = of.sibling(name) if of else Phone(stack.url, number(), name)
        made.append(p)
        return p.login() if login else p

    make.made = made
    yield make
    broken = [v for p in made for v in p.violations]
    assert not broken, broken[:20]


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """Runs each `async def test_...` in its own event loop."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    given = {n: pyfuncitem.funcargs[n] for n in names}

    async def body():
        try:
            await asyncio.wait_for(pyfuncitem.obj(**given),
                                   TEST_LIMIT * SLOW)
        finally:
            for p in getattr(pyfuncitem.funcargs.get("phone"), "made", []):
                await p.close()

    asyncio.run(body())
    return True
