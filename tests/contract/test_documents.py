"""docs/openapi.yaml and docs/asyncapi.yaml are valid and agree with each other
and with common/chat_proto.h. The checkers are third-party tools; tools.py
installs them once."""

import json
import re
import subprocess

import jsonschema
import pytest

import schema
import tools

ROOT = tools.ROOT
OPENAPI = schema.document("openapi")
ASYNCAPI = schema.document("asyncapi")


# ---------------------------------------------------------------- validity

def test_openapi_is_valid():
    done = subprocess.run(
        [tools.node_bin("spectral"), "lint", "--quiet", "-r",
         str(tools.HERE / "spectral.yaml"), "--fail-severity", "warn",
         str(ROOT / "docs" / "openapi.yaml")],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8",
        cwd=tools.HERE)
    assert done.returncode == 0, done.stdout


def test_the_openapi_checker_finds_errors(tmp_path):
    text = (ROOT / "docs" / "openapi.yaml").read_text()
    broken = tmp_path / "openapi.yaml"
    for before, after in (
            ("'#/components/schemas/Chat'}", "'#/components/schemas/Chap'}"),
            ("operationId: listChats", "operationId: createChat"),
            ("example: Bearer", "example: 5"),
            ("in: query", "in: quarry")):
        assert before in text
        broken.write_text(text.replace(before, after, 1))
        done = subprocess.run(
            [tools.node_bin("spectral"), "lint", "--quiet", "-r",
             str(tools.HERE / "spectral.yaml"), "--fail-severity", "warn",
             str(broken)], stdout=subprocess.PIPE, cwd=tools.HERE)
        assert done.returncode != 0, f"{after} was accepted"


