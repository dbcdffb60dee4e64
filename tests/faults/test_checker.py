"""The checker finds each fault in a record that contains it, and none in a
record that is right."""

import pytest

import checker
from checker import Ack, Got, Mark, Opened, Record, Refused, Send

CHAT = "c1"


class Writer:
    """A record as two users with three devices would leave it: a (user A), b
    and b2 (user B), and x, a stranger."""

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

    def mark(self, device, seq):
        self.r.add(Mark(self.now(), device, self.conn[device], CHAT, seq))

    def reconnect(self, device):
        name, n = self.conn[device].split("/")
        self.conn[device] = f"{name}/{int(n) + 1}"
        self.r.add(Opened(self.now(), device, self.conn[device]))

    def store(self, seq, sender, mid, content=None):
        self.r.truth.append((CHAT, seq, sender, mid,
                             content or f"text {mid}"))

    def whole(self, mid, seq):
        """One message from a, as it should go."""
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
        writer.whole(f"m{i}", i)
    return writer


# ------------------------------------------------------------ what is right

def test_a_record_that_is_right_is_clean(w):
    v = checker.check(w.r)
    assert v.clean, v
    assert (v.sent, v.acked, v.received) == (5, 5, 10)


def test_a_repeat_with_the_same_answer_is_right(w):
    w.send("a", "m5")
    w.ack("a", "m5", 5)
    assert w.counts() == {}


def test_what_was_not_marked_may_come_again_on_the_next_connection(w):
    w.mark("b", 3)
    w.reconnect("b")
    w.got("b", "a", "m4", 4)
    w.got("b", "a", "m5", 5)
    assert w.counts() == {}


def test_a_mark_that_was_lost_lets_more_come_again(w):
    w.mark("b", 5)
    w.reconnect("b")
    w.got("b", "a", "m3", 3)
    w.got("b", "a", "m4", 4)
    w.got("b", "a", "m5", 5)
    assert w.counts() == {}


def test_refused_for_good_is_an_answer(w):
    w.send("a", "m6")
    w.r.add(Refused(w.now(), "a", "a/1", CHAT, "m6", "blocked"))
    assert w.counts() == {}


def test_a_first_send_that_was_repeated_may_come_later(w):
    w.send("a", "m6")
    w.send("a", "m7")
    w.send("a", "m6")
    for mid, seq in (("m7", 6), ("m6", 7)):
        w.store(seq, "a", mid)
        w.ack("a", mid, seq)
        w.got("b", "a", mid, seq)
        w.got("b2", "a", mid, seq)
    assert w.counts() == {}


def test_a_device_that_is_away_need_not_have_it_all(w):
    w.r.absent.add("b2")
    w.send("a", "m6")
    w.store(6, "a", "m6")
    w.ack("a", "m6", 6)
    w.got("b", "a", "m6", 6)
    assert w.counts() == {}


def test_own_entry_by_rest_is_received_as_by_others(w):
    w.r.add(Send(w.now(), "a", None, CHAT, "r1", "text r1"))
    w.store(6, "a", "r1")
    w.r.add(Ack(w.now(), "a", None, CHAT, "r1", 6))
    for device in ("a", "b", "b2"):
        w.got(device, "a", "r1", 6)
    assert w.counts() == {}


def test_a_removed_member_need_not_see_what_is_later(w):
    w.r.members[CHAT]["B"] = (1, 5)
    w.send("a", "m6")
    w.store(6, "a", "m6")
    w.ack("a", "m6", 6)
    assert w.counts() == {}


def test_hidden_entries_keep_the_numbers_dense(w):
    w.send("a", "m6")
    w.store(6, "a", "m6")
    w.ack("a", "m6", 6)
    for device in ("b", "b2"):
        w.r.add(Got(w.now(), device, w.conn[device], CHAT, 6, "hidden", None,
                    None, None))
    assert w.counts() == {}


def test_what_the_server_made_is_no_phantom(w):
    w.store(6, None, None)
    for device in ("a", "b", "b2"):
        w.got(device, None, None, 6, kind="member_added")
    assert w.counts() == {}


# --------------------------------------------------------------------- lost

def test_acknowledged_and_not_stored_is_lost(w):
    w.r.truth.pop()
    w.r.events = [e for e in w.r.events
                  if not (isinstance(e, Got) and e.seq == 5)]
    assert w.counts() == {"lost": 1}


def test_acknowledged_under_the_number_of_another_is_lost(w):
    w.send("a", "m6")
    w.ack("a", "m6", 5)
    assert w.counts()["lost"] == 1


def test_stored_and_never_seen_by_a_device_is_lost(w):
    w.send("a", "m6")
    w.store(6, "a", "m6")
    w.ack("a", "m6", 6)
    w.got("b", "a", "m6", 6)
    assert w.counts() == {"lost": 1}


def test_never_seen_by_anybody_is_lost_for_each(w):
    w.send("a", "m6")
    w.store(6, "a", "m6")
    w.ack("a", "m6", 6)
    assert w.counts() == {"lost": 2}


def test_a_send_without_an_answer_is_lost(w):
    w.send("a", "m6")
    assert w.counts() == {"lost": 1}


def test_lost_is_found_without_a_store_too(w):
    w.r.truth = None
    w.send("a", "m6")
    w.ack("a", "m6", 6)
    w.got("b", "a", "m6", 6)
    assert w.counts() == {"lost": 1}


