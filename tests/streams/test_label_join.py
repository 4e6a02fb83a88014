"""Laws of the label join, held against a join over the whole history."""

from collections.abc import Hashable
from dataclasses import replace
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import stream

from schemas.labels import Label
from schemas.outcomes import Outcome
from streams.early_labels import early_labels_table
from streams.label_join import SPENT_DEADLINES, LabelJoin
from streams.label_rule import happens_within, reported_within
from streams.negatives import is_kept
from streams.pending import pending_table
from streams.positives import SPENT_TIMES, positives_table
from streams.reports import MOST_REPORTS
from streams.revisions import settled_table
from streams.state import Change
from streams.told_values import told_values_table
from streams.watermark import Watermark
from tests.streams.label_histories import (
    ANSWERED,
    EVENTS,
    FOREVER,
    HORIZON_MS,
    LATENESS_MS,
    MS,
    REPORTED,
    RIPE,
    RIPE_REPORTED,
    RULE,
    SAID,
    Arrival,
    Event,
    Partition,
    pending,
    played,
    records_of,
)


def joined_in_hindsight(events: list[Event]) -> dict[str, bool]:
    return {
        str(n): any(
            other.user == event.user
            and other.action == "buy"
            and event.at_ms < other.at_ms <= event.at_ms + HORIZON_MS
            for other in events
        )
        for n, event in enumerate(events)
    }


@pytest.mark.parametrize("rule", [RULE, RIPE])
@settings(deadline=None)
@given(events=EVENTS)
def test_any_order_within_the_lateness_gives_the_labels_of_hindsight(rule, events):
    arrivals = sorted(enumerate(events), key=lambda item: item[1].at_ms + item[1].delay_ms)
    partition, watermark = Partition(rule=rule), Watermark(LATENESS_MS * MS)
    outcomes: list[Outcome] = []
    changelog: list[Change] = []
    batch: list[tuple[int, Event]] = []
    for n, event in arrivals:
        assert not watermark.is_late(event.at_ms)
        watermark.advance(event.at_ms)
        partition.arrive(str(n), event)
        batch.append((n, event))
        if event.then:
            partition.outcomes += partition.join.advance(watermark.at_ms)
        if event.then == "batch is undone":
            partition.join.undo()
            partition.outcomes.clear()
            for number, again in batch:
                partition.arrive(str(number), again)
        elif event.then:
            changelog += partition.state.changes()
            outcomes += partition.outcomes
            partition.outcomes.clear()
            batch.clear()
        if event.then == "worker dies":
            partition = Partition(changelog=changelog, rule=rule)
    partition.outcomes = outcomes + partition.outcomes + partition.join.advance(FOREVER)

    assert partition.labels == joined_in_hindsight(events)
    assert len(partition.join) == 0


@pytest.mark.parametrize("rule", [RULE, REPORTED])
@settings(deadline=None)
@given(answered=ANSWERED)
def test_whether_a_label_comes_before_or_after_its_event_does_not_matter(rule, answered):
    """The first stands, over crashes and what is undone; where there is none, nobody bought."""
    arrivals: list[Arrival] = []
    expected = {}
    for n, (event, labels, by_event) in enumerate(answered):
        arrivals.append((event.at_ms + event.delay_ms, str(n), event))
        named = {"event_id": f"event of {n}"} if by_event else {"prediction_id": str(n)}
        for after_ms, value in labels:
            label = Label(event.user, value, event.at_ms, **named)
            arrivals.append((event.at_ms + after_ms, str(n), label))
        expected[str(n)] = min(labels, key=lambda each: each[0], default=(0, False))[1]
    partition, changelog = played(rule, arrivals)

    assert partition.labels == expected
    assert (len(partition.join), partition.join.n_early) == (0, 0)
    assert {value for value in dict(changelog).values() if value is not None} == set()


@pytest.mark.parametrize("rule", [RIPE, RIPE_REPORTED])
@settings(deadline=None)
@given(said=SAID)
def test_at_maturity_the_last_word_within_the_horizon_stands_in_whatever_order_it_came(rule, said):
    """Over crashes and what is undone; where nothing was said, whether the user acted."""
    acted = joined_in_hindsight([event for event, _ in said])
    expected = {}
    for n, (_, labels) in enumerate(said):
        words = [(after_ms, value) for after_ms, value, *_ in labels if after_ms <= HORIZON_MS]
        inferred = rule.action is not None and acted[str(n)]
        expected[str(n)] = max(words)[1] if words else inferred

    partition, changelog = played(rule, records_of(said))

    assert partition.labels == expected
    assert all(o.labelled_at == o.event_at + HORIZON_MS for o in partition.outcomes)
    assert (len(partition.join), partition.join.n_early) == (0, 0)
    assert {value for value in dict(changelog).values() if value is not None} == set()


