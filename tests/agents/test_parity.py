"""What is served equals what the log gives, and a difference is told by the feature's name."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.parity_feed import new_parity
from agents.pipeline import Pipeline
from agents.prediction.predict_plan import PredictPlan
from agents.testing import MemoryRecord, PipelineDriver
from examples.shop.pipeline import PIPELINE
from schemas import dead_letters, topics
from schemas.outcomes import Outcome
from streams.clean import EventCleaner
from streams.fold import FeatureFold, compile_features
from streams.label_rule import field_within
from streams.parity import Parity
from tests.agents.shop_history import messy

ALL_USERS = replace(PIPELINE, parity_share=1.0)
DAY = timedelta(days=1)
HORIZON_MS = PIPELINE.label.horizon // timedelta(milliseconds=1)


def served(
    seed: int,
    *,
    only_named: bool = False,
    pipeline: Pipeline = ALL_USERS,
    hurries: bool = False,
) -> PipelineDriver:
    """Serve a messy day, batch by batch, with a crash on the way.

    With `hurries`, a publisher whose clock is ahead joins in.
    """
    driver = PipelineDriver(pipeline, partitions=2, start=datetime(2026, 1, 1, tzinfo=UTC))
    records = [each.record for each in messy(seed) if each.is_named or not only_named]
    for start in range(0, len(records), 40):
        for record in records[start : start + 40]:
            headers = dict(record.headers() or ())
            driver.append(record.value(), key=record.key(), headers=headers)
        if hurries:
            _append_from_the_future(driver, start)
        driver.process(crash=start == 80)
        driver.process()
    return driver


def _append_from_the_future(driver: PipelineDriver, number: int) -> None:
    """Let somebody publish with a clock that is ahead by more than is tolerated, its event too."""
    now_ms = driver.now_ms
    driver.now_ms += 5 * HORIZON_MS
    driver.append(
        {
            "user_id": f"hurried-{number}",
            "action": "home",
            "ts": driver.now_ms,
            "event_id": f"hurried-{number}",
            "session_id": "hurried",
        }
    )
    driver.now_ms = now_ms


def place(letter: MemoryRecord) -> tuple[int, int]:
    """Tell where the event of a dead letter stood."""
    headers = dict(letter.headers() or ())
    return int(headers[dead_letters.PARTITION] or b""), int(headers[dead_letters.OFFSET] or b"")


def compare(
    driver: PipelineDriver, outcomes: list[Outcome], *, pipeline: Pipeline = ALL_USERS
) -> Parity:
    """Read the whole log, then what was served."""
    parity = new_parity(pipeline)
    clean = EventCleaner(
        PIPELINE.event,
        actions=PIPELINE.actions,
        max_bytes=PIPELINE.max_event_bytes,
        future_tolerance=PIPELINE.future_tolerance,
    ).clean
    set_aside = {place(letter) for letter in driver.read(topics.DEAD_LETTERS)}
    for record in driver.read(topics.USER_EVENTS):
        if (record.partition(), record.offset()) in set_aside:
            continue
        try:
            _, published_ms = record.timestamp()
            event = clean(record.key(), record.value(), published_at_ms=published_ms)
        except ValueError:
            continue
        if event.event_id is None:
            event.event_id = f"user-events-{record.partition()}-{record.offset()}"
        parity.event(record.partition(), event)
    for outcome in outcomes:
        parity.outcome(outcome, read_at_s=1.0)
    parity.settle(log_read_at_s=2.0)
    return parity


@given(seed=st.integers(0, 10_000))
@settings(max_examples=5, deadline=None)
def test_what_is_served_is_what_the_log_gives(seed):
    driver = served(seed)
    counts = compare(driver, driver.outcomes).counts

    assert counts.compared == len(driver.outcomes) > 100
    assert (counts.mismatches, counts.missing, counts.extra) == ({}, 0, 0)


def test_who_publishes_from_the_future_changes_nothing_for_the_others():
    driver = served(7, hurries=True)
    counts = compare(driver, driver.outcomes).counts

    assert len(driver.read(topics.DEAD_LETTERS)) > len(served(7).read(topics.DEAD_LETTERS))
    assert counts.compared == len(driver.outcomes) > 100
    assert (counts.mismatches, counts.missing, counts.extra) == ({}, 0, 0)


@pytest.mark.parametrize(
    "choice",
    [
        {"positive": "at_maturity"},
        {"keep_negatives": 0.3},
        {"revisable_for": DAY},
        {"fake_negatives": True},
        {"silence": "unknown"},
    ],
)
def test_whatever_the_label_rule_nothing_is_missing_and_nothing_too_much(choice):
    """A negative that others stand for is no outcome that was lost."""
    label = replace(PIPELINE.label, **choice)
    pipeline = replace(ALL_USERS, label=label, challengers=("binary_ftrl_v1",))
    driver = served(7, pipeline=pipeline)
    counts = compare(driver, driver.outcomes, pipeline=pipeline).counts

    assert counts.compared > 30
    assert (counts.mismatches, counts.missing, counts.extra) == ({}, 0, 0)


def spent(seed: int) -> tuple[Pipeline, PipelineDriver]:
    """Serve a day to a pipeline whose labels are read from events: none of them is silence."""
    pipeline = replace(
        ALL_USERS,
        label=field_within("purchase", "amount", PIPELINE.label.horizon, says=float, otherwise=0.0),
        champion="regression_linear_v1",
        challengers=(),
        rules=(),
    )
    return pipeline, served(seed, pipeline=pipeline)


def test_where_labels_are_read_from_events_what_never_came_is_missing():
    pipeline, driver = spent(7)
    outcomes = driver.outcomes
    whole = compare(driver, outcomes, pipeline=pipeline)
    lost = outcomes[: len(outcomes) // 2 : 7]
    counts = compare(
        driver, [each for each in outcomes if each not in lost], pipeline=pipeline
    ).counts

    assert whole.counts.compared == len(outcomes) > 30
    assert (whole.counts.mismatches, whole.counts.missing, whole.counts.extra) == ({}, 0, 0)
    assert None not in {each.label for each in outcomes}
    assert counts.missing == len(lost)


def test_a_planted_skew_is_told_by_the_feature_that_has_it(monkeypatch):
    """Predict serves one feature wrongly every now and then: a bug behind the fold."""
    n = 0

    def skewed(self, pipeline, *rest, **more):
        real(self, pipeline, *rest, **more)
        update = self.fold.update

        def wrong(state, event):
            nonlocal n
            features = update(state, event)
            n += 1
            if n % 10 == 0:
                features["click_count_1h"] += 1
            return features

        vars(self.fold)["update"] = wrong

    real = PredictPlan.__init__
    monkeypatch.setattr(PredictPlan, "__init__", skewed)
    driver = served(seed=3)
    monkeypatch.undo()
    counts = compare(driver, driver.outcomes).counts

    assert set(counts.mismatches) == {"click_count_1h"}
    assert counts.mismatches["click_count_1h"] == pytest.approx(counts.compared / 10, rel=0.3)


def test_state_that_was_lost_is_a_mismatch(monkeypatch):
    """A worker that begins with nothing serves what the log does not give."""
    monkeypatch.setattr(FeatureFold, "decode", lambda self, raw: self.new())
    driver = served(seed=4)
    monkeypatch.undo()

    assert compare(driver, driver.outcomes).counts.mismatches["event_count_7d"] > 0


def test_outcomes_that_never_came_and_those_of_no_event_are_counted():
    driver = served(seed=5)
    outcomes = driver.outcomes
    due = [each for each in outcomes if each.labelled_at == each.event_at + HORIZON_MS]
    lost = due[: len(due) // 2 : 7]
    stranger = msgspec.structs.replace(outcomes[0], prediction_id="purchase-intent:stranger")
    counts = compare(driver, [each for each in outcomes if each not in lost] + [stranger]).counts

    assert counts.extra == 1
    assert 0 < counts.missing <= len(lost)
    assert counts.mismatches == {}


def test_outcomes_may_be_read_before_their_events():
    driver = served(seed=6)
    parity = new_parity(ALL_USERS)
    for outcome in driver.outcomes:
        parity.outcome(outcome, read_at_s=1.0)
    parity.settle(log_read_at_s=0.5)

    assert parity.counts.extra == 0


def test_an_action_at_the_very_end_of_the_horizon_makes_nothing_missing():
    """Its outcome comes before those of earlier events without a label."""
    driver = served(seed=12)
    outcomes = driver.outcomes
    late = outcomes[-1]
    at_the_end = msgspec.structs.replace(late, label=True, labelled_at=late.event_at + HORIZON_MS)
    counts = compare(driver, [at_the_end, *outcomes[:-1]]).counts

    assert (counts.missing, counts.extra) == (0, 0)


def test_what_other_declarations_served_is_neither_compared_nor_missing():
    driver = served(seed=13)
    half = len(driver.outcomes) // 2
    before = [msgspec.structs.replace(each, schema="other") for each in driver.outcomes[:half]]
    counts = compare(driver, before + driver.outcomes[half:]).counts

    assert counts.compared == len(driver.outcomes) - half
    assert (counts.mismatches, counts.missing, counts.extra) == ({}, 0, 0)


DAY_MS = 86_400_000


def test_users_whom_no_window_reaches_are_forgotten():
    """A new user a day, for ten times as long as anything is remembered."""
    fold = compile_features(PIPELINE.features, PIPELINE.event)
    parity = new_parity(ALL_USERS)
    days = 10 * (fold.retention // timedelta(days=1))
    most = 0
    for day in range(days):
        event = PIPELINE.event(f"u{day}", "home", day * DAY_MS, f"e{day}")
        parity.event(0, event)
        most = max(most, parity.users)

    assert most <= fold.retention / timedelta(days=1) + 3


def test_who_is_late_is_told_by_the_clock_of_all_users():
    """Ada's event is behind Bob's, who is not in the sample: predict makes no outcome of it."""
    lateness_ms = PIPELINE.allowed_lateness // timedelta(milliseconds=1)
    bob, limit_ms = PIPELINE.event("bob", "home", 9 * DAY_MS, "bob"), 9 * DAY_MS - lateness_ms
    for at_ms, is_expected in ((limit_ms, True), (limit_ms - 1, False)):
        parity = new_parity(ALL_USERS)
        parity.event(0, bob, is_sampled=False)
        parity.event(0, PIPELINE.event("ada", "home", at_ms, "ada"))

        assert parity.users == 1
        assert [*parity._partitions[0].expected] == ["purchase-intent:ada"] * is_expected


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_users_are_sampled_by_their_share_and_always_the_same(share):
    parity = new_parity(replace(PIPELINE, parity_share=share))
    keys = [f"user_{n}".encode() for n in range(4_000)]
    sampled = [key for key in keys if parity.is_sampled(key)]

    assert len(sampled) / len(keys) == pytest.approx(share, abs=0.03)
    assert sampled == [key for key in keys if parity.is_sampled(key)]
