"""Laws of labels that are read from events, held against all events in hindsight."""

from fractions import Fraction
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import InvalidDeclaration
from schemas.events import UserEvent
from schemas.labels import Label, LabelType
from streams import told_values
from streams.field_label import FieldLabel, label_in
from streams.label_rule import LabelRule, field_within, happens_within, reported_within
from streams.told_values import ToldValues, told_values_table
from tests.streams.label_histories import (
    FOREVER,
    HORIZON_MS,
    LATENESS_MS,
    MS,
    Event,
    Partition,
    played,
)

HORIZON = HORIZON_MS * MS
AMOUNTS = (*(0.1, 0.2, 0.3, 1e12, -1e12), 3, None, 1e300, float("nan"), True)
CLASSES = ("books", "toys", "music", "", None, "x" * 257)


def rule_of(says: LabelType, take: Any, otherwise: Any = None) -> LabelRule:
    return field_within("buy", "field", HORIZON, says=says, take=take, otherwise=otherwise)


class Case(NamedTuple):
    """A rule, and what its field may hold."""

    rule: LabelRule
    values: tuple[object, ...]

    def __str__(self) -> str:
        assert self.rule.field is not None
        field = self.rule.field
        return f"{self.rule.says.__name__}-{field.take}-{field.otherwise}"


CASES = [
    Case(rule_of(float, "first"), AMOUNTS),
    Case(rule_of(float, "last", 7.5), AMOUNTS),
    Case(rule_of(float, "sum", 0.0), AMOUNTS),
    Case(rule_of(float, "max"), AMOUNTS),
    Case(rule_of(str, "first", "none"), CLASSES),
    Case(rule_of(str, "last"), CLASSES),
]


def events_of(values: tuple[object, ...]) -> st.SearchStrategy[list[Event]]:
    event = st.builds(
        Event,
        user=st.sampled_from("ab"),
        at_ms=st.integers(100, 200),
        action=st.sampled_from(["buy", "buy", "view"]),
        delay_ms=st.integers(0, LATENESS_MS),
        then=st.sampled_from(["", "batch ends", "batch is undone", "worker dies"]),
        value=st.sampled_from(values),
    )
    return st.lists(event, max_size=30)


def is_label(value: Any, says: LabelType) -> bool:
    if says is str:
        return type(value) is str and 1 <= len(value) <= 256
    return type(value) in (int, float) and -1e12 <= value <= 1e12


def read_in_hindsight(rule: LabelRule, asked: Event, events: list[Event]) -> Any:
    """Find the label of a prediction among all events that there ever were."""
    assert rule.field is not None
    told = [
        (event.at_ms, event.value)
        for event in events
        if event.user == asked.user
        and event.action == "buy"
        and asked.at_ms < event.at_ms <= asked.at_ms + HORIZON_MS
        and is_label(event.value, rule.says)
    ]
    if not told:
        return rule.field.otherwise
    values: Any = [value for _, value in told]
    match rule.field.take:
        case "first":
            return min(value for at_ms, value in told if at_ms == min(told)[0])  # type: ignore[type-var]
        case "last":
            return max(value for at_ms, value in told if at_ms == max(told)[0])  # type: ignore[type-var]
        case "sum":
            return float(sum(map(Fraction, values)))
        case "max":
            return max(values)


@pytest.mark.parametrize("case", CASES, ids=str)
@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_any_order_within_the_lateness_gives_the_labels_of_hindsight(case, data):
    rule, values = case
    events = data.draw(events_of(values))
    arrivals = [(event.at_ms + event.delay_ms, str(n), event) for n, event in enumerate(events)]
    partition, changelog = played(rule, arrivals)

    assert partition.labels == {
        str(n): read_in_hindsight(rule, event, events) for n, event in enumerate(events)
    }
    for outcome in partition.outcomes:
        assert outcome.label is None or type(outcome.label) is rule.says
        assert (outcome.weight, outcome.judged) == (1.0, outcome.label is not None)
        assert outcome.labelled_at == outcome.event_at + HORIZON_MS
    assert {value for value in dict(changelog).values() if value is not None} == set()