@pytest.mark.parametrize("rule", [RULE, REPORTED, RIPE, RIPE_REPORTED])
@settings(deadline=None)
@given(said=SAID, share=st.sampled_from([0.2, 0.5]))
def test_of_negatives_a_share_is_told_and_weighs_as_much_as_all(rule, said, share):
    """The same of them over crashes and what is undone; positives are all told."""
    arrivals = records_of(said)
    whole, _ = played(rule, arrivals)
    partition, changelog = played(replace(rule, keep_negatives=share), arrivals)

    assert partition.outcomes == [
        outcome
        if outcome.label
        else msgspec.structs.replace(outcome, weight=1 / share, judged=1 / share)
        for outcome in whole.outcomes
        if outcome.label or is_kept(outcome.prediction_id, share)
    ]
    assert {value for value in dict(changelog).values() if value is not None} == set()


REVISABLE_MS = HORIZON_MS


@pytest.mark.parametrize("rule", [RULE, REPORTED, RIPE, RIPE_REPORTED])
@pytest.mark.parametrize("share", [1.0, 0.5])
@settings(deadline=None)
@given(said=SAID)
def test_with_revisions_the_last_word_stands_in_the_end_in_whatever_order_it_came(
    rule, share, said
):
    """Over crashes and what is undone. What is taught of a prediction adds up to that word."""
    acted = joined_in_hindsight([event for event, _ in said])
    rule = replace(rule, revisable_for=REVISABLE_MS * MS, keep_negatives=share)

    partition, changelog = played(rule, records_of(said))

    told: dict[str, list[Outcome]] = {str(n): [] for n in range(len(said))}
    for outcome in partition.outcomes:
        told[outcome.prediction_id].append(outcome)
    for n, (_, labels) in enumerate(said):
        inferred = rule.action is not None and acted[str(n)]
        words = [(after_ms, value) for after_ms, value, *_ in labels]
        expected = max(words)[1] if words else inferred
        outcomes = told[str(n)]
        is_stood_for = not is_kept(str(n), share)
        weight_of_negative = 0.0 if is_stood_for else 1 / share
        if not outcomes:
            assert (expected, is_stood_for) == (False, True)
            continue
        first, *later = outcomes
        assert all(each.revises and each.judged == 0 for each in later)
        assert first.revises == (first.weight > first.judged)
        assert not first.revises or is_stood_for  # the first negative was none
        assert all(one.label != other.label for one, other in pairwise(outcomes))
        assert outcomes[-1].label == expected
        taught = sum(each.weight * (1 if each.label == expected else -1) for each in outcomes)
        assert taught == pytest.approx(1.0 if expected else weight_of_negative)
    assert (len(partition.join), partition.join.n_early, partition.join.n_revisable) == (0, 0, 0)
    assert {value for value in dict(changelog).values() if value is not None} == set()


@pytest.mark.parametrize("names", [{"event_id": "event of p"}, {"prediction_id": "p"}])
def test_a_later_word_revises_what_was_settled(names):
    partition = Partition(rule=replace(RULE, revisable_for=20 * MS, keep_negatives=1.0))
    partition.enrol("p", "u", 100)
    partition.outcomes += partition.join.observe("u", "buy", 110)
    words = [
        (109, False),  # it was none, after all
        (108, True),  # that is older
        *((109, True), (150, False)),  # of two of one time the positive is later; the last moment
        (151, True),  # too late
    ]
    for at_ms, value in words:
        partition.take_in("", Label("u", value, at_ms, **names))

    first, *revisions = partition.outcomes
    assert (first.label, first.weight, first.judged, first.revises) == (True, 1.0, 1.0, False)
    assert [(o.label, o.labelled_at, o.weight, o.revises) for o in revisions] == [
        (False, 109, 2.0, True),
        (True, 109, 2.0, True),
        (False, 150, 2.0, True),
    ]
    assert {tuple(o.features) for o in partition.outcomes} == {(0.1, 100.0)}
    fates = partition.join.fates
    assert (fates.revised, fates.conflicting, fates.overdue) == (3, 1, 1)


