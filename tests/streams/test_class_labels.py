"""Laws of labels that are classes or amounts: those of yes and no, in other words."""

import pytest
from hypothesis import given, settings

from schemas.labels import Label, LabelType
from streams.label_rule import reported_within
from tests.streams.label_histories import (
    ANSWERED,
    FOREVER,
    HORIZON_MS,
    MS,
    SAID,
    Arrival,
    Partition,
    played,
    records_of,
)

SAYS: list[tuple[LabelType, tuple[str, str] | tuple[float, float]]] = [
    (str, ("iris", "rose")),
    (float, (-1.5, 0.0)),
]
"""Types of labels, and two of each of which the second is later than the first at one time."""

told_in_other_words = pytest.mark.parametrize(("says", "words"), SAYS)


@told_in_other_words
@settings(max_examples=40, deadline=None)
@given(answered=ANSWERED)
def test_classes_and_amounts_are_joined_as_yes_and_no_are(says, words, answered):
    """The first stands, in whatever order it came; where there is none, there is no label."""
    arrivals: list[Arrival] = []
    expected = {}
    for n, (event, labels, by_event) in enumerate(answered):
        arrivals.append((event.at_ms + event.delay_ms, str(n), event))
        named = {"event_id": f"event of {n}"} if by_event else {"prediction_id": str(n)}
        for after_ms, value in labels:
            label = Label(event.user, words[value], event.at_ms, **named)
            arrivals.append((event.at_ms + after_ms, str(n), label))
        first = min(labels, key=lambda each: each[0], default=None)
        expected[str(n)] = None if first is None else words[first[1]]
    partition, changelog = played(reported_within(HORIZON_MS * MS, says=says), arrivals)

    assert partition.labels == expected
    assert all((o.weight, o.judged) == (1.0, o.label is not None) for o in partition.outcomes)
    assert {value for value in dict(changelog).values() if value is not None} == set()


@told_in_other_words
@settings(max_examples=40, deadline=None)
@given(said=SAID)
def test_of_classes_and_amounts_the_last_word_stands_at_maturity(says, words, said):
    expected = {}
    for n, (_, labels) in enumerate(said):
        told = [(after_ms, words[v]) for after_ms, v, *_ in labels if after_ms <= HORIZON_MS]
        expected[str(n)] = max(told)[1] if told else None
    rule = reported_within(HORIZON_MS * MS, positive="at_maturity", says=says)
    translated = [
        (event, [each._replace(value=words[each.value]) for each in labels])
        for event, labels in said
    ]
    partition, changelog = played(rule, records_of(translated))

    assert partition.labels == expected
    assert {value for value in dict(changelog).values() if value is not None} == set()


def test_where_silence_says_nothing_an_outcome_without_a_label_is_not_judged():
    rule = reported_within(HORIZON_MS * MS, silence="unknown")
    partition = Partition(rule=rule)
    for name in "pqr":
        partition.enrol(name, "u", 100)
    for name, value in (("p", True), ("q", False)):
        partition.take_in(name, Label("u", value, 105, prediction_id=name))
    partition.outcomes += partition.join.advance(FOREVER)
    partition.take_in("r", Label("u", True, 105, prediction_id="r"))

    assert partition.labels == {"p": True, "q": False, "r": None}
    assert [o.judged for o in partition.outcomes] == [1.0, 1.0, 0.0]
    fates = partition.join.fates
    assert (fates.positive, fates.negative, fates.unreported, fates.overdue) == (1, 1, 1, 1)


def test_what_was_said_under_another_rule_at_the_same_time_ends_no_worker():
    """It waits on, and then has an outcome of neither rule."""
    said = reported_within(HORIZON_MS * MS, positive="at_maturity")
    before = Partition(rule=said)
    before.enrol("p", "u", 100)
    before.take_in("p", Label("u", True, 105, prediction_id="p"))
    asked_anew = reported_within(HORIZON_MS * MS, positive="at_maturity", says=str)
    after = Partition(changelog=list(before.state.changes()), rule=asked_anew)
    after.take_in("p", Label("u", "rose", 105, prediction_id="p"))
    (outcome,) = after.join.advance(FOREVER)

    assert (outcome.label, outcome.target) == ("rose", "")