# ------------------------------------------------------------------ doubled

def test_stored_twice_is_doubled(w):
    w.store(6, "a", "m5")
    for device in ("a", "b", "b2"):
        w.got(device, "a", "m5", 6)
    assert w.counts() == {"doubled": 1}


def test_two_answers_that_differ_are_doubled(w):
    w.send("a", "m5")
    w.ack("a", "m5", 6)
    assert w.counts()["doubled"] == 1


def test_twice_on_a_connection_is_doubled(w):
    w.got("b", "a", "m5", 5)
    assert w.counts() == {"doubled": 1}


def test_entry_and_acknowledgement_on_a_connection_is_doubled(w):
    w.got("a", "a", "m5", 5)
    assert w.counts() == {"doubled": 1}


def test_two_acknowledgements_of_one_send_are_doubled(w):
    w.ack("a", "m5", 5)
    assert w.counts() == {"doubled": 1}


# --------------------------------------------------------------- disordered

def test_a_hole_on_a_connection_is_disorder(w):
    w.send("a", "m6")
    w.send("a", "m7")
    for mid, seq in (("m6", 6), ("m7", 7)):
        w.store(seq, "a", mid)
        w.ack("a", mid, seq)
        w.got("b2", "a", mid, seq)
    w.got("b", "a", "m7", 7)
    w.mark("b", 5)
    w.reconnect("b")
    w.got("b", "a", "m6", 6)
    w.got("b", "a", "m7", 7)
    assert w.counts() == {"disordered": 1}


def test_changed_places_on_a_connection_are_disorder(w):
    w.send("a", "m6")
    w.send("a", "m7")
    for mid, seq in (("m6", 6), ("m7", 7)):
        w.store(seq, "a", mid)
        w.ack("a", mid, seq)
        w.got("b2", "a", mid, seq)
    w.got("b", "a", "m7", 7)
    w.got("b", "a", "m6", 6)
    assert w.counts() == {"disordered": 2}


def test_a_connection_that_begins_above_the_mark_is_disorder(w):
    w.mark("b", 3)
    w.reconnect("b")
    w.got("b", "a", "m5", 5)
    assert w.counts() == {"disordered": 1}


def test_one_number_for_two_entries_is_disorder(w):
    w.send("a", "m6")
    w.store(6, "a", "m6")
    w.ack("a", "m6", 6)
    w.got("b", "a", "m6", 6)
    w.got("b2", "a", "m5", 6)
    assert w.counts()["disordered"] == 1


def test_two_sends_that_changed_places_are_disorder(w):
    w.send("a", "m6")
    w.send("a", "m7")
    for mid, seq in (("m7", 6), ("m6", 7)):
        w.store(seq, "a", mid)
        w.ack("a", mid, seq)
        w.got("b", "a", mid, seq)
        w.got("b2", "a", mid, seq)
    assert w.counts() == {"disordered": 1}


def test_a_hole_in_the_store_is_disorder(w):
    w.r.truth = [row for row in w.r.truth if row[1] != 3]
    assert w.counts()["disordered"] == 1


# ------------------------------------------------------------------ phantom

def test_received_and_never_sent_is_a_phantom(w):
    for device in ("a", "b", "b2"):
        w.got(device, "a", "ghost", 6)
    assert w.counts() == {"phantom": 1}


def test_received_with_another_content_is_a_phantom(w):
    w.send("a", "m6")
    w.store(6, "a", "m6")
    w.ack("a", "m6", 6)
    w.got("b", "a", "m6", 6, content="text of another")
    w.got("b2", "a", "m6", 6)
    assert w.counts() == {"phantom": 1}


def test_stored_and_never_sent_is_a_phantom(w):
    w.store(6, "a", "ghost")
    assert w.counts()["phantom"] == 1


def test_acknowledged_and_never_sent_is_a_phantom(w):
    w.r.truth = None
    w.ack("a", "ghost", 6)
    assert w.counts()["phantom"] == 1


def test_a_change_that_nobody_stored_is_a_phantom(w):
    for device in ("a", "b", "b2"):
        w.got(device, None, None, 6, kind="member_added")
    assert w.counts() == {"phantom": 1}


# ----------------------------------------------------------------- stranger

def test_an_entry_on_a_strangers_device_is_counted(w):
    w.got("x", "a", "m1", 1)
    assert w.counts() == {"stranger": 1}


def test_an_entry_after_the_removal_is_counted(w):
    w.r.members[CHAT]["B"] = (1, 4)
    assert w.counts() == {"stranger": 2}


def test_an_entry_before_the_joining_is_counted(w):
    w.r.members[CHAT]["B"] = (3, None)
    assert w.counts()["stranger"] == 4


# ------------------------------------------------------------------ keeping

def test_a_record_survives_its_file(w, tmp_path):
    w.got("x", "a", "m1", 1)
    w.got("b", "a", "m5", 5)
    path = tmp_path / "record.json"
    w.r.dump(path)
    again = checker.check(Record.load(path))
    assert again.counts() == checker.check(w.r).counts()


def test_examples_say_what_and_where(w):
    w.send("a", "m6")
    text = str(checker.check(w.r))
    assert "m6" in text and "has no answer" in text
