"""A request to end a transaction that arrives late ends the next one, unless its producer is gone.

The same schedules run with the committer's doubts and without; without, the hole must show. That
librdkafka repeats the request and reports success is part of the schedules, too.
"""

from functools import partial

import pytest

from agents.kafka.exactly_once import ExactlyOnce
from tests.faults.committer_rig import Rig
from tests.faults.proxy_rules import ADD_OFFSETS_TO_TXN, END_TXN, PRODUCE
from tests.waiting import wait_until

pytestmark = pytest.mark.integration


@pytest.fixture
def rig(one_broker):
    made = Rig(one_broker)
    yield made
    made.close()


@pytest.fixture
def no_doubts(monkeypatch):
    monkeypatch.setattr(ExactlyOnce, "_doubt", lambda self: None)


def has_taken_one(rule):
    return rule.n_taken == 1


def commit_late(rig, within):
    """Have a commit reach the broker twice: at once, and within one of the next transactions.

    Its producer's own next one is the second, while both producers are in use.
    """
    rig.commit()
    rig.commit()
    late = rig.hold(END_TXN)
    rig.begin()
    rig.cut_client_at(late)
    rig.end()
    for turn in (1, 2):
        half = rig.hold(PRODUCE, skip=1)
        rig.begin()
        wait_until(partial(has_taken_one, half), 30)
        if turn == within:
            rig.let_go(late)
        rig.proxy.remove(half)
        rig.end()
    rig.commit()


def abort_late(rig):
    """Have an abort reach the broker twice: at once, and within the transaction that follows."""
    rig.commit()
    rig.commit()
    rig.be_taken_for_a_former_self()
    late, published = rig.hold(END_TXN), rig.hold(ADD_OFFSETS_TO_TXN, skip=1)
    rig.begin()
    rig.cut_client_at(late)
    wait_until(lambda: published.n_taken == 1, 30)
    rig.let_go(late)
    rig.proxy.remove(published)
    rig.end()
    rig.commit()


@pytest.mark.parametrize("within", [1, 2])
def test_a_commit_that_arrives_late_ends_no_other_transaction(rig, within):
    commit_late(rig, within)

    assert rig.anomalies == {}
    assert rig.committed_offset == rig.n_sent
    assert "a call took" in rig.notes.retried[0]


def test_without_doubts_a_late_commit_tears_a_transaction_and_doubles_a_part(rig, no_doubts):
    commit_late(rig, within=2)

    assert set(rig.anomalies.values()) == {2}


def test_an_abort_that_arrives_late_ends_no_other_transaction(rig):
    abort_late(rig)

    assert rig.anomalies == {}
    assert rig.committed_offset == rig.n_sent
    assert len(rig.notes.retried) >= 1


def test_without_doubts_a_late_abort_loses_what_was_published(rig, no_doubts):
    abort_late(rig)

    assert set(rig.anomalies.values()) == {0}
    assert rig.committed_offset == rig.n_sent


def test_who_lost_all_connections_commits_again(rig):
    """librdkafka's default way to recover leaves it waiting for ever; see `client_settings`."""
    for _ in range(3):
        rig.commit()
        rig.commit()
        rig.proxy.cut_clients()
    rig.commit()

    assert rig.anomalies == {}
