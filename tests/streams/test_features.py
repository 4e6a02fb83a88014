"""What may be declared, and what is refused at once."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import InvalidDeclaration
from streams.entities import Entity
from streams.expectations import expect
from streams.feature_kinds import span_name
from streams.features import (
    action,
    count,
    decayed_count,
    derived,
    one_of,
    request_time,
    top_value,
    total,
)

UNITS = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds", "ms": "milliseconds"}


@pytest.mark.parametrize(
    "span",
    [
        timedelta(),
        timedelta(hours=-1),
        timedelta(microseconds=1),
        timedelta(days=1, microseconds=5),
    ],
)
def test_a_span_is_a_positive_number_of_milliseconds(span):
    with pytest.raises(InvalidDeclaration, match="`amount_total` needs a span"):
        total("amount", over=span)


@pytest.mark.parametrize("name", ["", "two words", "event", "x-y"])
def test_a_filters_name_must_fit_into_feature_names(name):
    with pytest.raises(InvalidDeclaration, match="part of feature names"):
        action({"buy"}, name=name)


@pytest.mark.parametrize("actions", [set(), {"Buy"}])
def test_a_filter_needs_actions_as_cleaning_leaves_them(actions):
    with pytest.raises(InvalidDeclaration, match="filter `buy` needs"):
        action(actions, name="buy")


@pytest.mark.parametrize(
    "declare",
    [
        lambda text: action(text, name="buy"),
        lambda text: one_of("platform", text),
        lambda text: top_value("platform", text, over=timedelta(days=1)),
        lambda text: expect("platform", one_of=text),
        lambda text: Entity("item", text),
    ],
)
def test_one_text_is_not_taken_for_its_letters(declare):
    with pytest.raises(InvalidDeclaration, match=r"needs several texts, as \('web',\), not 'web'"):
        declare("web")
    declare(("web",))


@pytest.mark.parametrize("span", [3_600, 0.5, "1h", None])
def test_a_span_is_a_timedelta(span):
    with pytest.raises(InvalidDeclaration, match="`amount_total` needs a timedelta as its span"):
        total("amount", over=span)
    with pytest.raises(InvalidDeclaration, match="needs a timedelta as its half-life"):
        decayed_count(half_life=span)


@pytest.mark.parametrize(
    ("function", "complaint"),
    [
        (5, "`share` needs a function, not 5"),
        (lambda a, b: a / b, "`share`: its function cannot take amount: missing a required"),
        (lambda: 1.0, "`share`: its function cannot take amount: too many"),
    ],
)
def test_a_function_takes_what_the_feature_is_of(function, complaint):
    with pytest.raises(InvalidDeclaration, match=complaint):
        derived("share", function, "amount")
    with pytest.raises(InvalidDeclaration, match=complaint):
        request_time("share", function, "amount")


def test_a_filtered_count_is_named_after_its_filter():
    assert count(action({"buy"}, name="sale"), over=timedelta(days=90)).names == ("sale_count_90d",)


@given(st.integers(1, 10**10))
def test_a_span_can_be_read_back_from_its_name(ms):
    name = span_name(timedelta(milliseconds=ms))
    number = name.rstrip("dhms")

    assert (
        timedelta(**{UNITS[name.removeprefix(number)]: int(number)}) // timedelta(milliseconds=1)
        == ms
    )


def test_a_span_without_a_name_is_refused():
    with pytest.raises(InvalidDeclaration, match="positive number of whole milliseconds"):
        span_name(timedelta(microseconds=1))


def test_a_half_life_is_a_positive_number_of_milliseconds():
    with pytest.raises(InvalidDeclaration, match="`event_decayed_count` needs a half-life"):
        decayed_count(half_life=timedelta())


@pytest.mark.parametrize(
    ("name", "of", "version", "complaint"),
    [
        ("two words", ("a",), 1, "cannot be called 'two words'"),
        ("alone", (), 1, "`alone` is derived of nothing"),
        ("early", ("a",), 0, "`early`: versions count from 1"),
        ("half", ("a",), 1.5, "`half`: versions count from 1"),
    ],
)
def test_a_derived_feature_has_a_name_an_origin_and_a_version(name, of, version, complaint):
    with pytest.raises(InvalidDeclaration, match=complaint):
        derived(name, float, *of, version=version)


def test_a_feature_of_request_time_is_a_function_of_fields():
    with pytest.raises(InvalidDeclaration, match="`alone` is a function of no field"):
        request_time("alone", float)


def test_a_top_value_has_a_span_and_values_to_tell_of():
    with pytest.raises(InvalidDeclaration, match="`platform_top` needs a span"):
        top_value("platform", ("web",), over=timedelta())
    with pytest.raises(InvalidDeclaration, match="`top_value` of `platform` needs several"):
        top_value("platform", (), over=timedelta(days=1))
    with pytest.raises(InvalidDeclaration, match="`one_of` of `platform` needs several"):
        one_of("platform", ())