def test_a_word_of_another_user_or_too_late_revises_nothing():
    partition = Partition(rule=replace(RULE, revisable_for=20 * MS))
    partition.enrol("p", "u", 100)
    partition.outcomes += partition.join.advance(131)
    partition.take_in("", Label("v", True, 140, prediction_id="p"))
    partition.take_in("", Label("u", True, 151, prediction_id="p"))
    fates = partition.join.fates
    assert (fates.unknown, fates.overdue, fates.revised) == (1, 1, 0)
    assert (partition.join.advance(150), partition.join.n_revisable) == ([], 1)
    assert (partition.join.advance(151), partition.join.n_revisable) == ([], 0)

    assert partition.labels == {"p": False}


def test_what_is_settled_makes_room_for_what_may_be_revised_longer():
    partition = Partition(capacity=3, rule=replace(REPORTED, revisable_for=20 * MS))
    for n in range(6):
        partition.enrol(str(n), "u", 100 + n)
        partition.take_in("", Label("u", False, 100 + n, prediction_id=str(n)))
    partition.state.changes()
    assert partition.join.n_revisable == 3
    for n in range(6):
        partition.take_in("", Label("u", True, 120, prediction_id=str(n)))

    assert [o.prediction_id for o in partition.outcomes if o.revises] == ["3", "4", "5"]


def test_what_was_settled_is_not_enrolled_again_and_leaves_no_trace_for_long():
    partition = Partition(capacity=10, rule=replace(REPORTED, revisable_for=20 * MS))
    for n in range(20_000):
        partition.enrol(str(n), "u", n)
        partition.take_in("", Label("u", True, n, prediction_id=str(n)))
        partition.enrol(str(n), "u", n)

    assert len(partition.labels) == 20_000
    assert len(partition.join) == 0
    assert len(partition.join._revisions._by_end) <= SPENT_TIMES + 30
    assert len(partition.join._revisions._by_event) == 10


@pytest.mark.parametrize("rule", [RULE, REPORTED])
@settings(deadline=None)
@given(said=SAID)
def test_a_fake_negative_is_told_at_once_and_the_truth_weighs_what_makes_up_for_it(rule, said):
    """Over crashes and what is undone; what is judged is what is judged without fakes."""
    arrivals = records_of(said)
    plain, _ = played(rule, arrivals)
    partition, changelog = played(replace(rule, fake_negatives=True), arrivals)

    told: dict[str, list[Outcome]] = {o.prediction_id: [] for o in plain.outcomes}
    for outcome in partition.outcomes:
        told[outcome.prediction_id].append(outcome)
    for truth in plain.outcomes:
        *fakes, last = told[truth.prediction_id]
        weight = 1.0
        if fakes:
            weight = 1 + truth.score if truth.label else 0.0
            assert fakes == [
                msgspec.structs.replace(
                    truth,
                    label=False,
                    labelled_at=truth.event_at + 1,
                    weight=1 - truth.score**2,
                    judged=0.0,
                )
            ]
        assert last == msgspec.structs.replace(truth, weight=weight, judged=1.0)
    judged = [o.prediction_id for o in partition.outcomes if o.judged]
    assert judged == [o.prediction_id for o in plain.outcomes]
    assert {value for value in dict(changelog).values() if value is not None} == set()


def test_of_what_is_known_when_it_is_predicted_there_is_no_fake():
    partition = Partition(rule=replace(RULE, fake_negatives=True))
    partition.take_in("", Label("u", True, 105, prediction_id="p"))
    partition.enrol("p", "u", 100)

    assert [(o.label, o.weight, o.judged) for o in partition.outcomes] == [(True, 1.0, 1.0)]
    assert partition.join.fates.fake == 0


@pytest.mark.parametrize("p", [0.01, 0.2, 0.5, 0.9])
def test_where_the_score_is_right_fake_negatives_teach_that_rate(p):
    """Of a thousand predictions, all are taught as negative, and those that come true again."""
    partition = Partition(rule=replace(REPORTED, fake_negatives=True))
    for n in range(1_000):
        served = msgspec.structs.replace(pending(str(n), target=REPORTED.target), score=p)
        fake = partition.join.enrol(served)
        partition.outcomes += [] if fake is None else [fake]
        if n < 1_000 * p:
            partition.take_in("", Label("u", True, 1, prediction_id=str(n)))
    partition.outcomes += partition.join.advance(FOREVER)

    taught = sum(o.weight for o in partition.outcomes)
    assert sum(o.weight for o in partition.outcomes if o.label) / taught == pytest.approx(p)