@settings(deadline=None, max_examples=50)
@given(events=events_of((1.0, 2.0)), most=st.integers(1, 4))
def test_who_says_more_than_is_kept_makes_labels_unknown_and_none_wrong(events, most):
    rule = rule_of(float, "sum", 0.0)
    arrivals = [(event.at_ms + event.delay_ms, str(n), event) for n, event in enumerate(events)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(told_values, "MOST_VALUES", most)
        partition, _ = played(rule, arrivals)

    for n, event in enumerate(events):
        after = [e for e in events if e.user == event.user and e.at_ms > event.at_ms]
        label = partition.labels[str(n)]
        if label is None:
            assert sum(e.action == "buy" for e in after) >= most
        else:
            assert label == read_in_hindsight(rule, event, events)


def buy(value: object, at_ms: int = 110) -> Event:
    return Event("u", at_ms, "buy", value=value)


def asked(rule: LabelRule, *events: Event, **more: Any) -> Partition:
    """Let a prediction `p` wait from 100 on, and events of its user come."""
    partition = Partition(rule=rule, **more)
    partition.enrol("p", "u", 100)
    for event in events:
        partition.outcomes += partition.join.observe("u", "buy", event.at_ms, event.value)
    return partition


def test_nothing_is_known_before_the_horizon_ends_and_the_fate_tells_it():
    partition = asked(rule_of(float, "first"), buy(3.0), buy("much"), buy(None))
    partition.outcomes += partition.join.advance(100 + HORIZON_MS)
    before = dict(partition.labels)
    partition.outcomes += partition.join.advance(101 + HORIZON_MS)
    fates = partition.join.fates

    assert (before, partition.labels) == ({}, {"p": 3.0})
    assert (fates.labelled, fates.unusable, fates.crowded) == (1, 1, 0)


def test_too_much_is_counted(monkeypatch):
    monkeypatch.setattr(told_values, "MOST_VALUES", 1)
    partition = asked(rule_of(float, "last"), buy(3.0), buy(4.0))
    partition.outcomes += partition.join.advance(FOREVER)

    assert partition.labels == {"p": None}
    assert (partition.join.fates.crowded, partition.join.fates.unreported) == (1, 1)


@pytest.mark.parametrize("first", [True, False])
def test_what_is_reported_outranks_what_events_say(first):
    partition = asked(rule_of(float, "sum", 0.0), *([] if first else [buy(3.0)]))
    partition.take_in("p", Label("u", 8.0, 105, prediction_id="p"))
    partition.outcomes += partition.join.observe("u", "buy", 111, 4.0)
    partition.outcomes += partition.join.advance(FOREVER)

    assert partition.labels == {"p": 8.0}


def test_what_was_said_under_another_rule_makes_labels_unknown_and_none_wrong():
    """Be it of another type, or of another field: it cannot be read, and a part is not all."""
    before = asked(rule_of(float, "sum"), buy(3.0))
    changelog = list(before.state.changes())
    after = asked(rule_of(str, "last", "none"), buy("books", 105), changelog=changelog)
    after.outcomes += after.join.advance(FOREVER)
    (outcome,) = after.outcomes  # `p` waits on, under the target of the former rule
    left = {value for value in dict([*changelog, *after.state.changes()]).values() if value}

    assert (outcome.label, outcome.target) == (None, "")
    assert after.join.fates.crowded == 1
    assert left == set()


def test_a_rule_that_comes_back_does_not_take_what_it_missed_for_nothing():
    first, between = rule_of(float, "sum", 0.0), rule_of(float, "max", 0.0)
    log = list(asked(first, buy(3.0)).state.changes())
    other = Partition(changelog=log, rule=between)
    other.join.observe("u", "buy", 105, 7.0)
    again = Partition(changelog=[*log, *other.state.changes()], rule=first)
    (outcome,) = again.join.advance(FOREVER)

    assert (outcome.label, outcome.target) == (None, first.target)


def test_a_join_that_reads_no_field_forgets_what_one_before_it_remembered():
    before = asked(rule_of(float, "sum"), buy(3.0))
    changelog = list(before.state.changes())
    after = Partition(changelog=changelog, rule=happens_within("buy", HORIZON))
    after.join.advance(FOREVER)

    assert not {value for value in dict([*changelog, *after.state.changes()]).values() if value}


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 60)), max_size=30))
def test_what_is_undone_leaves_no_trace(undone):
    table = told_values_table()
    told = ToldValues(table, HORIZON, target="t")
    told.remember("a", 30, 1.0)
    logged = dict(table.changes())
    for user, at_ms in undone:
        told.remember(user, at_ms, 2.0)
    told.forget(61 + HORIZON_MS)
    told.undo()

    assert {user: table.raw(user) for user in "ab" if user in table} == {
        key[1:].decode(): raw for key, raw in logged.items()
    }
    told.forget(31 + HORIZON_MS)
    assert len(told) == 0


