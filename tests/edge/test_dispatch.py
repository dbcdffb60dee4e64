"""A WebSocket message that is not a valid frame of ours gets an error frame
as documented, and the connection stays open."""

import json

import pytest

import schema
from wire import TEXT

CHAT = "0199a3c1-7b1e-7cc3-9d2f-6f0b8a51c2d4"
SEND = {"type": "send_message", "chatId": CHAT, "messageId": "m-1",
        "content": "x"}
RECEIPT = {"type": "delivered", "chatId": CHAT, "seq": 1}


def refused(ws, text, code):
    """The edge answers the frame with this error and nothing else."""
    ws.text(text)
    error = schema.validate_frame(ws.message())
    assert (error["type"], error["code"]) == ("error", code), error
    assert ws.alive()
    return error


# --------------------------------------------------------------- bad_frame

@pytest.mark.parametrize("text", [
    " ", "x", "{", "}", "[]", "null", "true", "1", '"ping"', "{}", "[{}]",
    '{"type"}', '{"type":}', '{"type":"ping"', '{"type":"ping"}}',
    '{"type":"ping"} x', '{"type":"ping",}', "{'type':'ping'}",
    '{"type":5}', '{"type":null}', '{"type":["ping"]}', '{"type":{}}',
    '{"Type":"ping"}', '\ufeff{"type":"ping"}', '{"type":"ping"}\0',
    '{"type":"pi\nng"}', '{"type":"ping","x":NaN}', '{"type":"ping","x":01}',
    '{"type":"ping","x":"\\x41"}', '{"type":"ping"}{"type":"ping"}',
])
def test_anything_but_an_object_with_a_type_is_bad_frame(ws, text):
    refused(ws, text, "bad_frame")


@pytest.mark.parametrize("text", [
    '{"type":"ping","type":"ping"}', '{"type":"ping","a":1,"a":1}',
    '{"type":"ping","a":{"b":1,"b":2}}', '{"type":"ping","a":1,"\\u0061":1}'])
def test_duplicate_keys_are_bad_frame(ws, text):
    refused(ws, text, "bad_frame")


def nested(depth, opening="[", closing="]"):
    """An object with this depth of nesting, including itself."""
    return ('{"type":"ping","x":' + opening * (depth - 1)
            + closing * (depth - 1) + "}")


def test_nesting_above_16_is_bad_frame(ws):
    refused(ws, nested(17), "bad_frame")
    refused(ws, nested(2000), "bad_frame")
    refused(ws, nested(30000), "bad_frame")
    objects = '{"type":"ping","x":' + '{"a":' * 16 + "1" + "}" * 17
    refused(ws, objects, "bad_frame")


def test_nesting_up_to_16_is_accepted(ws):
    ws.text(nested(16))
    assert ws.message()["type"] == "pong"


# ------------------------------------------------------------ unknown_type

@pytest.mark.parametrize("name", [
    "", "nothing", "Ping", "ping ", "send_messag", "send_messages", "welcome",
    "new_message", "message_ack", "x" * 60000, "\u20ac"])
def test_an_unknown_type_is_unknown_type(ws, name):
    error = refused(ws, '{"type":"%s"}' % name, "unknown_type")
    assert len(json.dumps(error)) < 1000, "it must not echo the frame"


def test_a_type_is_not_truncated_at_a_nul(ws):
    ws.text('{"type":"ping\\u0000"}')
    assert ws.message("error")["code"] in ("unknown_type", "bad_field",
                                           "bad_frame")
    assert ws.alive()


def test_unknown_fields_are_ignored(ws):
    ws.text({"type": "ping", "new": {"a": [1, 2.5e300, None]}, "": ""})
    assert ws.message()["type"] == "pong"


# --------------------------------------------------------------- bad_field

def with_field(frame, name, value):
    frame = dict(frame)
    if value is ...:
        del frame[name]
    else:
        frame[name] = value
    return frame


@pytest.mark.parametrize("name", ["chatId", "messageId", "content"])
@pytest.mark.parametrize("value", [..., None, 5, 1.5, True, [], {}, ["x"]])
def test_send_message_requires_strings(ws, name, value):
    error = refused(ws, with_field(SEND, name, value), "bad_field")
    if name != "messageId":
        assert error["messageId"] == "m-1"
    if name != "chatId":
        assert error["chatId"] == CHAT


@pytest.mark.parametrize("value", [
    "", "x" * 65, "with space", "tab\t", "\u00e9", "\x7f", "a\0b", "\n"])
def test_a_message_id_is_1_to_64_bytes_of_printable_ascii(ws, value):
    error = refused(ws, with_field(SEND, "messageId", value), "bad_field")
    assert "messageId" not in error


@pytest.mark.parametrize("value", ["", "a\0b", "\0"])
def test_content_is_not_empty_and_has_no_nul(ws, value):
    refused(ws, with_field(SEND, "content", value), "bad_field")