@pytest.mark.parametrize("fakes_now", [True, False])
def test_what_waits_while_fakes_are_switched_is_taught_what_it_is_owed(fakes_now):
    """Who was told as a negative weighs accordingly, whatever the rule is by then."""
    rules = [replace(RULE, fake_negatives=not fakes_now), replace(RULE, fake_negatives=fakes_now)]
    before = Partition(rule=rules[0])
    before.enrol("p", "u", 100)
    after = Partition(rule=rules[1], changelog=before.state.changes())
    after.take_in("", Label("u", True, 101, prediction_id="p"))

    assert [o.weight for o in after.outcomes] == [1.0 if fakes_now else 1.25]


def test_negatives_that_others_stand_for_are_counted():
    partition = Partition(rule=replace(RULE, keep_negatives=0.5))
    for n in range(100):
        partition.enrol(str(n), f"u{n}", 100)
    partition.outcomes += partition.join.observe("u0", "buy", 101)
    partition.outcomes += partition.join.advance(FOREVER)

    fates = partition.join.fates
    assert (fates.positive, fates.negative) == (1, 99)
    assert fates.sampled_out == 100 - len(partition.outcomes)
    assert 30 < fates.sampled_out < 70


def test_at_maturity_nothing_is_settled_before_and_a_change_is_a_conflict():
    partition = Partition(rule=RIPE)
    partition.enrol("p", "u", 100)
    for at_ms, value in ((105, True), (104, False), (105, True), (110, False), (131, True)):
        assert partition.join.label(Label("u", value, at_ms, prediction_id="p")) is None
    assert partition.join.observe("u", "buy", 120) == []
    fates = partition.join.fates
    assert (fates.conflicting, fates.duplicate, fates.overdue) == (3, 1, 1)

    assert partition.join.advance(130) == []
    (outcome,) = partition.join.advance(131)
    assert (outcome.label, outcome.labelled_at) == (False, 130)
    assert fates.conflicting == 4  # the user did act


def test_of_two_labels_of_one_time_the_positive_one_is_the_later():
    for words in ((True, False), (False, True)):
        partition = Partition(rule=RIPE)
        partition.enrol("p", "u", 100)
        for value in words:
            partition.join.label(Label("u", value, 105, prediction_id="p"))

        assert [o.label for o in partition.join.advance(FOREVER)] == [True]


def test_what_is_said_before_its_event_is_bounded():
    join = Partition(rule=RIPE).join
    for n in range(1_000):
        join.label(Label("u", n % 2 == 0, 100 + n, prediction_id="p"))

    (early,) = (label for _, label in join._early._table.scan())
    assert len(early.reports) == MOST_REPORTS
    assert len(join._early._by_time) <= SPENT_TIMES + 10


def test_what_former_releases_wrote_of_what_waits_is_read():
    """They knew of one label that came early, and of no reports."""
    written = Partition()
    written.join.enrol(pending("p", at_ms=100))
    written.join.label(Label("u", True, 105, prediction_id="q"))
    shortened = {}
    for key, value in written.state.changes():
        fields = msgspec.msgpack.decode(value or b"")
        n_fields = {b"p": 11, b"l": 2}[key[:1]]
        shortened[key] = msgspec.msgpack.encode(fields[:n_fields])
    assert [key[:1] for key in shortened] == [b"p", b"l"]

    read = Partition(changelog=list(shortened.items()))
    read.enrol("q", "u", 104)
    read.outcomes += read.join.advance(FOREVER)
    assert read.labels == {"q": True, "p": False}


@pytest.mark.parametrize("names", [{"event_id": "event of p"}, {"prediction_id": "p"}])
@pytest.mark.parametrize("value", [False, True])
def test_a_label_that_came_first_resolves_its_prediction_at_once(names, value):
    partition = Partition()
    assert partition.join.label(Label("u", value, 105, **names)) is None
    assert (partition.join.n_early, partition.join.fates.early) == (1, 1)
    partition.enrol("p", "u", 100)

    (outcome,) = partition.outcomes
    assert (outcome.prediction_id, outcome.label, outcome.labelled_at) == ("p", value, 105)
    assert (len(partition.join), partition.join.n_early) == (0, 0)
    assert partition.join.fates.unknown == 0