def test_values_that_made_room_leave_no_trace_for_long(monkeypatch):
    monkeypatch.setattr(told_values, "MOST_VALUES", 2)
    told = ToldValues(told_values_table(), HORIZON, target="t")
    for n in range(3 * told_values.SPENT_TIMES):
        told.remember("a", n, 1.0)

    assert len(told._by_time) <= 2 * 2 + told_values.SPENT_TIMES + 1
    told.forget(FOREVER)
    assert (told._by_time, told._n_values, len(told)) == ([], 0, 0)


def test_a_sum_is_rounded_once():
    told = [(1, 1e12), (2, 0.1), (3, -1e12)]

    assert FieldLabel("field", "sum").of(told) == 0.1


def test_a_rule_asks_the_same_only_if_all_of_it_is_the_same():
    rules = [case.rule for case in CASES]
    rules += [
        rule_of(float, "sum"),
        rule_of(float, "sum", 1.0),
        field_within("buy", "other", HORIZON, says=float, take="sum", otherwise=0.0),
        field_within("view", "field", HORIZON, says=float, take="sum", otherwise=0.0),
        reported_within(HORIZON, says=float, positive="at_maturity"),
        happens_within("buy", HORIZON, positive="at_maturity"),
    ]

    assert len({rule.target for rule in rules}) == len(rules)
    assert rule_of(float, "sum", 0).target == rule_of(float, "sum", 0.0).target


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({"says": bool}, "says bool"),
        ({"says": str, "take": "sum"}, "take='sum', which is not one of first, last"),
        ({"says": float, "take": "mean"}, "take='mean', which is not one of first, last, sum, max"),
        ({"says": float, "otherwise": "none"}, "otherwise='none', which is no float"),
        ({"says": float, "otherwise": True}, "otherwise=True, which is no float"),
        ({"says": float, "otherwise": float("nan")}, "otherwise=nan, which is no float"),
        ({"says": str, "otherwise": ""}, "otherwise='', which is no str"),
    ],
)
def test_a_rule_that_can_tell_nothing_is_refused_by_its_name(said, problem):
    with pytest.raises(
        InvalidDeclaration, match=f"label rule `buy` of the field `amount`.*{problem}"
    ):
        field_within("buy", "amount", HORIZON, **said)


def test_a_field_needs_an_action_and_the_time_to_read_it():
    told: dict[str, Any] = {"says": float, "silence": "unknown", "field": FieldLabel("amount")}
    with pytest.raises(InvalidDeclaration, match="declare it by `field_within`"):
        LabelRule(None, HORIZON, "at_maturity", **told)
    with pytest.raises(InvalidDeclaration, match="declare it by `field_within`"):
        LabelRule("buy", HORIZON, "at_once", **told)


@pytest.mark.parametrize(
    ("field", "says", "problem"),
    [
        ("size", float, "`size` is no field of UserEvent"),
        ("item_id", float, "`item_id` is not a number of UserEvent"),
        ("amount", str, "`amount` is not text of UserEvent"),
        ("user_id", str, "`user_id` is not text of UserEvent"),
    ],
)
def test_a_field_that_events_have_not_is_refused(field, says, problem):
    with pytest.raises(InvalidDeclaration, match=problem):
        field_within("buy", field, HORIZON, says=says).reader(UserEvent)


def test_the_field_of_an_event_is_read():
    event = UserEvent("u", "buy", 0, amount=3.5, item_id="i7")

    assert field_within("buy", "amount", HORIZON, says=float).reader(UserEvent)(event) == 3.5
    assert field_within("buy", "item_id", HORIZON, says=str).reader(UserEvent)(event) == "i7"
    assert happens_within("buy", HORIZON).reader(UserEvent)(event) is None


@given(st.one_of(st.none(), st.text(max_size=3), st.floats(), st.integers(), st.booleans()))
def test_what_is_read_is_a_label_or_nothing(value):
    for says in (str, float):
        found = label_in(value, says)
        assert (found is not None) == is_label(value, says)
        assert found is None or (type(found) is says and found == value)
