"""When models are trained again, whoever looks, and whenever."""

from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from online_models.registry import Registry
from online_models.retrain import Attempt, Raised, Retrain, due, next_at
from schemas.deployments import REGISTERED, RETRAINING, Deployment
from schemas.errors import InvalidDeclaration

HOUR = 3_600_000
MODEL = "tree"


@dataclass
class Supervisors:
    """Two who look at the log at times of their own, each of which may be started again."""

    policy: Retrain
    alerts: list[Raised] = field(default_factory=list)
    registry: Registry = field(default_factory=lambda: Registry("intent"))
    begun: list[int] = field(default_factory=list)
    """When each training did."""
    left: dict[int, int] = field(default_factory=dict)
    """Begin of a training -> when its version came."""

    def look(self, now_ms: int, *, seen: Registry | None = None) -> str | None:
        """Look, at what may be the past by now; begin what is due, and tell why."""
        why = due(self.policy, self.last(seen or self.registry), self.alerts, now_ms=now_ms)
        if why is not None and self.happens(RETRAINING, now_ms, seen or self.registry):
            self.begun.append(now_ms)
        return why

    def last(self, registry: Registry) -> Attempt | None:
        found = registry.retrainings.get(MODEL)
        return None if found is None else Attempt(found.change.event.at, found.is_over)

    def leave_a_version(self, now_ms: int) -> None:
        found = self.registry.retrainings.get(MODEL)
        if found is not None and not found.is_over:
            self.happens(REGISTERED, now_ms, self.registry, found.change.offset)
            self.left[found.change.event.at] = now_ms

    def happens(self, kind: str, at: int, seen: Registry, retraining: int = -1) -> bool:
        event = Deployment(
            kind=kind,
            use_case="intent",
            model=MODEL,
            version=at if kind == REGISTERED else None,
            at=at,
            by="retrain",
            expects=seen.offset,
            retraining=retraining,
        )
        takes_effect = self.registry.refusal(event) is None
        self.registry = self.registry.fold(event, self.registry.offset + 1)
        return takes_effect


spans = st.integers(1, 48).map(lambda hours: timedelta(hours=hours))
policies = st.builds(
    Retrain,
    every=spans | st.none(),
    on=st.just(("drift",)),
    cool_down=spans,
    retry_after=spans,
)
histories = st.lists(
    st.tuples(
        st.integers(0, 12), st.sampled_from(["look", "look at once", "version", "alert", "other"])
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(policies, histories)
def test_whoever_looks_no_training_is_repeated_and_none_is_left_out(policy, history):
    run, now_ms = Supervisors(policy), 10 * HOUR
    for hours, action in history:
        now_ms += hours * HOUR
        seen = run.registry
        match action:
            case "look":
                run.look(now_ms)
                assert run.look(now_ms) is None  # a supervisor that was just started
            case "look at once":
                n_before = len(run.begun)
                reasons = [run.look(now_ms, seen=seen) for _ in range(2)]
                assert len(set(reasons)) == 1
                assert len(run.begun) - n_before == (reasons[0] is not None)
            case "version":
                run.leave_a_version(now_ms)
            case "alert":
                run.alerts.append(Raised("drift", now_ms))
            case "other":
                run.alerts.append(Raised("accuracy", now_ms))
        if action.startswith("look") and policy.every is not None:
            # Nothing that is due is left: the last one is young, or under way.
            last = run.last(run.registry)
            assert last is not None
            wait = policy.every if last.is_over else policy.retry_after
            assert now_ms - last.at < wait / timedelta(milliseconds=1)

    shortest = [policy.cool_down, *([policy.every] if policy.every is not None else [])]
    for before, after in zip(run.begun, run.begun[1:], strict=False):
        left = run.left.get(before)
        least = policy.retry_after if left is None or left > after else min(shortest)
        assert after - before >= least / timedelta(milliseconds=1)


def test_an_alert_counts_once_and_waits_for_the_cool_down():
    policy = Retrain(on=("drift",), cool_down=timedelta(hours=2))
    last = Attempt(at=10 * HOUR, is_over=True)
    before, after = Raised("drift", 10 * HOUR), Raised("drift", 10 * HOUR + 1)

    assert due(policy, None, [], now_ms=99 * HOUR) is None
    assert due(policy, None, [before], now_ms=10 * HOUR) == "an alert of drift"
    assert due(policy, last, [before], now_ms=99 * HOUR) is None
    assert due(policy, last, [after], now_ms=12 * HOUR - 1) is None
    assert due(policy, last, [after], now_ms=12 * HOUR) == "an alert of drift"
    assert due(policy, last, [Raised("accuracy", 11 * HOUR)], now_ms=99 * HOUR) is None


def test_the_schedule_does_not_wait_for_the_cool_down_nor_for_alerts():
    policy = Retrain(every=timedelta(hours=1), cool_down=timedelta(hours=9))

    assert due(policy, None, [], now_ms=0) == "it is time"
    assert due(policy, Attempt(0, is_over=True), [], now_ms=HOUR) == "it is time"
    assert next_at(policy, Attempt(0, is_over=True)) == HOUR
    assert next_at(policy, Attempt(5, is_over=False)) == HOUR + 5
    assert next_at(Retrain(on=("drift",)), None) is None


def test_a_clock_that_was_wrong_keeps_nobody_from_training():
    weekly = Retrain(every=timedelta(days=7), on=("drift",), cool_down=timedelta(days=1))
    now_ms = 10_000 * HOUR
    in_a_year = Attempt(at=now_ms + 365 * 24 * HOUR, is_over=True)
    soon = Attempt(at=now_ms + HOUR, is_over=True)
    in_two_days = Attempt(at=now_ms + 48 * HOUR, is_over=True)
    after_drift = replace(weekly, every=None)

    assert due(weekly, in_a_year, [], now_ms=now_ms) == "it is time"
    assert due(weekly, soon, [Raised("drift", now_ms)], now_ms=now_ms) is None
    assert due(weekly, in_two_days, [], now_ms=now_ms) is None
    assert due(after_drift, in_two_days, [Raised("drift", now_ms)], now_ms=now_ms) is not None
    assert due(after_drift, in_two_days, [Raised("drift", HOUR)], now_ms=now_ms) is None
    assert due(weekly, in_a_year._replace(is_over=False), [], now_ms=now_ms) is not None


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ({}, "has every, on, or both"),
        ({"on": ("weather",)}, "kinds of alerts, drift, accuracy"),
        ({"on": "drift"}, "kinds of alerts"),
        ({"every": timedelta(0)}, "every is"),
        ({"every": timedelta(1), "since": timedelta(hours=5)}, "since is 1 day"),
        ({"every": timedelta(1), "retry_after": timedelta(0)}, "retry_after is"),
    ],
)
def test_a_wrong_policy_is_refused_by_its_name(declared, said):
    with pytest.raises(InvalidDeclaration, match=said):
        Retrain(**declared)