@pytest.mark.parametrize("rule", [RULE, RIPE, replace(RULE, revisable_for=HORIZON_MS * MS)])
@pytest.mark.parametrize("is_early", [True, False])
def test_who_judged_stands_in_the_outcome_whenever_it_was_said(rule, is_early):
    before = Partition(rule=rule)
    said = Label("u", True, 105, prediction_id="p", by="eve")
    if is_early:
        before.join.label(said)
    # A worker takes over: it is said in the state, too.
    partition = Partition(changelog=before.state.changes(), rule=rule)
    partition.enrol("p", "u", 100)
    if not is_early and (outcome := partition.join.label(said)) is not None:
        partition.outcomes.append(outcome)
    partition.outcomes += partition.join.advance(100 + HORIZON_MS + 1)
    revised = partition.join.label(Label("u", False, 120, prediction_id="p", by="bob"))

    assert [(each.label, each.by) for each in partition.outcomes] == [(True, "eve")]
    assert (revised is not None) == rule.is_revisable
    assert revised is None or (revised.label, revised.by) == (False, "bob")


def test_labels_that_came_first_are_counted_as_those_that_come_later():
    join = Partition().join
    join.label(Label("u", True, 105, prediction_id="p"))
    join.label(Label("u", True, 106, prediction_id="p"))
    join.label(Label("u", False, 107, prediction_id="p"))
    join.label(
        Label("u", False, 108, event_id="event of p")
    )  # it cannot be known yet what it means
    outcome = join.enrol(pending("p", at_ms=100))

    assert outcome is not None
    assert (outcome.label, outcome.labelled_at) == (True, 105)
    assert (join.fates.early, join.fates.duplicate, join.fates.conflicting) == (2, 1, 2)
    assert join.n_early == 0


def test_a_label_of_another_user_is_not_taken_for_an_early_one():
    join = Partition().join
    join.label(Label("v", True, 105, prediction_id="p"))

    assert join.enrol(pending("p", user="u", at_ms=100)) is None
    assert join.advance(105 + HORIZON_MS) != []
    assert (join.n_early, join.fates.unknown) == (1, 0)
    assert join.advance(105 + HORIZON_MS + 1) == []
    assert (join.n_early, join.fates.unknown) == (0, 1)


def test_labels_that_no_prediction_comes_for_make_room_for_newer_ones():
    join = Partition(capacity=3).join
    for n in range(10):
        join.label(Label("u", True, 100 + n, event_id=f"event of {n}"))
    assert (join.n_early, join.fates.unknown) == (3, 7)

    assert [join.enrol(pending(str(n), at_ms=100)) is not None for n in (6, 7, 8, 9)] == [
        *(False, True, True, True)
    ]


def test_early_labels_that_were_taken_leave_no_trace_for_long():
    join = Partition(capacity=10).join
    for n in range(20_000):
        join.label(Label("u", True, 100, prediction_id=str(n)))
        join.enrol(pending(str(n), at_ms=99))

    assert len(join._early._by_time) <= SPENT_TIMES + 10


@settings(deadline=None)
@given(EVENTS)
def test_when_all_is_resolved_the_changelog_holds_nothing(events):
    partition = Partition()
    changelog: list[Change] = []
    for n, event in enumerate(events):
        partition.arrive(str(n), event)
        changelog += partition.state.changes()
    partition.join.advance(FOREVER)
    changelog += partition.state.changes()

    assert [key for key, value in dict(changelog).items() if value is not None] == []


@settings(deadline=None)
@given(st.lists(st.integers(0, 100), min_size=1), st.integers(2, 50))
def test_a_fixed_delay_asks_and_answers_as_simulate_qa_of_river_does(gaps, delay_ms):
    times = [sum(gaps[: n + 1]) for n in range(len(gaps))]
    rows: list[tuple[dict[Hashable, int], bool]] = [({"t": at_ms}, False) for at_ms in times]
    expected = [(str(n), y) for n, _, y in stream.simulate_qa(rows, moment="t", delay=delay_ms)]

    # Nobody says anything: every answer is no, and comes once the watermark is past t + delay - 1.
    rule = reported_within((delay_ms - 1) * MS)
    tables = pending_table(), positives_table(), early_labels_table(), settled_table()
    join = LabelJoin(rule, *tables, told=told_values_table(), capacity=1_000)
    actual: list[tuple[str, object]] = []
    for n, at_ms in enumerate(times):
        actual += [(o.prediction_id, o.label) for o in join.advance(at_ms)]
        join.enrol(pending(str(n).zfill(4), at_ms=at_ms))
        actual.append((str(n).zfill(4), None))
    actual += [(o.prediction_id, o.label) for o in join.advance(FOREVER)]

    assert [(str(int(name)), y) for name, y in actual] == expected


