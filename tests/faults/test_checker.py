"""The checker finds each kind of violation in a record that contains one, and
none in a correct record."""

import pytest

import checker
from checker import Ack, Got, Mark, Opened, Record, Refused, Send

CHAT = "c1"


class Writer:
    """Writes the record of two users with three devices: a (user A), b and b2
    (user B); and of x, the device of a stranger."""

    def __init__(self):
        self.r = Record()
        self.r.user_of = {"a": "A", "b": "B", "b2": "B", "x": "X"}
        self.r.members = {CHAT: {"A": (1, None), "B": (1, None)}}
        self.r.truth = []
        self.t = 0.0
        self.conn = {"a": "a/1", "b": "b/1", "b2": "b2/1", "x": "x/1"}

    def now(self):
        self.t += 0.01
        return self.t

    def send(self, device, mid, content=None):
        self.r.add(Send(self.now(), device, self.conn[device], CHAT, mid,
                        content or "text " + mid))

    def ack(self, device, mid, seq):
        self.r.add(Ack(self.now(), device, self.conn[device], CHAT, mid, seq))

    def got(self, device, sender, mid, seq, content=None, kind="message"):
        self.r.add(Got(self.now(), device, self.conn[device], CHAT, seq, kind,
                       sender, mid, content or f"text {mid}"))

    def receipt(self, device, seq):
        self.r.add(Mark(self.now(), device, self.conn[device], CHAT, seq))

    def reconnect(self, device):
        name, n = self.conn[device].split("/")
        self.conn[device] = f"{name}/{int(n) + 1}"
        self.r.add(Opened(self.now(), device, self.conn[device]))

    def store(self, seq, sender, mid, content=None):
        self.r.truth.append((CHAT, seq, sender, mid,
                             content or f"text {mid}"))

    def deliver(self, mid, seq):
        """One message from device a, delivered correctly."""
        self.send("a", mid)
        self.store(seq, "a", mid)
        self.ack("a", mid, seq)
        self.got("b", "a", mid, seq)
        self.got("b2", "a", mid, seq)

    def counts(self):
        verdict = checker.check(self.r)
        return {k: n for k, n in verdict.counts().items() if n}


@pytest.fixture
def w():
    writer = Writer()
    for i in range(1, 6):
        writer.deliver(f"m{i}", i)
    return writer


# ---------------------------------------------------------- correct records

def test_a_correct_record_is_clean(w):
    v = checker.check(w.r)
    assert v.clean, v
    assert (v.sent, v.acked, v.received) == (5, 5, 10)


def test_a_duplicate_with_the_same_answer_is_correct(w):
    w.send("a", "m5")
    w.ack("a", "m5", 5)
    assert w.counts() == {}


def test_entries_above_the_receipt_may_arrive_again_on_a_new_connection(w):
    w.receipt("b", 3)
    w.reconnect("b")
    w.got("b", "a", "m4", 4)
    w.got("b", "a", "m5", 5)
    assert w.counts() == {}


def test_after_a_lost_receipt_more_entries_may_arrive_again(w):
    w.receipt("b", 5)
    w.reconnect("b")
    w.got("b", "a", "m3", 3)
    w.got("b", "a", "m4", 4)
    w.got("b", "a", "m5", 5)
    assert w.counts() == {}


def test_a_permanent_refusal_is_an_answer(w):
    w.send("a", "m6")
    w.r.add(Refused(w.now(), "a", "a/1", CHAT, "m6", "blocked"))
    assert w.counts() == {}


def test_a_send_that_was_repeated_may_be_stored_after_a_later_send(w):
    w.send("a", "m6")
    w.send("a", "m7")
    w.send("a", "m6")
    for mid, seq in (("m7", 6), ("m6", 7)):
        w.store(seq, "a", mid)
        w.ack("a", mid, seq)
        w.got("b", "a", mid, seq)
        w.got("b2", "a", mid, seq)
    assert w.counts() == {}


def test_an_absent_device_need_not_receive_everything(w):
    w.r.absent.add("b2")
    w.send("a", "m6")
    w.store(6, "a", "m6")
    w.ack("a", "m6", 6)
    w.got("b", "a", "m6", 6)
    assert w.counts() == {}