@pytest.mark.parametrize("char", ["x", "\u20ac", "\U0001F600"])
def test_content_above_32_kib_is_refused(ws, char):
    size = len(char.encode())
    content = char * (32768 // size + 1)
    ws.text(json.dumps(with_field(SEND, "content", content),
                       ensure_ascii=False))
    error = schema.validate_frame(ws.message())
    assert error["code"] == "too_large"
    assert error["messageId"] == "m-1"
    assert ws.alive()


def test_an_emoji_above_64_bytes_is_refused(ws):
    ws.text({"type": "react", "chatId": CHAT, "messageId": "r", "seq": 1,
             "emoji": "x" * 65})
    error = schema.validate_frame(ws.message())
    assert error["code"] in ("bad_field", "too_large")
    assert error["messageId"] == "r"
    assert ws.alive()


@pytest.mark.parametrize("escape", [
    "\\ud800", "\\udfff", "\\ud83d x", "\\ud83d\\u0041", "\\ude00\\ud83d",
    "\\ud83d\\ud83d\\ude00"])
def test_lone_surrogates_are_bad_field(ws, escape):
    text = json.dumps(SEND).replace('"x"', f'"{escape}"')
    refused(ws, text, "bad_field")


def test_an_escaped_nul_is_bad_field(ws):
    refused(ws, json.dumps(SEND).replace('"x"', '"a\\u0000b"'), "bad_field")


@pytest.mark.parametrize("value", [
    "", "x", CHAT[:-1], CHAT + "0", CHAT.replace("-", ""),
    CHAT.replace("c", "g"), "{" + CHAT + "}", " " + CHAT, "urn:uuid:" + CHAT,
    CHAT.replace("-", "_"), "x" * 5000])
@pytest.mark.parametrize("frame", [SEND, RECEIPT], ids=["send", "receipt"])
def test_a_chat_id_that_is_not_a_uuid_is_not_found(ws, frame, value):
    refused(ws, with_field(frame, "chatId", value), "not_found")


INVALID_SEQS = [
    "0", "-1", "-9223372036854775808", "-9223372036854775809",
    "9223372036854775808", "18446744073709551615", "18446744073709551616",
    "99999999999999999999999999", "1.0", "1e0", "1.5", "1e400", '"1"',
    "true", "null", "[]", "{}"]


@pytest.mark.parametrize("number", INVALID_SEQS)
@pytest.mark.parametrize("kind", ["delivered", "read"])
def test_the_seq_of_a_receipt_is_a_positive_63_bit_integer(ws, kind, number):
    refused(ws, '{"type":"%s","chatId":"%s","seq":%s}' % (kind, CHAT, number),
            "bad_field")


@pytest.mark.parametrize("number", [n for n in INVALID_SEQS if n != "null"])
@pytest.mark.parametrize("name", ["replyTo", "expiresIn"])
def test_invalid_numbers_in_send_message_are_bad_field(ws, name, number):
    text = json.dumps(SEND)[:-1] + ', "%s": %s}' % (name, number)
    error = refused(ws, text, "bad_field")
    assert error["messageId"] == "m-1"


@pytest.mark.parametrize("value", [7776001, 10 ** 18])
def test_expires_in_above_90_days_is_bad_field(ws, value):
    refused(ws, with_field(SEND, "expiresIn", value), "bad_field")


@pytest.mark.parametrize("name,value", [
    ("contentType", ""), ("contentType", "x" * 65), ("contentType", 5),
    ("mediaId", ""), ("mediaId", "x" * 65), ("mediaId", [])])
def test_optional_strings_have_limits(ws, name, value):
    refused(ws, with_field(SEND, name, value), "bad_field")


@pytest.mark.parametrize("value", [..., None, 0, "true", [], 1])
def test_typing_requires_a_boolean(ws, value):
    frame = {"type": "typing", "chatId": CHAT, "active": True}
    refused(ws, with_field(frame, "active", value), "bad_field")


@pytest.mark.parametrize("value", [
    "0", "-1", "01", "", "x", "1 ", "9223372036854775808", "1" * 5000])
def test_an_invalid_user_id_is_not_found(ws, value):
    refused(ws, {"type": "presence_subscribe", "userIds": ["1", value]},
            "not_found")


@pytest.mark.parametrize("value", [
    ..., None, "1", {}, [], [1], [None], ["1"] * 201, [["1"]]])
@pytest.mark.parametrize("kind", ["presence_subscribe",
                                  "presence_unsubscribe"])
def test_presence_requires_1_to_200_user_ids(ws, kind, value):
    refused(ws, with_field({"type": kind, "userIds": ["1"]}, "userIds",
                           value), "bad_field")


@pytest.mark.parametrize("frame", [
    {"type": "edit_message", "chatId": CHAT, "messageId": "e", "content": "x"},
    {"type": "edit_message", "chatId": CHAT, "messageId": "e", "seq": 1},
    {"type": "delete_message", "chatId": CHAT, "messageId": "d"},
    {"type": "react", "chatId": CHAT, "messageId": "r", "seq": 1},
    {"type": "react", "chatId": CHAT, "messageId": "r", "emoji": "x"},
    {"type": "delivered", "chatId": CHAT}, {"type": "read", "seq": 1},
    {"type": "typing", "active": True}], ids=lambda f: f["type"])
def test_a_missing_field_is_bad_field(ws, frame):
    error = refused(ws, frame, "bad_field")
    assert error.get("messageId") == frame.get("messageId")


# ----------------------------------------------------------------- messages

def test_the_error_names_the_field_and_never_quotes_its_value(ws):
    secret = "hush-hush-" * 8
    error = refused(ws, with_field(SEND, "messageId", secret), "bad_field")
    assert "messageId" in error["message"]
    assert "hush" not in json.dumps(error)


def test_many_invalid_frames_do_not_end_the_connection(ws):
    for _ in range(300):
        ws.send(TEXT, "[")
    for _ in range(300):
        assert ws.message()["code"] == "bad_frame"
    assert ws.alive()


def test_an_error_reaches_only_its_own_connection(edge, ws):
    with edge.connect(user=2, device=2) as other:
        other.message()
        refused(ws, "[", "bad_frame")
        assert other.alive()
