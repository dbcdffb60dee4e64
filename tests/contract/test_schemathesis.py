"""The REST interface, checked by a third-party tool: schemathesis makes valid
and invalid requests from docs/openapi.yaml and compares every response with
the document.

The run is short, with a fixed seed and few examples: its purpose is to find
undocumented responses, not crashes.
"""

import json
import os
import subprocess
import time
import xml.etree.ElementTree

import pytest
import requests

import tools
from chatclient import Phone
from stack import SLOW, Stack


@pytest.fixture(scope="module")
def stack():
    s = Stack().up()
    yield s
    assert s.remove() == ""


def run_schemathesis(stack, phone, out, *options, parameters=None):
    """Runs schemathesis; returns the names of the tested operations."""
    config = (tools.HERE / "schemathesis.toml").read_text()
    if parameters:
        lines = [f'"path.{name}" = {json.dumps(value)}'
                 for name, value in parameters.items()]
        config = "\n".join(["[parameters]", *lines, config])
    (out / "schemathesis.toml").write_text(config)

    start = time.monotonic()
    done = subprocess.run(
        [tools.python_bin("st"), "--config-file",
         str(out / "schemathesis.toml"), "run", *options, "--seed", "1",
         "--no-color", "--report", "junit", "--report-junit-path",
         str(out / "junit.xml"), "--url", stack.url,
         "-H", f"Authorization: Bearer {phone.access}",
         str(tools.ROOT / "docs" / "openapi.yaml")],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8",
        cwd=out, timeout=300 * SLOW, env=dict(os.environ, COLUMNS="100"))
    seconds = time.monotonic() - start
    assert done.returncode == 0, done.stdout[-20000:]
    assert seconds < 60 * SLOW, f"{seconds:.0f} s"
    root = xml.etree.ElementTree.parse(out / "junit.xml").getroot()
    return {case.get("name") for case in root.iter("testcase")
            if case.find("skipped") is None}


def exclude(*operations):
    return [word for name in operations
            for word in ("--exclude-operation-id", name)]


def only(*operations):
    return [word for name in operations
            for word in ("--include-operation-id", name)]


def alive(stack, phone):
    """Checks that the requests have ended neither the session nor the
    server."""
    assert phone.call("GET", "/users/me")["userId"] == phone.user
    assert requests.get(stack.url + "/readyz", timeout=5).status_code == 200
    for log in ("workers.log", "nginx-error.log"):
        for word in ("[alert]", "[emerg]", "aborted", "signal 11"):
            assert word not in stack.log(log), log


def test_every_route_answers_as_documented(stack, tmp_path):
    """schemathesis makes up the ids, and most of them do not exist."""
    phone = Phone(stack.url, "+15550177001", "contract").login()
    # the excluded operations end the session that the others need
    tested = run_schemathesis(
        stack, phone, tmp_path,
        *exclude("logout", "eraseMe", "revokeDevice"))
    assert len([name for name in tested if "/api/v1/" in name]) >= 22, tested
    alive(stack, phone)


def test_routes_of_a_chat_answer_a_member_as_documented(stack, tmp_path):
    """The requests use an existing chat, member and entry."""
    phone = Phone(stack.url, "+15550177011", "contract").login()
    other = Phone(stack.url, "+15550177012", "other").login()
    chat = phone.call("POST", "/chats", {"type": "group", "title": "t",
                                         "memberIds": [other.user]})["chatId"]
    for i in range(3):
        phone.call("POST", f"/chats/{chat}/messages",
                   {"messageId": f"m-{i}", "content": "x"})
    tested = run_schemathesis(
        stack, phone, tmp_path,
        *only("getChat", "changeChat", "listMembers", "addMembers",
              "changeMember", "listMessages", "sendMessage",
              "listReceipts", "getUser"),
        parameters={"chatId": chat, "userId": other.user, "seq": 1})
    assert len(tested) >= 9, tested
    alive(stack, phone)
    assert phone.call("GET", f"/chats/{chat}")["lastSeq"] > 3, \
        "the requests have written nothing to the chat"

    for operation, user in (("removeMember", other), ("leaveChat", phone)):
        out = tmp_path / operation
        out.mkdir()
        run_schemathesis(stack, phone, out, *only(operation),
                         parameters={"chatId": chat, "userId": user.user})
    alive(stack, phone)


@pytest.mark.parametrize("operation", ["revokeDevice", "logout", "eraseMe"])
def test_routes_that_end_a_session_answer_as_documented(stack, tmp_path,
                                                        operation):
    number = 20 + len(operation)
    phone = Phone(stack.url, f"+155501770{number}", "contract").login()
    sibling = phone.sibling("other").login()
    run_schemathesis(stack, phone, tmp_path, *only(operation),
                     parameters=({"deviceId": sibling.device}
                                 if operation == "revokeDevice" else None))
    refused = sibling.api.raw("GET", "/users/me", sibling.access)
    assert refused.status_code == (200 if operation == "logout" else 401)
