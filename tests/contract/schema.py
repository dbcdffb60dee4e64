"""Checks frames and responses of the running server against the documents.

    validate_frame(frame)                   a frame from the server
    validate_frame(frame, sender="client")  a frame from a client
    validate_response(method, path, status, headers, body)
    validate_problem(status, headers, body)

Each function returns the parsed value, or raises ContractError, whose text
names the differences from docs/openapi.yaml or docs/asyncapi.yaml. A field
that the document does not name is also a difference: clients must ignore such
a field, but our server must not send one. Used by the tests of flow, edge and
workers.

    python3 tests/contract/schema.py FILE   writes the frames' schemas as JSON
"""

import functools
import json
import pathlib
import re
import sys
import urllib.parse

import jsonschema
import yaml

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"

METHODS = ("get", "put", "post", "delete", "patch", "head", "options")


class ContractError(AssertionError):
    """The server's behaviour differs from the documents."""


# --------------------------------------------------------------- documents

class _Loader(yaml.CSafeLoader):
    """Loads a timestamp as a string, as YAML 1.2 does."""


_Loader.yaml_implicit_resolvers = {
    key: [(tag, regexp) for tag, regexp in resolvers
          if tag != "tag:yaml.org,2002:timestamp"]
    for key, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()}


@functools.lru_cache(maxsize=None)
def document(name):
    """The parsed document; name is "openapi" or "asyncapi"."""
    with open(DOCS / f"{name}.yaml", encoding="utf-8") as f:
        return yaml.load(f, Loader=_Loader)


def resolve(doc, node):
    """Follows references of the form #/a/b; returns the first node that is
    not a reference."""
    while isinstance(node, dict) and "$ref" in node:
        target = doc
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part.replace("~1", "/").replace("~0", "~")]
        node = target
    return node


_format_checker = jsonschema.FormatChecker(formats=["uuid", "date"])


@_format_checker.checks("date-time")
def _is_date_time(value):
    import datetime
    if not isinstance(value, str):
        return True
    try:
        datetime.datetime.fromisoformat(value.replace("Z", "+00:00"))
    except ValueError:
        return False
    return True


def errors(doc, schema, value):
    """Every difference between value and schema, as a list of texts."""
    kind = (jsonschema.Draft202012Validator if "openapi" in doc
            else jsonschema.Draft7Validator)
    validator = kind(schema, resolver=jsonschema.RefResolver("", doc),
                     format_checker=_format_checker)
    found = [f"{error.json_path}: {error.message}"
             for error in validator.iter_errors(value)]
    return found + [f"{path}: is not in the document"
                    for path in undocumented(doc, schema, value)]


def undocumented(doc, schema, value, path="$"):
    """Fields of value that no branch of the schema names."""
    branches = list(_branches(doc, schema))
    if isinstance(value, list):
        items = [b["items"] for b in branches if "items" in b]
        for i, item in enumerate(value):
            if items:
                yield from undocumented(doc, {"allOf": items}, item,
                                        f"{path}[{i}]")
        return
    if not isinstance(value, dict):
        return
    named = {}
    for branch in branches:
        for name, sub in branch.get("properties", {}).items():
            named.setdefault(name, []).append(sub)
    if not named:
        return              # the schema does not restrict the fields
    for name, item in value.items():
        if name not in named:
            yield f"{path}.{name}"
        else:
            yield from undocumented(doc, {"allOf": named[name]}, item,
                                    f"{path}.{name}")


def _branches(doc, schema):
    schema = resolve(doc, schema)
    if not isinstance(schema, dict):
        return
    yield schema
    for word in ("allOf", "anyOf", "oneOf"):
        for sub in schema.get(word, []):
            yield from _branches(doc, sub)
    for word in ("then", "else"):
        if word in schema:
            yield from _branches(doc, schema[word])


# ------------------------------------------------------------------ frames

@functools.lru_cache(maxsize=None)
def frame_schemas():
    """{"client": {type: schema}, "server": {type: schema}}."""
    doc = document("asyncapi")
    found = {"client": {}, "server": {}}
    for operation in doc["operations"].values():
        sender = "client" if operation["action"] == "receive" else "server"
        for ref in operation["messages"]:
            message = resolve(doc, ref)
            found[sender][message["name"]] = message["payload"]
    return found


def validate_frame(frame, sender="server"):
    """frame: the JSON text or the parsed value."""
    if isinstance(frame, (str, bytes)):
        try:
            frame = json.loads(frame)
        except ValueError as error:
            raise ContractError(f"the frame is not JSON: {error}") from None
    if not isinstance(frame, dict) or not isinstance(frame.get("type"), str):
        raise ContractError(f"the frame has no type: {frame!r}")
    schema = frame_schemas()[sender].get(frame["type"])
    if schema is None:
        raise ContractError(f"asyncapi.yaml has no {sender} frame "
                            f"{frame['type']!r}")
    found = errors(document("asyncapi"), schema, frame)
    if found:
        raise ContractError(f"{frame['type']} differs from asyncapi.yaml: "
                            f"{'; '.join(found)}\n{json.dumps(frame)[:2000]}")
    return frame


