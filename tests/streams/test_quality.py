"""Laws of data quality, held against a recomputation that looks at one value at a time."""

from collections import Counter
from datetime import timedelta
from functools import reduce
from operator import add
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import InvalidDeclaration, InvalidRecord
from schemas.events import UserEvent
from schemas.reasons import Reason
from streams.expectations import Expectation, expect
from streams.features import action, count, derived, field_value, one_of
from streams.frequent import CAPACITY
from streams.quality import RECORD, QualityJudge, Tally, features_by_fields


class Sale(UserEvent, gc=False):
    platform: str | None = None
    quantity: int | None = None


pay = action({"pay"}, name="pay")
EXPECTATIONS = (
    expect("platform", one_of={"web", "app"}, required=True),
    expect("amount", pay, between=(0, 100), required=True),
    expect("quantity", between=(1, 10)),
    expect("session_id"),
)
FEATURES = (
    one_of("platform", ("web",)),
    field_value("amount"),
    field_value("quantity"),
    derived("price", lambda amount, n: amount / n if n else 0.0, "event_amount", "event_quantity"),
)
JUDGE = QualityJudge(EXPECTATIONS, Sale, FEATURES)

events = st.builds(
    Sale,
    user_id=st.just("u"),
    action=st.sampled_from(["pay", "view"]),
    ts=st.just(0),
    session_id=st.none() | st.just("s"),
    platform=st.none() | st.sampled_from(["web", "app", "tv", "fridge", "w" * 500]),
    amount=st.none() | st.sampled_from([0.0, 100.0]) | st.floats(-200, 200),
    quantity=st.none() | st.integers(-5, 20) | st.just(10**18),
)
refusals = st.builds(
    InvalidRecord,
    st.sampled_from([Reason.INVALID_FIELD, Reason.NOT_JSON, Reason.FUTURE_TS]),
    st.text(max_size=3),
    field=st.none() | st.sampled_from(["amount", "ts"]),
)


@st.composite
def batches(draw: st.DrawFn) -> dict[str, Any]:
    served = draw(st.lists(events, max_size=12))
    return {
        "served": served,
        "refused": draw(st.lists(refusals, max_size=4)),
        "duplicates": draw(st.integers(0, 5)),
        "late": draw(st.integers(0, len(served))),
    }


def judge(batch: dict[str, Any]) -> Tally:
    return JUDGE.judge(
        batch["served"], batch["refused"], duplicates=batch["duplicates"], late=batch["late"]
    )


NOTHING: dict[str, Any] = {"served": [], "refused": [], "duplicates": 0, "late": 0}


def is_checked(expectation: Expectation, event: Sale) -> bool:
    return expectation.only is None or event.action in expectation.only.actions


def finding_of(expectation: Expectation, value: Any) -> str | None:
    if value is None:
        return "null" if expectation.required else None
    if expectation.one_of is not None and value not in expectation.one_of:
        return "unknown_category"
    if expectation.between is not None:
        low, high = expectation.between
        return None if low <= value <= high else "out_of_range"
    return None


def naive_findings(batch: dict[str, Any]) -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    for event in batch["served"]:
        for each in EXPECTATIONS:
            finding = finding_of(each, getattr(event, each.field))
            if is_checked(each, event) and finding is not None:
                found[each.field, finding] += 1
    for refusal in batch["refused"]:
        found[refusal.field or RECORD, refusal.reason] += 1
    return found


def naive_score(batch: dict[str, Any]) -> float:
    """Go through the checks of each event."""
    checks: list[bool] = []
    for event in batch["served"]:
        checks += [
            finding_of(each, getattr(event, each.field)) is None
            for each in EXPECTATIONS
            if is_checked(each, event)
        ]
        checks += [True, True]
    for _ in range(batch["duplicates"]):
        checks += [False, True]
    for _ in batch["refused"]:
        checks += [False] * (len(EXPECTATIONS) + 2)
    n_good = sum(checks) - batch["late"]
    return n_good / len(checks) if checks else 1.0


@settings(deadline=None)
@given(batches())
def test_findings_are_those_of_each_value(batch):
    tally = judge(batch)

    assert tally.found == naive_findings(batch)
    for each in EXPECTATIONS:
        values = [getattr(e, each.field) for e in batch["served"] if is_checked(each, e)]
        assert tally.checks[each.field] == len(values)
        assert tally.nulls[each.field] == sum(value is None for value in values)


