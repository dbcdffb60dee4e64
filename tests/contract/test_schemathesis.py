"""The REST interface as documented, by a tool that is not ours: schemathesis
makes requests from docs/openapi.yaml, right ones and wrong ones, and compares
every answer with it.

Bounded: a fixed seed and few examples, for what it finds here are answers
that the document does not know, not crashes.
"""

import os
import pathlib
import subprocess
import time
import xml.etree.ElementTree

import pytest
import requests

import tools
from chatclient import Phone
from stack import SLOW, Stack

ROUTES = 20         # fewer means that it looked at another document


@pytest.fixture(scope="module")
def stack():
    s = Stack().up()
    yield s
    assert s.remove() == ""


def st(url, out, *options):
    start = time.monotonic()
    done = subprocess.run(
        [tools.python_bin("st"), "--config-file",
         str(tools.HERE / "schemathesis.toml"), "run", *options,
         "--seed", "1", "--no-color", "--report", "junit",
         "--report-junit-path", str(out / "junit.xml"),
         "--url", url, str(tools.ROOT / "docs" / "openapi.yaml")],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8",
        cwd=out, timeout=300 * SLOW,
        env=dict(os.environ, COLUMNS="200"))
    return done, time.monotonic() - start


def test_the_server_answers_as_documented(stack, tmp_path):
    phone = Phone(stack.url, "+15550177001", "contract").login()
    other = Phone(stack.url, "+15550177002", "other").login()
    group = phone.call("POST", "/chats", {"type": "group", "title": "t",
                                          "memberIds": [other.user]})
    phone.call("POST", f"/chats/{group['chatId']}/messages",
               {"messageId": "m-1", "content": "x"})

    done, seconds = st(
        stack.url, tmp_path, "-H", f"Authorization: Bearer {phone.access}",
        # these end the session that the others need
        "--exclude-operation-id", "logout",
        "--exclude-operation-id", "eraseMe",
        "--exclude-operation-id", "revokeDevice")
    assert done.returncode == 0, done.stdout[-20000:]
    cases = xml.etree.ElementTree.parse(tmp_path / "junit.xml").getroot()
    names = {case.get("name") for case in cases.iter("testcase")}
    assert len([n for n in names if n and "/api/v1" in n]) >= ROUTES, names
    assert seconds < 60 * SLOW, f"{seconds:.0f} s"

    # what it did has ended neither the session nor the server
    assert phone.call("GET", "/users/me")["userId"] == phone.user
    assert requests.get(stack.url + "/readyz", timeout=5).status_code == 200


def test_what_ends_a_session_answers_as_documented(stack, tmp_path):
    for i, operation in enumerate(("revokeDevice", "logout", "eraseMe")):
        phone = Phone(stack.url, f"+1555017701{i}", "contract").login()
        out = tmp_path / operation
        pathlib.Path.mkdir(out)
        done, _ = st(stack.url, out, "-H",
                     f"Authorization: Bearer {phone.access}",
                     "--include-operation-id", operation)
        assert done.returncode == 0, done.stdout[-20000:]