@pytest.mark.parametrize(
    ("after_ms", "label"), [(-1, False), (0, False), (1, True), (30, True), (31, False)]
)
@pytest.mark.parametrize("act_first", [False, True])
def test_acting_counts_after_the_prediction_until_its_horizon_ends(after_ms, label, act_first):
    partition = Partition()
    if not act_first:
        partition.enrol("p", "u", 100)
    partition.outcomes += partition.join.observe("u", "buy", 100 + after_ms)
    if act_first:
        partition.enrol("p", "u", 100)
    partition.outcomes += partition.join.advance(FOREVER)

    assert partition.labels == {"p": label}


@settings(deadline=None)
@given(events=EVENTS)
def test_nothing_that_a_user_does_is_a_label_where_labels_are_reported(events):
    partition = Partition(rule=REPORTED)
    for n, event in enumerate(events):
        partition.arrive(str(n), event)
    assert partition.outcomes == []
    assert list(partition.join._positives._table.scan()) == []
    reported = {str(n): n % 2 == 0 for n in range(len(events)) if n % 3}
    for n, event in enumerate(events):
        if n % 3:
            partition.take_in("", Label(event.user, n % 2 == 0, event.at_ms, prediction_id=str(n)))
    partition.outcomes += partition.join.advance(FOREVER)

    assert partition.labels == {str(n): reported.get(str(n), False) for n in range(len(events))}
    assert {outcome.target for outcome in partition.outcomes} <= {REPORTED.target}


def test_an_action_near_the_watermark_is_found_by_a_prediction_that_comes_after_it():
    partition = Partition()
    partition.join.advance(100)
    partition.outcomes += partition.join.observe("u", "buy", 101)
    partition.enrol("p", "u", 100)

    assert partition.labels == {"p": True}


def test_an_outcome_carries_what_was_served():
    partition = Partition()
    partition.arrive("p", Event("u", 100, "view"))
    partition.state.changes()
    partition.arrive("q", Event("u", 110, "buy"))

    assert partition.outcomes == [
        Outcome(
            prediction_id="p",
            use_case="test",
            user_id="u",
            event_at=100,
            labelled_at=110,
            label=True,
            score=0.25,
            model="m_v1",
            model_version=3,
            schema="5ca1ab1e",
            features=[0.1, 100.0],
            target=RULE.target,
        )
    ]


@pytest.mark.parametrize("target", ["", happens_within("view", HORIZON_MS * MS).target])
def test_what_began_to_wait_under_another_rule_is_an_outcome_of_none(target):
    join = Partition().join
    join.enrol(pending("p", at_ms=100, target=target))

    assert [each.target for each in join.observe("u", "buy", 105)] == [""]


def test_a_negative_is_known_when_its_horizon_ends():
    partition = Partition()
    partition.enrol("p", "u", 100)

    assert partition.join.advance(100 + HORIZON_MS) == []
    (outcome,) = partition.join.advance(100 + HORIZON_MS + 1)
    assert (outcome.label, outcome.labelled_at) == (False, 100 + HORIZON_MS)


@pytest.mark.parametrize("names", [{"event_id": "event of p"}, {"prediction_id": "p"}])
def test_a_label_resolves_the_prediction_it_names(names):
    partition = Partition()
    partition.enrol("p", "u", 100)

    outcome = partition.join.label(Label("u", True, 105, **names))

    assert outcome is not None
    assert (outcome.prediction_id, outcome.label, outcome.labelled_at) == ("p", True, 105)
    assert partition.join.advance(FOREVER) == []


def test_the_first_label_stands_and_the_others_are_counted():
    join = Partition().join
    join.enrol(pending("p"))

    assert join.label(Label("u", False, 1, prediction_id="p")) is not None
    assert join.label(Label("u", False, 2, event_id="event of p")) is None
    assert join.label(Label("u", True, 3, prediction_id="p")) is None
    assert (join.fates.duplicate, join.fates.conflicting, join.fates.early) == (1, 1, 0)


