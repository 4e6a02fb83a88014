"""What a partition makes of users' states that were written under other declarations."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta

from agents.observability import metric_list
from agents.observability.metrics import Metrics
from agents.prediction.predict_plan import PredictPlan
from examples.shop.pipeline import PIPELINE
from streams.feature_kinds import Feature
from streams.features import count, session_events
from tests.agents.buggy_plan import BuggyPlan
from tests.agents.partition_run import NOON_MS, PartitionRun, event

HOUR = timedelta(hours=1)
MINUTE_MS = 60_000
COUNTED = (count(over=HOUR),)
MORE = (count(over=HOUR), session_events())


def plan(features: Sequence[Feature] = COUNTED) -> PredictPlan:
    pipeline = replace(PIPELINE, features=tuple(features))
    return PredictPlan(pipeline, Metrics(), lambda topic: topic.name)


def layouts(run: PartitionRun) -> list[str]:
    return [key.decode().removeprefix("slayout:") for key in run.table(b"s") if b"layout:" in key]


def counted(run: PartitionRun) -> list[float]:
    return [update["features"]["event_count_1h"] for update in run.feature_updates]


def compacted(
    log: Iterable[tuple[bytes, bytes | None]],
) -> list[tuple[bytes, bytes | None]]:
    return list(dict(log).items())


def test_the_layout_is_written_before_the_first_state_and_once() -> None:
    run = PartitionRun(plan=plan()).events(event())
    keys = [output.key or b"" for output in run.by_topic["predict-state"]]
    run.events(event(at_ms=NOON_MS + 1))

    assert keys[0].startswith(b"slayout:")
    assert b"uada" in keys
    assert not any((output.key or b"").startswith(b"slayout:") for output in run.last_batch)


def test_states_go_on_under_other_features_and_back_again() -> None:
    run = PartitionRun(plan=plan()).events(event())
    more = PartitionRun(run.compacted(), plan=plan(MORE)).events(event(at_ms=NOON_MS + 1))
    log = [*run.compacted(), *more.compacted()]
    back = PartitionRun(log, plan=plan()).events(event(at_ms=NOON_MS + 2))

    assert counted(more) + counted(back) == [2.0, 3.0]


def test_a_layout_is_kept_until_no_state_needs_it() -> None:
    first, second = plan(), plan(MORE)
    run = PartitionRun(plan=first).events(event(), event(user="bob"))
    both = PartitionRun(run.compacted(), plan=second).events(event(at_ms=NOON_MS + 1))
    log = compacted([*run.compacted(), *both.compacted()])
    none = PartitionRun(log, plan=second).events(event(user="bob", at_ms=NOON_MS + 1))
    log = compacted([*log, *none.compacted()])
    last = PartitionRun(log, plan=second).events(event(at_ms=NOON_MS + 2))
    tombstones = [output.key for output in last.last_batch if output.value is None]

    assert layouts(both) == [second.fold.schema]
    assert not any(output.value is None for output in [*both.last_batch, *none.last_batch])
    assert tombstones == [f"slayout:{first.fold.schema}".encode()]


def test_a_state_that_nobody_can_read_begins_anew_and_is_counted_once() -> None:
    run = PartitionRun(plan=plan()).events(event(), event(user="bob"))
    states_alone = [(key, value) for key, value in run.compacted() if not key.startswith(b"s")]
    buggy = BuggyPlan(
        lambda event_id: "features" if event_id == "bad" else None,
        pipeline=replace(PIPELINE, features=MORE),
        metrics=(metrics := Metrics()),
    )
    again = PartitionRun(states_alone, plan=buggy)
    again.events(event("bad", NOON_MS + 1), event("good", NOON_MS + 2))
    again.events(event("better", NOON_MS + 3))

    assert counted(again) == [1.0, 2.0]
    assert metrics.counter(metric_list.STATES_BEGUN_ANEW).value == 1


def test_a_batch_that_is_undone_tells_its_layout_all_the_same() -> None:
    buggy = BuggyPlan(lambda event_id: "feature update" if event_id == "eve" else None)
    run = PartitionRun(plan=buggy).events(event("bad", user="eve"), event("good"))

    assert layouts(run) == [buggy.fold.schema]
