"""Each anomaly that is planted in a history is found, under its name, and none in a good one."""

from dataclasses import replace

import pytest

from tests.faults.history import Answer, Event, History

SOURCE = {0: [Event(b"a", 0), Event(b"b", 1), Event(b"a", 3)], 1: [Event(b"c", 2)]}
ANSWERS = [
    Answer(0, 0, b"a", 0, 1),
    Answer(0, 1, b"b", 1, 1),
    Answer(0, 3, b"a", 3, 2),  # offset 2 is the end of a transaction
    Answer(1, 0, b"c", 2, 1),
]
GOOD = History(
    acknowledged=frozenset(range(4)),
    source=SOURCE,
    polled=ANSWERS,
    final=ANSWERS,
    state={0: {b"a": 2, b"b": 1}, 1: {b"c": 1}},
)


def kinds(history):
    return [anomaly.kind for anomaly in history.anomalies()]


def without(index):
    """Drop an answer from what both readers saw."""
    answers = [answer for at, answer in enumerate(ANSWERS) if at != index]
    return replace(GOOD, polled=answers, final=answers)


def instead(index, **changes):
    """Have both readers see another answer in one place."""
    answers = [*ANSWERS]
    answers[index] = answers[index]._replace(**changes)
    return replace(GOOD, polled=answers, final=answers)


def test_what_one_thread_would_have_done_shows_no_anomaly():
    assert GOOD.anomalies() == []


def test_a_reader_may_be_behind():
    assert replace(GOOD, polled=ANSWERS[:2]).anomalies() == []


def test_what_was_not_acknowledged_may_be_missing_in_the_source_but_not_what_was():
    assert replace(GOOD, acknowledged=frozenset({0, 1})).anomalies() == []
    assert kinds(replace(GOOD, acknowledged=frozenset(range(5)))) == ["lost write"]


@pytest.mark.parametrize(
    ("planted", "kind"),
    [
        (without(1), "lost write"),
        (without(2), "unseen"),
        (without(3), "unseen"),
        (instead(3, total=2), "wrong count"),
        (replace(GOOD, state={**GOOD.state, 0: {b"a": 1, b"b": 1}}), "wrong state"),
        (replace(GOOD, state={0: GOOD.state[0]}), "wrong state"),
        (replace(GOOD, polled=[*ANSWERS, Answer(1, 1, b"c", 2, 1)]), "aborted read"),
        (replace(GOOD, polled=[*ANSWERS[:1], *ANSWERS[2:]]), "poll skip"),
        (replace(GOOD, polled=[*ANSWERS, ANSWERS[2]]), "nonmonotonic poll"),
        (replace(GOOD, polled=[ANSWERS[0]._replace(total=5)]), "inconsistent offsets"),
    ],
)
def test_an_anomaly_is_found_under_its_name(planted, kind):
    assert kinds(planted) == [kind]


def test_a_second_answer_to_an_event_is_a_duplicate():
    answers = [*ANSWERS, Answer(1, 2, b"c", 2, 1)]

    assert kinds(replace(GOOD, polled=answers, final=answers)) == ["duplicate"]


def test_an_answer_to_what_nobody_sent_is_unexpected():
    answers = [*ANSWERS, Answer(1, 2, b"c", 9, 2)]

    assert kinds(replace(GOOD, polled=answers, final=answers)) == ["unexpected"]


def test_answers_of_a_key_in_another_order_are_told():
    first, second = ANSWERS[0], ANSWERS[2]
    answers = [
        first._replace(number=3, total=2),
        ANSWERS[1],
        second._replace(number=0, total=1),
        ANSWERS[3],
    ]

    assert kinds(replace(GOOD, polled=answers, final=answers)) == ["nonmonotonic send"]