def test_a_label_of_another_user_is_unknown():
    join = Partition().join
    join.enrol(pending("p", user="u"))

    assert join.label(Label("v", True, 1, prediction_id="p")) is None
    assert join.fates.unknown == 1
    assert len(join) == 1


def test_a_prediction_that_waits_is_not_enrolled_again():
    partition = Partition()
    partition.enrol("p", "u", 100)
    partition.enrol("p", "u", 100)
    partition.outcomes += partition.join.advance(FOREVER)

    assert partition.labels == {"p": False}
    assert len(partition.join) == 0


def test_resolved_names_are_forgotten_in_the_end():
    join = Partition(capacity=3).join
    for n in range(6):
        join.enrol(pending(str(n)))
        join.label(Label("u", True, 1, prediction_id=str(n)))

    for n in range(6):
        assert join.label(Label("u", True, 2, prediction_id=str(n))) is None
    assert (join.fates.early, join.fates.duplicate) == (4, 2)


def test_what_one_action_fulfils_is_told_in_order_of_events_also_after_an_undo():
    partition = Partition()
    for prediction_id, at_ms in (("third", 30), ("first", 10), ("second", 20)):
        partition.join.enrol(pending(prediction_id, at_ms=at_ms))
    partition.state.changes()
    partition.join.observe("u", "buy", 15)
    partition.join.undo()

    fulfilled = partition.join.observe("u", "buy", 35)
    assert [each.prediction_id for each in fulfilled] == ["first", "second", "third"]


def test_a_prediction_whose_horizon_has_passed_is_not_enrolled():
    join = Partition().join
    join.advance(100)

    assert join.enrol(pending("just in time", at_ms=100 - HORIZON_MS)) is None
    assert (join.fates.late, len(join)) == (0, 1)
    assert join.enrol(pending("late", at_ms=100 - HORIZON_MS - 1)) is None
    assert (join.fates.late, len(join)) == (1, 1)


def test_when_there_is_no_room_a_prediction_is_refused_whatever_is_known_of_it():
    partition = Partition(capacity=2)
    partition.join.observe("v", "buy", 103)
    for prediction_id, user, at_ms in (("b", "u", 101), ("a", "u", 100), ("c", "v", 102)):
        partition.enrol(prediction_id, user, at_ms)
    partition.outcomes += partition.join.advance(FOREVER)

    assert partition.labels == {"b": False, "a": False}
    assert partition.join.fates.refused == 1


@pytest.mark.parametrize("capacity", [100_000, 200, 20])
def test_the_share_of_positives_does_not_depend_on_the_room(capacity):
    """Every second prediction comes true: a tenth of the horizon after it was made."""
    partition = Partition(capacity)
    for n in range(4_000):
        at_ms = n * HORIZON_MS // 100
        partition.enrol(str(n), f"u{n}", at_ms)
        if n % 2:
            partition.outcomes += partition.join.observe(f"u{n - 10}", "buy", at_ms)
        partition.outcomes += partition.join.advance(at_ms)
    labels = list(partition.labels.values())

    assert len(labels) >= 10 * capacity or partition.join.fates.refused == 0
    assert sum(labels) / len(labels) == pytest.approx(0.5, abs=0.1)


def test_what_is_resolved_early_leaves_no_trace_for_long():
    partition = Partition(capacity=10)
    for n in range(20_000):
        partition.enrol(str(n), "u", n % 50)
        partition.outcomes += partition.join.observe("u", "buy", n % 50 + 1)

    assert len(partition.join._deadlines) <= SPENT_DEADLINES + 2 * 10
    assert len(partition.join._positives._by_time) <= SPENT_TIMES + 10


@settings(deadline=None)
@given(EVENTS, st.integers(1, 5))
def test_every_prediction_has_exactly_one_fate(events, capacity):
    partition = Partition(capacity)
    for n, event in enumerate(events):
        partition.arrive(str(n), event)
        partition.outcomes += partition.join.advance(event.at_ms)
        assert len(partition.join) <= capacity
    partition.outcomes += partition.join.advance(FOREVER)

    fates = partition.join.fates
    assert fates.positive == sum(partition.labels.values())
    assert fates.negative == len(partition.labels) - fates.positive
    assert len(partition.labels) + fates.late + fates.refused == len(events)