@settings(deadline=None)
@given(batches())
def test_the_score_is_the_share_of_checks_without_a_finding(batch):
    score = judge(batch).score(len(EXPECTATIONS))

    assert score == pytest.approx(naive_score(batch))
    assert 0 <= score <= 1


@settings(deadline=None)
@given(st.lists(batches(), max_size=4))
def test_tallies_add_up_wherever_batches_are_cut(parts):
    """Of batches, partitions and processes."""
    whole: dict[str, Any] = {
        "served": [event for part in parts for event in part["served"]],
        "refused": [refusal for part in parts for refusal in part["refused"]],
        "duplicates": sum(part["duplicates"] for part in parts),
        "late": sum(part["late"] for part in parts),
    }
    added, at_once = reduce(add, map(judge, parts), judge(NOTHING)), judge(whole)
    added.exemplars = at_once.exemplars = {}

    assert added == at_once


@settings(deadline=None)
@given(batches())
def test_features_are_missing_when_what_they_read_is_null(batch):
    tally, served = judge(batch), batch["served"]

    assert Counter(tally.missing) == +Counter(
        platform_is_web=sum(event.platform is None for event in served),
        event_amount=sum(event.amount is None for event in served),
        event_quantity=sum(event.quantity is None for event in served),
        price=sum(None in (event.amount, event.quantity) for event in served),
    )


@settings(deadline=None)
@given(st.lists(batches(), max_size=4))
def test_exemplars_are_values_that_came_few_and_short(parts):
    tally = reduce(add, map(judge, parts), judge(NOTHING))
    unknown = tally.exemplars.get(("platform", "unknown_category"), {})
    came = Counter(event.platform for part in parts for event in part["served"])

    for where, summary in tally.exemplars.items():
        assert len(summary) <= CAPACITY
        assert all(len(value) <= 120 for value in summary)
        assert tally.found[where] >= sum(summary.values())
    assert {value: n for value, n in unknown.items() if len(value) < 120} == {
        value: came[value] for value in ("tv", "fridge") if came[value]
    }


def test_windows_are_never_missing():
    assert (
        features_by_fields([count(over=timedelta(seconds=1)), derived("x", abs, "event_count_1s")])
        == {}
    )


def test_whatever_else_is_wrong_nothing_is_perfect():
    assert Tally().score(5) == 1.0
    assert Tally(served=4).score(0) == 1.0
    assert Tally(duplicates=4).score(0) == 0.5
    assert Tally(found={("*", "not_json"): 3}).score(7) == 0.0


@pytest.mark.parametrize(
    ("declare", "problem"),
    [
        (lambda: expect("colour"), "the expectation of `colour` is of no field that Sale has"),
        (
            lambda: expect("quantity", one_of=["1"]),
            "the expectation of `quantity` has `one_of`, but the field is not text in Sale",
        ),
        (
            lambda: expect("user_id", one_of=["u"]),
            "the expectation of `user_id` has `one_of`, but the field is not text in Sale",
        ),
        (
            lambda: expect("platform", between=(0, 1)),
            "the expectation of `platform` has `between`, but the field is not a number in Sale",
        ),
        (
            lambda: expect("amount", between=(0, float("nan"))),
            "the expectation of `amount` needs two ascending numbers for `between`, not (0, nan)",
        ),
        (
            lambda: expect("platform", one_of=()),
            "the expectation of `platform` needs several texts, not ()",
        ),
        (
            lambda: expect("amount", one_of=["a"], between=(0, 1)),
            "the expectation of `amount` is either `one_of` some values or `between` two numbers,"
            " not both",
        ),
        (
            lambda: expect("amount", tolerance=1),
            "the expectation of `amount` needs a `tolerance` between 0 and 1, not 1",
        ),
    ],
)
def test_a_wrong_expectation_is_named_when_the_pipeline_is_built(declare, problem):
    with pytest.raises(InvalidDeclaration) as caught:
        QualityJudge([declare()], Sale)

    assert str(caught.value) == problem


def test_a_field_has_one_expectation():
    with pytest.raises(InvalidDeclaration, match=r"of `amount` is declared twice"):
        QualityJudge([expect("amount"), expect("amount", pay, between=(0, 1))], Sale)
