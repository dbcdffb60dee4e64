"""nginx -t refuses an invalid value, and the error message gives the valid
values and the line."""

import re
import subprocess

import pytest

from edge import Edge, NGINX, environment


class Conf:
    """A configuration whose parts a test replaces; check() is `nginx -t`."""

    def __init__(self, edge):
        self.edge = edge
        keys = edge.keys
        self.http = {
            "chat_redis": f"chat_redis unix://{edge.redis_socket};",
            "chat_token_keys": f"chat_token_keys {keys.jwks};",
            "chat_id_key": f"chat_id_key {keys.id_key};",
        }
        self.server = []
        self.location = ["chat_websocket;"]
        self.main = []

    def check(self):
        conf = self.edge.home / "wrong.conf"
        conf.write_text("\n".join([
            f"load_module {self.edge.module};",
            f"pid {self.edge.home}/wrong.pid;",
            "error_log stderr info;", *self.main,
            "events { }", "http {", "access_log off;",
            *(f"{kind}_temp_path {self.edge.home}/{kind};" for kind in
              ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")),
            *filter(None, self.http.values()),
            "server {", "listen 127.0.0.1:1;", *self.server,
            "location /ws {", *self.location, "}", "}", "}"]))
        done = subprocess.run(
            [NGINX, "-t", "-p", str(self.edge.home), "-c", str(conf), "-e",
             "stderr"], stderr=subprocess.PIPE, encoding="utf-8",
            env=environment(self.edge.build), timeout=60)
        assert "AddressSanitizer" not in done.stderr, done.stderr
        return done.returncode, done.stderr


@pytest.fixture(scope="module")
def stopped_edge():
    """An edge that is not started; the tests use its files."""
    edge = Edge()
    yield edge
    edge.close()


@pytest.fixture
def conf(stopped_edge):
    return Conf(stopped_edge)


def expect_refused(conf, message):
    code, text = conf.check()
    assert code != 0, f"accepted: {text}"
    assert re.search(r"\[emerg\]", text), text
    assert re.search(message, text), text


def expect_accepted(conf):
    code, text = conf.check()
    assert code == 0, text


LOCATION = r".* in /\S+wrong\.conf:\d+"


def test_the_unchanged_configuration_is_accepted(conf):
    expect_accepted(conf)


# ---------------------------------------------------------------- required

@pytest.mark.parametrize("name", ["chat_redis", "chat_token_keys",
                                  "chat_id_key"])
@pytest.mark.parametrize("directive", ["chat_websocket;", "chat_auth on;",
                                       "chat_status ready;"])
def test_a_missing_required_directive_is_refused(conf, name, directive):
    conf.location = [directive]
    conf.http[name] = ""
    expect_refused(conf, rf"{name} is missing")


def test_a_server_without_an_edge_requires_no_directive(conf):
    conf.location = ["return 204;"]
    conf.http = {}
    expect_accepted(conf)


def test_chat_redis_off_counts_as_missing(conf):
    conf.http["chat_redis"] = "chat_redis off;"
    expect_refused(conf, "chat_redis is missing")


# --------------------------------------------------------------- chat_redis

@pytest.mark.parametrize("value", [
    "unix:", "unix:relative", "unix:///" + "x" * 120, "unix:/p?x=1",
    "unix:/p?db=x", "unix:/p?db=-1", "redis://", "redis://user@host",
    "redis://h:0", "redis://h:65536", "redis://h:port", "redis://h/x",
    "127.0.0.1:99999", "127.0.0.1:", ":6379", "http://h", "a/b"])
def test_an_invalid_chat_redis_shows_the_valid_forms(conf, value):
    conf.http["chat_redis"] = f'chat_redis "{value}";'
    expect_refused(conf, rf"chat_redis wants .*redis://{LOCATION}")


@pytest.mark.parametrize("value", [
    "127.0.0.1", "127.0.0.1:6380", "localhost", "unix:/tmp/r.sock",
    "unix:///tmp/r.sock?db=3", "redis://127.0.0.1", "redis://h:6379/2",
    "redis://:secret@127.0.0.1", "redis://u:p@h:1/0"])
def test_every_documented_form_of_chat_redis_is_accepted(conf, value):
    conf.http["chat_redis"] = f'chat_redis "{value}";'
    code, text = conf.check()
    # the host name may not resolve here; the form is valid all the same
    assert code == 0 or "not found" in text, text


# --------------------------------------------------------------------- keys

def test_the_error_names_a_missing_key_file(conf):
    for name in ("chat_token_keys", "chat_id_key"):
        right = conf.http[name]
        conf.http[name] = f"{name} /nowhere/at/all;"
        expect_refused(conf, rf'"/nowhere/at/all".*chatctl.*{LOCATION}')
        conf.http[name] = right


@pytest.mark.parametrize("text", [
    "", "x", "{}", "[]", '{"keys":[]}', '{"keys":{}}',
    '{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB","kid":"r"}]}',
    '{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k","x":"short"}]}',
    '{"keys":[{"kty":"OKP","crv":"X25519","kid":"k","x":"%s"}]}' % ("A" * 43),
    "x" * 70000])
def test_an_invalid_key_set_is_refused_with_its_path(conf, stopped_edge, text):
    path = stopped_edge.home / "wrong.jwks"
    path.write_text(text)
    conf.http["chat_token_keys"] = f"chat_token_keys {path};"
    expect_refused(conf, rf"{path}.*{LOCATION}")


@pytest.mark.parametrize("text", [
    "", "x", "ab" * 31, "ab" * 33, "zz" * 32, " " + "ab" * 32,
    "ab" * 32 + "\n\n", "x" * 70000])
def test_an_invalid_id_key_is_refused_with_its_path(conf, stopped_edge, text):
    path = stopped_edge.home / "wrong.key"
    path.write_text(text)
    conf.http["chat_id_key"] = f"chat_id_key {path};"
    expect_refused(conf, rf"{path}.*{LOCATION}")


def test_an_id_key_may_end_without_a_newline(conf, stopped_edge):
    path = stopped_edge.home / "right.key"
    path.write_text("Ab" * 32)
    conf.http["chat_id_key"] = f"chat_id_key {path};"
    expect_accepted(conf)


def test_the_content_of_a_key_is_not_printed(conf, stopped_edge):
    path = stopped_edge.home / "wrong.key"
    path.write_text("deadbeef" * 7)
    conf.http["chat_id_key"] = f"chat_id_key {path};"
    _, text = conf.check()
    assert "deadbeef" not in text


# -------------------------------------------------------- times, sizes, flags

@pytest.mark.parametrize("line,message", [
    ("chat_max_frame_size 1023;", "1024 and 65536"),
    ("chat_max_frame_size 65k;", "1024 and 65536"),
    ("chat_max_frame_size 0;", "1024 and 65536"),
    ("chat_max_frame_size -1;", "invalid value"),
    ("chat_max_frame_size x;", "invalid value"),
    ("chat_max_frame_size;", "invalid number of arguments"),
    ("chat_heartbeat 0;", "1000 and 3600000"),
    ("chat_heartbeat 999ms;", "1000 and 3600000"),
    ("chat_heartbeat 61m;", "1000 and 3600000"),
    ("chat_heartbeat soon;", "invalid value"),
    ("chat_send_buffer 100k;", "262144 and 67108864"),
    ("chat_send_buffer 65m;", "262144 and 67108864"),
    ("chat_send_buffer big;", "invalid value"),
    ("chat_auth maybe;", '"on" or "off"'),
    ("chat_auth;", "invalid number of arguments"),
    ("chat_enqueue maybe;", '"on" or "off"'),
    ("chat_enqueue on;", "needs .*chat_auth on"),
    ("chat_auth off; chat_enqueue on;", "needs .*chat_auth on"),
    ("chat_status good;", "health, ready or metrics"),
    ("chat_status;", "invalid number of arguments"),
    ("chat_websocket on;", "invalid number of arguments"),
    ("chat_allowed_origins chat.example;", "chat.example.*https://"),
    ("chat_allowed_origins https://;", "https://.*without a path"),
    ("chat_allowed_origins https://a.example/;", "without a path"),
    ("chat_allowed_origins *;", "any"),
    ("chat_allowed_origins;", "invalid number of arguments"),
    ("chat_heartbeat 30s; chat_heartbeat 30s;", "duplicate"),
    ("chat_allowed_origins any; chat_allowed_origins any;", "duplicate"),
    ("chat_redis 127.0.0.1;", "not allowed here"),
    ("chat_token_keys x;", "not allowed here"),
    ("chat_id_key x;", "not allowed here"),
    ("chat_drain 5s;", "not allowed here"),
    ("chat_linger 3ms;", "not allowed here"),
])
def test_the_error_in_a_location_gives_the_valid_values(conf, line, message):
    conf.location = line.replace("; ", ";\n").split("\n")
    expect_refused(conf, message)
    # an error of the parser names the file and the line
    if "needs" not in message:
        expect_refused(conf, LOCATION)


@pytest.mark.parametrize("line,message", [
    ("chat_drain 0;", "1000 and 3600000"),
    ("chat_drain 2h;", "1000 and 3600000"),
    ("chat_drain never;", "invalid value"),
    ("chat_drain 5s;\nchat_drain 5s;", "duplicate"),
    ("chat_linger 21ms;", "0 and 20"),
    ("chat_linger some;", "invalid value"),
    ("chat_stream_limit 99;", "100 and 100000000"),
    ("chat_stream_limit x;", "invalid number"),
    ("chat_redis 127.0.0.1;", "duplicate"),
    ("chat_websocket;", "not allowed here"),
    ("chat_status ready;", "not allowed here"),
])
def test_the_error_in_http_gives_the_valid_values(conf, line, message):
    conf.http["more"] = line
    expect_refused(conf, rf"{message}{LOCATION}")


@pytest.mark.parametrize("line", ["chat_websocket;", "chat_status ready;",
                                  "chat_redis 127.0.0.1;"])
def test_a_directive_in_the_wrong_block_is_refused(conf, line):
    conf.server = [line]
    expect_refused(conf, rf"not allowed here{LOCATION}")


@pytest.mark.parametrize("line", [
    "chat_max_frame_size 1k;", "chat_max_frame_size 64k;",
    "chat_heartbeat 1s;", "chat_heartbeat 1h;", "chat_send_buffer 256k;",
    "chat_send_buffer 64m;", "chat_allowed_origins any;",
    "chat_allowed_origins https://a.example http://b.example:8080;",
    "chat_auth on;", "chat_auth on;\nchat_enqueue on;",
    "chat_status metrics;"])
def test_the_limits_themselves_are_accepted(conf, line):
    conf.location = [line]
    expect_accepted(conf)


def test_values_are_accepted_in_http_and_server(conf):
    conf.http["more"] = ("chat_heartbeat 10s; chat_max_frame_size 8k; "
                         "chat_send_buffer 2m; chat_drain 5s; "
                         "chat_linger 0; "
                         "chat_stream_limit 100; chat_allowed_origins any;")
    conf.server = ["chat_heartbeat 20s;", "chat_auth on;"]
    expect_accepted(conf)
