"""Several users, each with two sockets and a REST client, write to one chat at
the same time: all devices see the same order."""

import asyncio

import checker
import load
from load import Swarm
from restload import RestClient
from stack import SLOW
from suite import say, size


async def test_many_concurrent_sends_to_one_chat_have_one_order(stack):
    swarm = Swarm(stack)
    people = await asyncio.to_thread(load.make_users, stack, 4, 3)
    chat, = await asyncio.to_thread(load.make_chats, stack,
                                    [[u for u, _ in people]])
    swarm.record.members[chat] = {u: (1, None) for u, _ in people}
    rest = []
    for user, (one, two, three) in people:
        swarm.add(user, one, [chat])
        swarm.add(user, two, [chat])
        rest.append(RestClient(swarm, user, three, [chat], rate=100))
    await swarm.start(20 * SLOW)
    try:
        for r in rest:
            r.start()
        # each device sends 200 messages, in bursts of ten
        for _ in range(size(20, 5)):
            for c in swarm.clients:
                for _ in range(10):
                    c.send(chat)
            await asyncio.sleep(0.1)
        for r in rest:
            await r.settle()
        await swarm.settle(30 * SLOW)
    finally:
        await swarm.stop()
    verdict = checker.check(swarm.record)
    say(f"8 sockets and 4 REST clients of 4 users, one chat: {verdict}")
    assert verdict.clean, str(verdict)
    assert verdict.sent == verdict.acked == len(swarm.record.truth)
    assert sum(r.number for r in rest) > 4
    for c in swarm.clients:
        assert c.seen[chat] == len(swarm.record.truth)
