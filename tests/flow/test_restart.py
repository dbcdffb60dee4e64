"""Two users with three devices, a third user who only uses REST, and a restart
of the whole stack: at the end all of them have received the same."""

import asyncio

from chatclient import new_id


async def test_all_devices_have_the_same_history_after_a_restart(stack, phone):
    ann, bob, eve = phone("ann"), phone("bob"), phone("eve")
    tab = phone("ann-tablet", of=ann)
    sockets = [ann, tab, bob]
    for p in sockets:
        await p.connect()

    chat = await ann.group("trip", bob, eve)
    for p in sockets:
        await p.frame("chat_added", chatId=chat)

    async def by_rest(text):
        entry = await eve.rest("POST", f"/chats/{chat}/messages",
                               {"messageId": new_id(), "content": text})
        return entry["seq"]

    seqs = set()
    for i in range(10):
        for p in sockets:
            seqs.add((await p.send(chat, f"{p.name} {i}"))["seq"])
        seqs.add(await by_rest(f"eve {i}"))
    assert seqs == set(range(1, 41))

    for p in sockets:
        p.auto_reconnect = True
    await asyncio.to_thread(stack.restart)
    for p in sockets:
        await p.until(lambda: p.connected and p.synced, 60, "reconnect")

    for i in range(10, 20):
        for p in sockets:
            seqs.add((await p.send(chat, f"{p.name} {i}"))["seq"])
        seqs.add(await by_rest(f"eve {i}"))
    assert seqs == set(range(1, 81))

    for p in sockets:
        await p.has(chat, 80)
    stored = [(e["seq"], e["content"]) for e in await eve.history(chat)]
    assert [seq for seq, _ in stored] == list(range(1, 81))
    for p in sockets:
        assert p.contents(chat) == stored
        assert [(e["seq"], e["content"])
                for e in await p.history(chat)] == stored


async def test_a_device_that_was_offline_gets_the_entries_it_missed(phone):
    ann, bob = phone("ann"), phone("bob")
    await ann.connect()
    await bob.connect()
    chat = await ann.direct(bob)
    await ann.send(chat, "one")
    await bob.has(chat, 1)
    await asyncio.sleep(0.5)            # bob's receipt is sent meanwhile
    await bob.close()

    for i in range(2, 602):
        if i % 100:
            asyncio.ensure_future(ann.send(chat, str(i)))
        else:
            await ann.send(chat, str(i))
    await ann.has(chat, 601, 30)

    await bob.connect(timeout=30)
    await bob.has(chat, 601, 30)
    assert bob.contents(chat) == ann.contents(chat)


async def test_entries_without_a_receipt_are_sent_again(phone):
    ann, bob = phone("ann"), phone("bob")
    bob.auto_mark = False
    await ann.connect()
    await bob.connect()
    chat = await ann.direct(bob)
    for i in range(5):
        await ann.send(chat, str(i))
    await bob.has(chat, 5)
    bob.drop()

    n = len(bob.frames)
    await bob.connect()
    again = [f["seq"] for f in bob.frames[n:] if f["type"] == "new_message"]
    assert again == [1, 2, 3, 4, 5]