def test_own_entry_sent_by_rest_arrives_on_the_own_socket_too(w):
    w.r.add(Send(w.now(), "a", None, CHAT, "r1", "text r1"))
    w.store(6, "a", "r1")
    w.r.add(Ack(w.now(), "a", None, CHAT, "r1", 6))
    for device in ("a", "b", "b2"):
        w.got(device, "a", "r1", 6)
    assert w.counts() == {}


def test_a_removed_member_need_not_see_later_entries(w):
    w.r.members[CHAT]["B"] = (1, 5)
    w.send("a", "m6")
    w.store(6, "a", "m6")
    w.ack("a", "m6", 6)
    assert w.counts() == {}


def test_hidden_entries_close_gaps_in_the_numbers(w):
    w.send("a", "m6")
    w.store(6, "a", "m6")
    w.ack("a", "m6", 6)
    for device in ("b", "b2"):
        w.r.add(Got(w.now(), device, w.conn[device], CHAT, 6, "hidden", None,
                    None, None))
    assert w.counts() == {}


def test_an_entry_created_by_the_server_is_no_phantom(w):
    w.store(6, None, None)
    for device in ("a", "b", "b2"):
        w.got(device, None, None, 6, kind="member_added")
    assert w.counts() == {}


# --------------------------------------------------------------------- lost

def test_an_acknowledged_send_that_is_not_stored_is_lost(w):
    w.r.truth.pop()
    w.r.events = [e for e in w.r.events
                  if not (isinstance(e, Got) and e.seq == 5)]
    assert w.counts() == {"lost": 1}


def test_a_send_acknowledged_with_the_seq_of_another_is_lost(w):
    w.send("a", "m6")
    w.ack("a", "m6", 5)
    assert w.counts()["lost"] == 1


def test_an_entry_that_a_device_never_saw_is_lost(w):
    w.send("a", "m6")
    w.store(6, "a", "m6")
    w.ack("a", "m6", 6)
    w.got("b", "a", "m6", 6)
    assert w.counts() == {"lost": 1}


def test_an_entry_that_no_device_saw_is_lost_once_per_device(w):
    w.send("a", "m6")
    w.store(6, "a", "m6")
    w.ack("a", "m6", 6)
    assert w.counts() == {"lost": 2}


def test_a_send_without_an_answer_is_lost(w):
    w.send("a", "m6")
    assert w.counts() == {"lost": 1}


def test_a_lost_entry_is_found_without_the_content_of_the_store(w):
    w.r.truth = None
    w.send("a", "m6")
    w.ack("a", "m6", 6)
    w.got("b", "a", "m6", 6)
    assert w.counts() == {"lost": 1}


# ------------------------------------------------------------------ doubled

def test_a_message_stored_twice_is_doubled(w):
    w.store(6, "a", "m5")
    for device in ("a", "b", "b2"):
        w.got(device, "a", "m5", 6)
    assert w.counts() == {"doubled": 1}


def test_two_different_answers_are_doubled(w):
    w.send("a", "m5")
    w.ack("a", "m5", 6)
    assert w.counts()["doubled"] == 1


def test_an_entry_twice_on_a_connection_is_doubled(w):
    w.got("b", "a", "m5", 5)
    assert w.counts() == {"doubled": 1}


def test_an_entry_after_its_ack_on_a_connection_is_doubled(w):
    w.got("a", "a", "m5", 5)
    assert w.counts() == {"doubled": 1}


def test_two_acks_of_one_send_are_doubled(w):
    w.ack("a", "m5", 5)
    assert w.counts() == {"doubled": 1}


# --------------------------------------------------------------- disordered

def test_a_gap_on_a_connection_is_disordered(w):
    w.send("a", "m6")
    w.send("a", "m7")
    for mid, seq in (("m6", 6), ("m7", 7)):
        w.store(seq, "a", mid)
        w.ack("a", mid, seq)
        w.got("b2", "a", mid, seq)
    w.got("b", "a", "m7", 7)
    w.receipt("b", 5)
    w.reconnect("b")
    w.got("b", "a", "m6", 6)
    w.got("b", "a", "m7", 7)
    assert w.counts() == {"disordered": 1}