# --------------------------------------------------------------- responses

@functools.lru_cache(maxsize=None)
def _routes():
    routes = []
    for template, item in document("openapi")["paths"].items():
        pattern = re.compile(re.sub(r"\\\{.*?\\\}", "[^/]*",
                                    re.escape(template)) + r"\Z")
        routes.append((template.count("{"), pattern, template, item))
    return sorted(routes, key=lambda route: route[0])   # literal paths first


def find_route(path):
    """The (template, path item) of a path, or (None, None)."""
    path = urllib.parse.urlsplit(path).path
    for _, pattern, template, item in _routes():
        if pattern.match(path):
            return template, item
    return None, None


def validate_response(method, path, status, headers, body=b""):
    """body: bytes or text. Returns the parsed body, or None if it is empty."""
    doc = document("openapi")
    template, item = find_route(path)
    if item is None:
        return _must_be(404, status, headers, body, f"{method} {path}")
    operation = item.get(method.lower())
    if operation is None:
        if method.upper() in ("HEAD", "OPTIONS"):
            return None
        return _must_be(405, status, headers, body, f"{method} {template}")
    where = f"{method.upper()} {template} {status}"
    response = resolve(doc, operation["responses"].get(str(status)))
    if response is None:
        raise ContractError(f"{where} is not in openapi.yaml: "
                            f"{_shown(body)}")
    return _check(where, response, headers, body)


def validate_problem(status, headers, body):
    """Checks a problem+json of any path, also of one that openapi.yaml does
    not have (/ws)."""
    return _check(f"problem {status}",
                  {"content": {"application/problem+json": {"schema": {
                      "allOf": [{"$ref": "#/components/schemas/Problem"},
                                {"properties": {
                                    "status": {"const": status}}}]}}}},
                  headers, body)


def _must_be(expected, status, headers, body, what):
    if status == 401:       # the server checks the token before the route
        return validate_problem(status, headers, body)
    if status != expected:
        raise ContractError(f"{what}: {status} where {expected} is expected")
    name = {404: "NotFound", 405: "MethodNotAllowed"}[expected]
    return _check(f"{what} {status}",
                  document("openapi")["components"]["responses"][name],
                  headers, body)


def _check(where, response, headers, body):
    doc = document("openapi")
    headers = {name.lower(): value for name, value in dict(headers).items()}

    for name, header in response.get("headers", {}).items():
        header = resolve(doc, header)
        value = headers.get(name.lower())
        if value is None:
            if header.get("required"):
                raise ContractError(f"{where}: no header {name}")
            continue
        if header["schema"].get("type") == "integer":
            value = int(value) if value.isdigit() else value
        for error in errors(doc, header["schema"], value):
            raise ContractError(f"{where}: {name}: {error}")

    content = response.get("content")
    if not content:
        if body:
            raise ContractError(f"{where}: a body where none is expected: "
                                f"{_shown(body)}")
        return None

    given = headers.get("content-type", "").split(";")[0].strip().lower()
    if given not in content:
        raise ContractError(f"{where}: Content-Type is {given!r}: "
                            f"{_shown(body)}")
    try:
        value = json.loads(body)
    except ValueError as error:
        raise ContractError(f"{where}: not JSON: {error}: {_shown(body)}"
                            ) from None
    found = errors(doc, content[given]["schema"], value)
    retry = headers.get("retry-after")
    if (given == "application/problem+json" and isinstance(value, dict)
            and "retryAfter" in value and str(value["retryAfter"]) != retry):
        found.append(f"retryAfter and the header Retry-After ({retry}) differ")
    if (given == "application/problem+json" and isinstance(value, dict)
            and value.get("type") != f"urn:chat:problem:{value.get('code')}"):
        found.append("type and code differ")
    if found:
        raise ContractError(f"{where}: {'; '.join(found)}: {_shown(body)}")
    return value


def _shown(body):
    return repr(body[:2000] if isinstance(body, (str, bytes)) else body)


# ------------------------------------------------------------------ export

def export():
    """The schemas of the frames as one JSON Schema per sender, without
    references to the document, for checkers in other languages."""
    doc = document("asyncapi")
    text = json.dumps({
        sender: {"$schema": "http://json-schema.org/draft-07/schema#",
                 "oneOf": [schema for _, schema in sorted(schemas.items())],
                 "definitions": doc["components"]["schemas"]}
        for sender, schemas in frame_schemas().items()}, indent=1)
    return text.replace('"#/components/schemas/', '"#/definitions/')


if __name__ == "__main__":
    pathlib.Path(sys.argv[1]).write_text(export() + "\n", encoding="utf-8")
