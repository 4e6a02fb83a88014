"""What a label rule may declare, and when two rules ask the same."""

from dataclasses import replace
from datetime import timedelta

import pytest

from schemas.errors import InvalidDeclaration
from streams.label_rule import happens_within, reported_within

MS = timedelta(milliseconds=1)
HORIZONS = (MS, 30 * MS, timedelta(days=14))


def test_rules_have_one_target_only_if_they_ask_the_same():
    rules = [
        happens_within(action, horizon)
        for action in ("buy", "view", "reported")
        for horizon in HORIZONS
    ]
    rules += [reported_within(horizon) for horizon in HORIZONS]
    rules += [replace(rule, positive="at_maturity") for rule in rules]
    again = happens_within("buy", timedelta(days=13, hours=24))

    assert len({rule.target for rule in rules}) == len(rules)
    assert again.target == rules[2].target


def test_models_of_former_releases_go_on_with_the_rule_they_learned():
    assert happens_within("purchase", timedelta(minutes=30)).target == "d351d2a0"


def test_weights_do_not_change_what_is_asked():
    assert (
        reported_within(MS, keep_negatives=0.1).target
        == reported_within(MS, keep_negatives=0.2).target
        == reported_within(MS, revisable_for=MS).target
        == reported_within(MS, fake_negatives=True).target
        == reported_within(MS).target
    )


@pytest.mark.parametrize("share", [0.0, -0.1, 1.1, 1e-9, float("nan")])
def test_a_share_of_negatives_that_is_none_is_refused(share):
    with pytest.raises(InvalidDeclaration, match=f"`buy` has keep_negatives={share}, which is no"):
        happens_within("buy", MS, keep_negatives=share)


@pytest.mark.parametrize("rule", [("", 30 * MS), ("Buy", 30 * MS), ("buy", 0 * MS)])
def test_a_rule_needs_an_action_in_lower_case_and_a_horizon(rule):
    with pytest.raises(InvalidDeclaration, match="label rule"):
        happens_within(*rule)


def test_what_is_reported_needs_a_horizon_too():
    with pytest.raises(InvalidDeclaration, match="label rule `reported` needs a horizon > 0"):
        reported_within(0 * MS)


def test_a_policy_that_is_none_is_refused():
    with pytest.raises(InvalidDeclaration, match=r"positive='soon', not one of at_once, at_mat"):
        reported_within(MS, positive="soon")  # type: ignore[arg-type]  # as a typing error would


def test_nothing_is_revisable_for_less_than_no_time():
    with pytest.raises(InvalidDeclaration, match="has revisable_for=-1 day"):
        happens_within("buy", MS, revisable_for=-timedelta(days=1))


@pytest.mark.parametrize(
    ("choice", "name"),
    [
        ({"positive": "at_maturity"}, "positive='at_maturity'"),
        ({"keep_negatives": 0.5}, "keep_negatives"),
        ({"revisable_for": MS}, "revisable_for"),
    ],
)
def test_fake_negatives_go_with_nothing_else(choice, name):
    with pytest.raises(InvalidDeclaration, match=f"`buy` has fake_negatives, .* go with {name}"):
        happens_within("buy", MS, fake_negatives=True, **choice)


def test_rules_that_say_something_else_have_another_target():
    rules = [
        reported_within(MS),
        reported_within(MS, silence="unknown"),
        reported_within(MS, says=str),
        reported_within(MS, says=float),
        reported_within(MS, says=float, silence="zero"),
    ]

    assert len({rule.target for rule in rules}) == len(rules)
    assert [rule.silence for rule in rules] == ["negative", *["unknown"] * 3, "zero"]


@pytest.mark.parametrize(
    ("choices", "reason"),
    [
        ({"says": bytes}, r"has says=<class 'bytes'>, not one of bool, str, float"),
        ({"says": str, "silence": "negative"}, "says str: silence='negative' tells none"),
        ({"silence": "no"}, "has silence='no', not one of negative, unknown, zero"),
        ({"says": str, "silence": "zero"}, "says str: silence='zero' tells none"),
        ({"silence": "zero"}, "says bool: silence='zero' tells none"),
        (
            {"says": float, "silence": "zero", "keep_negatives": 0.5},
            "'zero', which does not go w",
        ),
        ({"silence": "unknown", "keep_negatives": 0.5}, "'unknown', which does not go with keep_n"),
        ({"says": float, "revisable_for": MS}, "'unknown', which does not go with revisable_for"),
        ({"says": str, "fake_negatives": True}, "'unknown', which does not go with fake_negatives"),
    ],
)
def test_what_makes_no_sense_of_what_labels_say_is_refused(choices, reason):
    with pytest.raises(InvalidDeclaration, match=reason):
        reported_within(MS, **choices)


def test_an_action_says_nothing_but_yes():
    with pytest.raises(InvalidDeclaration, match="`buy` says str: an action tells none"):
        replace(happens_within("buy", MS), says=str, silence="unknown")