def test_swapped_entries_on_a_connection_are_disordered(w):
    w.send("a", "m6")
    w.send("a", "m7")
    for mid, seq in (("m6", 6), ("m7", 7)):
        w.store(seq, "a", mid)
        w.ack("a", mid, seq)
        w.got("b2", "a", mid, seq)
    w.got("b", "a", "m7", 7)
    w.got("b", "a", "m6", 6)
    assert w.counts() == {"disordered": 2}


def test_a_connection_that_skips_entries_after_the_receipt_is_disordered(w):
    w.receipt("b", 3)
    w.reconnect("b")
    w.got("b", "a", "m5", 5)
    assert w.counts() == {"disordered": 1}


def test_one_seq_for_two_entries_is_disordered(w):
    w.send("a", "m6")
    w.store(6, "a", "m6")
    w.ack("a", "m6", 6)
    w.got("b", "a", "m6", 6)
    w.got("b2", "a", "m5", 6)
    assert w.counts()["disordered"] == 1


def test_two_sends_stored_in_the_wrong_order_are_disordered(w):
    w.send("a", "m6")
    w.send("a", "m7")
    for mid, seq in (("m7", 6), ("m6", 7)):
        w.store(seq, "a", mid)
        w.ack("a", mid, seq)
        w.got("b", "a", mid, seq)
        w.got("b2", "a", mid, seq)
    assert w.counts() == {"disordered": 1}


def test_a_gap_in_the_store_is_disordered(w):
    w.r.truth = [row for row in w.r.truth if row[1] != 3]
    assert w.counts()["disordered"] == 1


# ------------------------------------------------------------------ phantom

def test_a_received_entry_that_was_never_sent_is_a_phantom(w):
    for device in ("a", "b", "b2"):
        w.got(device, "a", "ghost", 6)
    assert w.counts() == {"phantom": 1}


def test_a_received_entry_with_other_content_is_a_phantom(w):
    w.send("a", "m6")
    w.store(6, "a", "m6")
    w.ack("a", "m6", 6)
    w.got("b", "a", "m6", 6, content="text of another")
    w.got("b2", "a", "m6", 6)
    assert w.counts() == {"phantom": 1}


def test_a_stored_entry_that_was_never_sent_is_a_phantom(w):
    w.store(6, "a", "ghost")
    assert w.counts()["phantom"] == 1


def test_an_ack_of_a_message_that_was_never_sent_is_a_phantom(w):
    w.r.truth = None
    w.ack("a", "ghost", 6)
    assert w.counts()["phantom"] == 1


def test_a_server_entry_that_is_not_stored_is_a_phantom(w):
    for device in ("a", "b", "b2"):
        w.got(device, None, None, 6, kind="member_added")
    assert w.counts() == {"phantom": 1}


# ----------------------------------------------------------------- stranger

def test_an_entry_on_a_strangers_device_is_counted(w):
    w.got("x", "a", "m1", 1)
    assert w.counts() == {"stranger": 1}


def test_an_entry_after_the_removal_of_a_member_is_counted(w):
    w.r.members[CHAT]["B"] = (1, 4)
    assert w.counts() == {"stranger": 2}


def test_an_entry_before_a_member_joined_is_counted(w):
    w.r.members[CHAT]["B"] = (3, None)
    assert w.counts()["stranger"] == 4


# -------------------------------------------------------------------- files

def test_a_record_is_the_same_after_dump_and_load(w, tmp_path):
    w.got("x", "a", "m1", 1)
    w.got("b", "a", "m5", 5)
    path = tmp_path / "record.json"
    w.r.dump(path)
    loaded = checker.check(Record.load(path))
    assert loaded.counts() == checker.check(w.r).counts()


def test_examples_name_the_message_and_the_violation(w):
    w.send("a", "m6")
    text = str(checker.check(w.r))
    assert "m6" in text and "has no answer" in text
