"""Every Redis command of the system has keys of one hash slot only, so that a
Redis Cluster would accept it. SlotWatch runs during all tests that share the
stack (conftest.py fails the run on a violation). The tests here show that
SlotWatch sees our commands and that it reports a violation."""

import uuid

import pytest
from crossslot import SlotWatch, slot
from stack import SLOW, wait_for


def test_slot_computes_the_slots_of_redis_cluster():
    # the examples of the cluster specification: hash tags, and the test
    # vector of CRC-16/XMODEM, 0x31c3 for "123456789"
    assert slot(b"123456789") == 0x31c3 % 16384
    assert slot(b"{user1000}.following") == slot(b"{user1000}.followers")
    assert slot(b"foo{}{bar}") == slot(b"foo{}{bar}") != slot(b"bar")
    assert slot(b"foo{{bar}}zap") == slot(b"{bar")


async def test_commands_for_a_message_stay_within_one_slot(stack, phone):
    assert stack.slots.listening.wait(10 * SLOW)
    ann, bob = phone("ann"), phone("bob")
    await ann.connect()
    await bob.connect()
    chat = await ann.group("slots", bob)
    await bob.frame("chat_added", chatId=chat)
    ack = await ann.send(chat, "one slot each")
    await bob.has(chat, ack["seq"])
    await ann.rest("PATCH", f"/chats/{chat}", {"title": "renamed"})
    await ann.close()
    wait_for(lambda: {"XADD", "XREAD", "EVAL", "HGETALL", "PUBLISH", "XDEL"}
             <= stack.slots.names, 20 * SLOW, "commands of edge and workers")
    assert not stack.slots.violations


@pytest.mark.parametrize("commands", [
    [("DEL", "{a}1", "{b}1")],
    [("EVAL", "return 1", 2, "{a}1", "{b}1")],
    [("EVAL", "return redis.call('GET','{b}1')", 1, "{a}1")],
    [("MULTI",), ("GET", "{a}1"), ("GET", "{b}1"), ("EXEC",)],
], ids=["command", "script", "inside-a-script", "transaction"])
def test_a_command_over_two_slots_is_reported(stack, commands):
    watch = SlotWatch(stack.redis_socket(), stack.redis)
    assert watch.listening.wait(10 * SLOW)
    end = f"{{{uuid.uuid4().hex}}}"
    # the watch of the test run must not report this deliberate violation
    before = list(stack.slots.violations)
    r = stack.redis().connection_pool.get_connection("MULTI")
    for command in commands + [("GET", end)]:
        r.send_command(*command)
        r.read_response()
    for each in (watch, stack.slots):
        wait_for(lambda: end.encode() in each.slots, 10 * SLOW,
                 "the last command")
    assert watch.close()
    stack.slots.violations[:] = before