def check_asyncapi(path):
    return subprocess.run(
        ["node", str(tools.HERE / "check_asyncapi.mjs"), str(path)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8",
        cwd=tools.install_node())


def test_asyncapi_is_valid():
    done = check_asyncapi(ROOT / "docs" / "asyncapi.yaml")
    assert done.returncode == 0, done.stdout
    assert len(done.stdout.splitlines()) == sum(
        len(frames) for frames in schema.frame_schemas().values())


def test_the_asyncapi_checker_finds_errors(tmp_path):
    text = (ROOT / "docs" / "asyncapi.yaml").read_text()
    broken = tmp_path / "asyncapi.yaml"
    for before, after in (("action: receive", "action: listen"),
                          ("'#/components/schemas/Mark'}",
                           "'#/components/schemas/Marc'}"),
                          ("address: /ws", "address: 5")):
        assert before in text
        broken.write_text(text.replace(before, after, 1))
        assert check_asyncapi(broken).returncode != 0, after


def subschemas(node, path="#"):
    if isinstance(node, dict):
        for name, value in node.items():
            if name == "examples":
                continue
            if name in ("schema", "payload"):
                yield f"{path}/{name}", value
            yield from subschemas(value, f"{path}/{name}")
    elif isinstance(node, list):
        for i, value in enumerate(node):
            yield from subschemas(value, f"{path}/{i}")


@pytest.mark.parametrize("doc,kind", [
    (OPENAPI, jsonschema.Draft202012Validator),
    (ASYNCAPI, jsonschema.Draft7Validator)], ids=["openapi", "asyncapi"])
def test_every_schema_is_a_json_schema_and_its_references_resolve(doc, kind):
    found = list(subschemas(doc)) + [
        (f"#/components/schemas/{n}", s)
        for n, s in doc["components"]["schemas"].items()]
    assert len(found) > 30
    for path, one in found:
        try:
            kind.check_schema(one)
        except jsonschema.SchemaError as error:
            pytest.fail(f"{path}: {error.message}")
    for ref in re.findall(r'"\$ref": "([^"]+)"', json.dumps(doc)):
        assert schema.resolve(doc, {"$ref": ref}) is not None, ref


# ---------------------------------------------------------------- examples

def test_examples_of_frames_fit_their_schemas():
    seen = 0
    for sender, action in (("client", "receive"), ("server", "send")):
        for operation in ASYNCAPI["operations"].values():
            if operation["action"] != action:
                continue
            for ref in operation["messages"]:
                message = schema.resolve(ASYNCAPI, ref)
                for example in message["examples"]:
                    schema.validate_frame(example["payload"], sender)
                    seen += 1
    assert seen > 20


def test_examples_of_schemas_fit_their_schemas():
    for doc in (OPENAPI, ASYNCAPI):
        for name, one in doc["components"]["schemas"].items():
            for example in one.get("examples", []):
                assert not schema.errors(doc, one, example), name


def test_examples_of_bodies_fit_their_schemas():
    def content(node):
        if isinstance(node, dict):
            if "schema" in node and "examples" in node:
                yield node
            for value in node.values():
                yield from content(value)

    seen = 0
    for part in (OPENAPI["paths"], OPENAPI["components"]["responses"]):
        for media in content(part):
            for example in media["examples"].values():
                found = schema.errors(OPENAPI, media["schema"],
                                      example["value"])
                assert not found, found
                seen += 1
    assert seen >= 10


# --------------------------------------------------------------- agreement

def test_shared_schemas_are_the_same_in_both_documents():
    rest = OPENAPI["components"]["schemas"]
    frames = ASYNCAPI["components"]["schemas"]
    shared = set(rest) & set(frames) - {"ErrorCode"}
    assert {"Entry", "Kind", "Role", "MessageId", "Content", "ChatId", "Seq",
            "UserId", "DeviceId", "Time"} <= shared
    for name in shared:
        assert rest[name] == frames[name], name


PROTO = (ROOT / "common" / "chat_proto.h").read_text()


def proto_list(name):
    block = re.search(rf"#define {name}\(X\)(.*?)\n\n", PROTO, re.S).group(1)
    return re.findall(r'X\(\w+,\s*"(\w+)"(?:,\s*(\d+))?\)', block)


def proto(name):
    return int(re.search(rf"#define {name}\s+(\d+)", PROTO).group(1))


def test_kinds_match_the_server():
    assert (OPENAPI["components"]["schemas"]["Kind"]["enum"]
            == [word for word, _ in proto_list("CHAT_KINDS")])


def test_client_frames_match_the_server():
    assert (set(schema.frame_schemas()["client"])
            == {word for word, _ in proto_list("CHAT_CLIENT_FRAMES")})


def test_error_codes_match_the_server():
    words = {word for word, _ in proto_list("CHAT_ERRORS")}
    rest = set(OPENAPI["components"]["schemas"]["ErrorCode"]["enum"])
    frames = set(ASYNCAPI["components"]["schemas"]["ErrorCode"]["enum"])
    assert rest | frames == words
    assert words - rest == {"bad_frame", "unknown_type"}


def test_every_error_code_is_documented_with_its_status():
    """The status of each code in problem+json is that of
    common/chat_proto.h."""
    status = {word: int(number) for word, number in proto_list("CHAT_ERRORS")}
    seen = set()

    def visit(node):
        if isinstance(node, dict):
            props = node.get("properties", {})
            if "const" in props.get("status", {}) and "code" in props:
                code = props["code"]
                for word in code.get("enum", [code.get("const")]):
                    assert status[word] == props["status"]["const"], word
                    seen.add(word)
            for value in node.values():
                visit(value)
        elif isinstance(node, list):
            for value in node:
                visit(value)

    visit(OPENAPI["paths"])
    visit(OPENAPI["components"]["responses"])
    assert seen == set(OPENAPI["components"]["schemas"]["ErrorCode"]["enum"])


def test_close_codes_match_the_server():
    codes = {int(n) for n in re.findall(r"#define CHAT_CLOSE_\w+\s+(\d+)",
                                        PROTO)}
    assert codes == {row["code"]
                     for row in ASYNCAPI["channels"]["ws"]["x-close-codes"]}


def test_limits_match_the_server():
    rest = OPENAPI["components"]["schemas"]
    frames = ASYNCAPI["components"]["schemas"]
    assert rest["MessageId"]["maxLength"] == proto("CHAT_MESSAGE_ID_MAX")
    assert rest["Content"]["maxLength"] == proto("CHAT_CONTENT_MAX")
    assert rest["ContentType"]["maxLength"] == proto("CHAT_CONTENT_TYPE_MAX")
    assert rest["MediaId"]["maxLength"] == proto("CHAT_MEDIA_ID_MAX")
    assert rest["Title"]["maxLength"] == proto("CHAT_TITLE_MAX")
    assert rest["ExpiresIn"]["maximum"] == proto("CHAT_EXPIRES_MAX")
    assert frames["UserIds"]["maxItems"] == proto("CHAT_PRESENCE_MAX")
    key = OPENAPI["components"]["parameters"]["IdempotencyKey"]
    assert key["schema"]["maxLength"] == proto("CHAT_IDEMPOTENCY_KEY_MAX")


def test_every_route_documents_its_errors():
    for path, item in OPENAPI["paths"].items():
        for method, operation in item.items():
            if method not in schema.METHODS or not path.startswith("/api"):
                continue
            where = f"{method} {path}"
            answers = set(operation["responses"])
            assert {"500", "503"} <= answers, where
            if operation.get("security") != []:
                assert {"401", "403"} <= answers, where
            if "requestBody" in operation:
                assert {"400", "413", "415"} <= answers, where
            if "{chatId}" in path:
                assert "404" in answers, where


# --------------------------------------------------------------- schema.py

ENTRY = {"chatId": "0199a3c1-7b1e-7cc3-9d2f-6f0b8a51c2d4", "seq": 1,
         "kind": "message", "messageId": "m", "senderId": "1",
         "senderDeviceId": "2", "content": "x", "contentType": "text",
         "timestamp": "2026-01-02T03:04:05.678Z"}


def test_validate_frame_accepts_valid_and_refuses_invalid_frames():
    frame = {"type": "new_message", **ENTRY}
    schema.validate_frame(frame)
    schema.validate_frame(json.dumps(frame))
    schema.validate_frame({"type": "new_message", "chatId": ENTRY["chatId"],
                           "seq": 2, "kind": "hidden"})
    for wrong in (
            {**frame, "seq": 0}, {**frame, "seq": "1"},
            {**frame, "seq": 1.5}, {**frame, "kind": "massage"},
            {**frame, "senderId": 1}, {**frame, "extra": 1},
            {**frame, "timestamp": "2026-01-02T03:04:05Z"},
            {**frame, "timestamp": "2026-13-02T03:04:05.678Z"},
            {**frame, "kind": "hidden"}, {**frame, "deleted": True},
            {k: v for k, v in frame.items() if k != "content"},
            {k: v for k, v in frame.items() if k != "senderId"},
            {"type": "nothing"}, {"type": "ping"}, [], "x"):
        with pytest.raises(schema.ContractError):
            schema.validate_frame(wrong)


def test_validate_response_accepts_valid_and_refuses_invalid_ones():
    path = f"/api/v1/chats/{ENTRY['chatId']}/messages"
    json_type = {"Content-Type": "application/json"}
    page = json.dumps({"items": [ENTRY], "complete": True})
    schema.validate_response("GET", path + "?limit=1", 200, json_type, page)
    schema.validate_response("POST", path, 201, json_type, json.dumps(ENTRY))
    problem = {"type": "urn:chat:problem:unavailable", "title": "x",
               "status": 503, "code": "unavailable", "retryAfter": 2}
    headers = {"Content-Type": "application/problem+json", "Retry-After": "2"}
    schema.validate_response("GET", path, 503, headers, json.dumps(problem))
    missing = {**problem, "type": "urn:chat:problem:not_found", "status": 404,
               "code": "not_found"}
    del missing["retryAfter"]
    schema.validate_response("GET", "/api/v1/nothing", 404, headers,
                             json.dumps(missing))
    for args in (
            ("GET", path, 201, json_type, page),
            ("GET", path, 200, {"Content-Type": "text/html"}, page),
            ("GET", path, 200, json_type, "{"),
            ("GET", path, 200, json_type, json.dumps({"items": []})),
            ("GET", path, 200, json_type, json.dumps(
                {"items": [], "complete": True, "more": 1})),
            ("GET", path, 503, {**headers, "Retry-After": "3"},
             json.dumps(problem)),
            ("GET", path, 503, {"Content-Type": "application/problem+json"},
             json.dumps(problem)),
            ("GET", path, 404, headers, json.dumps(
                {**missing, "code": "gone"})),
            ("GET", path, 404, headers, json.dumps(
                {**missing, "type": "about:blank"})),
            ("GET", path, 418, json_type, "{}"),
            ("POST", "/api/v1/auth/logout", 204, {}, "x"),
            ("GET", "/api/v1/nothing", 200, json_type, "{}")):
        with pytest.raises(schema.ContractError):
            schema.validate_response(*args)


def test_exported_schemas_have_no_outside_references(tmp_path):
    file = tmp_path / "frames.json"
    file.write_text(schema.export())
    frames = json.loads(file.read_text())
    assert "#/components" not in file.read_text()
    server = jsonschema.Draft7Validator(frames["server"])
    assert server.is_valid({"type": "new_message", **ENTRY})
    assert not server.is_valid({"type": "new_message"})
    assert not server.is_valid({"type": "ping"})
    assert jsonschema.Draft7Validator(frames["client"]).is_valid(
        {"type": "ping"})
