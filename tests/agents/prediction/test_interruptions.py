"""Whatever interrupts predict, what it commits is what an uninterrupted run would have."""

import math
import sys
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar, NamedTuple
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from agents.kafka.batch import Output
from agents.pipeline import DriftPolicy, Pipeline
from agents.prediction.partition import Partition
from agents.prediction.predict_plan import PredictPlan
from agents.prediction.served_models import Served
from schemas.events import UserEvent
from streams.features import (
    action,
    count,
    mean,
    rate,
    session_events,
    time_since,
)
from streams.label_rule import happens_within
from tests.agents.buggy_plan import STAGES, BuggyPlan
from tests.agents.garbage import GARBAGE
from tests.agents.partition_run import NOON_MS, FakeScorer, PartitionRun, event, label, served
from tests.agents.record import PUBLISHED_MS, Record, batch
from tests.histories import run_histories

MINUTE = timedelta(minutes=1)
MINUTE_MS = 60_000
DAY_MS = 24 * 60 * MINUTE_MS
purchase = action({"purchase"}, name="purchase")
PIPELINE = Pipeline(
    use_case="interrupted",
    event=UserEvent,
    actions=frozenset({"home", "purchase"}),
    features=(
        count(over=10 * MINUTE),
        count(purchase, over=60 * MINUTE),
        rate(purchase, over=60 * MINUTE),
        mean("amount", over=60 * MINUTE),
        time_since(),
        session_events(),
    ),
    label=happens_within("purchase", 30 * MINUTE),
    champion="binary_logistic_v1",
    challengers=("binary_hoeffding_tree_v1",),
    challenger_share=1.0,
    # All so tight that each bound is met.
    deduplication=20 * MINUTE,
    max_event_ids=8,
    max_pending=6,
    drift=DriftPolicy(
        scores_per_false_alarm=0.3,  # of which actions and answers have seven tenths
        warmup_scores=2,
        visit_gap=timedelta(milliseconds=1),
        model_warmup_outcomes=0,
    ),
)
NUMBERS = range(2)
TOPICS = ("user-events", "labels")
USERS = ("ada", "bob", "eve")
TIMES_OF_PROCESSING = {"predicted_at", "raised_at"}

numbers = st.sampled_from(NUMBERS)
names = st.integers(0, 15)
"""Of events; a label or an event may come with a name that was before, or is still to come."""


class Scorer(FakeScorer):
    """Each version has another opinion."""

    def __init__(self, version: int) -> None:
        super().__init__()
        self._version = version

    def score(self, features: dict[str, float]) -> float:
        return math.fmod(super().score(features) * (1 + self._version), 1.0)


class Step(NamedTuple):
    """One batch as it was processed: what of, with which models, and what it caused."""

    topic: str
    start: int
    end: int
    version: int
    outputs: list[Output]


def make_plan(pipeline: Pipeline = PIPELINE) -> PredictPlan:
    return BuggyPlan(stage_of, pipeline=pipeline)


def stage_of(name: str) -> str | None:
    """Tell where an event makes the code raise: its id says so, or its user."""
    stage = name.partition("-")[0]
    return stage if stage in STAGES else None


def serving(version: int) -> dict[str, Served]:
    """The models of a moment; at first there are none."""
    if version == 0:
        return {}
    scorer = Scorer(version)
    (challenger,) = PIPELINE.challengers
    return {
        **served(scorer, PIPELINE.champion, version),
        **served(scorer, challenger, version),
    }


class InterruptionMachine(RuleBasedStateMachine):
    """Batches of two partitions, processed ahead of their commits by workers that come and go.

    Beside them a calm run, which is never interrupted, processes each batch when it is committed.
    """

    label: ClassVar = PIPELINE.label

    def __init__(self) -> None:
        super().__init__()
        pipeline = replace(PIPELINE, label=self.label)
        self.plans = [make_plan(pipeline) for _ in range(2)]
        self.calm_plan = make_plan(pipeline)
        self.logs: dict[tuple[str, int], list[Record]] = {
            (topic, number): [] for topic in TOPICS for number in NUMBERS
        }
        self.committed = dict.fromkeys(self.logs, 0)
        self.position = dict.fromkeys(self.logs, 0)
        self.newest_ms = dict.fromkeys(NUMBERS, NOON_MS)
        self.uncommitted: dict[int, deque[Step]] = {number: deque() for number in NUMBERS}
        self.changelogs: dict[int, list[Output]] = {number: [] for number in NUMBERS}
        self.now_ms = PUBLISHED_MS
        self.calm = {number: Partition(number, self.calm_plan) for number in NUMBERS}
        for partition in self.calm.values():
            partition.complete()
        self.partitions = {number: self._restored(number, 0) for number in NUMBERS}

    @initialize()
    def begin(self) -> None:
        """Else a machine that has nothing to check would be one run of many."""
        self.events_arrive(0, [(0, 0, True, False), (1, 0, False, True)])

    # ---- what comes in -------------------------------------------------------------------------

    @rule(
        number=numbers,
        drawn=st.lists(
            st.tuples(
                names,
                st.sampled_from(
                    [
                        *(0, 0, 1_000, MINUTE_MS, 7 * MINUTE_MS, 40 * MINUTE_MS, 120 * DAY_MS),
                        *(-1_000, -4 * MINUTE_MS, -11 * MINUTE_MS, -35 * MINUTE_MS),
                    ]
                ),
                st.booleans(),
                st.booleans(),
            ),
            min_size=1,
            max_size=6,
        ),
    )
    def events_arrive(self, number: int, drawn: list[tuple[int, int, bool, bool]]) -> None:
        """In any order, late, again, without a name."""
        for name, step_ms, is_named, buys in drawn:
            at_ms = self.newest_ms[number] + step_ms
            self.newest_ms[number] = max(self.newest_ms[number], at_ms)
            made = event(
                f"e{name}" if is_named else None,
                at_ms,
                user=USERS[name % 3],
                action="purchase" if buys else "home",
            )
            self._append("user-events", number, made)

    @rule(
        number=numbers,
        drawn=st.lists(
            st.tuples(names, st.booleans(), st.sampled_from(["event", "prediction", "stranger"])),
            min_size=1,
            max_size=3,
        ),
    )
    def labels_arrive(self, number: int, drawn: list[tuple[int, bool, str]]) -> None:
        """Before what they name, after it, twice, conflicting, of another user, of nothing."""
        for name, value, kind in drawn:
            user = USERS[(name + (kind == "stranger")) % 3]
            named = (
                {"prediction_id": f"{PIPELINE.use_case}:e{name}"}
                if kind == "prediction"
                else {"event_id": f"e{name}"}
            )
            made = label(value, user=user, at_ms=self.newest_ms[number], **named)
            self._append("labels", number, made)

    @rule(
        number=numbers, topic=st.sampled_from(TOPICS), kind=st.sampled_from(["no user", "no time"])
    )
    def garbage_arrives(self, number: int, topic: str, kind: str) -> None:
        key, value, _ = GARBAGE[kind]
        self._append(topic, number, Record(value, key))

    @rule(
        number=numbers,
        name=names,
        step_ms=st.sampled_from([0, MINUTE_MS, 40 * MINUTE_MS, -4 * MINUTE_MS]),
        stage=st.sampled_from(STAGES),
        buys=st.booleans(),
    )
    def poison_arrives(self, number: int, name: int, step_ms: int, stage: str, buys: bool) -> None:
        """What makes the code raise is no reason to stop, and moves no clock."""
        made = event(
            f"{stage}-{name}",
            self.newest_ms[number] + step_ms,
            user=stage if stage == STAGES[-1] else USERS[name % 3],
            action="purchase" if buys else "home",
        )
        self._append("user-events", number, made)

    # ---- what workers do -----------------------------------------------------------------------

    @rule(
        number=numbers,
        topic=st.sampled_from(TOPICS),
        size=st.integers(1, 6),
        version=st.integers(0, 2),
    )
    def process(self, number: int, topic: str, size: int, version: int) -> None:
        """Compute the next batch, while those before it may not be committed yet."""
        start = self.position[topic, number]
        end = min(start + size, len(self.logs[topic, number]))
        if start < end:
            self.now_ms += 1
            outputs = self._run(self.partitions[number], topic, start, end, version, self.now_ms)
            self.position[topic, number] = end
            self.uncommitted[number].append(Step(topic, start, end, version, outputs))

    @rule(number=numbers, n_batches=st.integers(1, 4))
    def commit(self, number: int, n_batches: int) -> None:
        """The calm run does the same work now; what comes of it must be the same."""
        for _ in range(min(n_batches, len(self.uncommitted[number]))):
            done = self.uncommitted[number].popleft()
            assert done.start == self.committed[done.topic, number]
            self.committed[done.topic, number] = done.end
            self.changelogs[number] += [each for each in done.outputs if is_state(each)]
            calm = self._run(
                self.calm[number], done.topic, done.start, done.end, done.version, PUBLISHED_MS
            )
            assert timeless(done.outputs) == timeless(calm)
            assert changes(done.outputs) == changes(calm)

    @rule(number=numbers, worker=st.integers(0, 1), is_compacted=st.booleans())
    def move(self, number: int, worker: int, is_compacted: bool) -> None:
        """Crash, or lose the partition: what was not committed is forgotten and comes again."""
        self.uncommitted[number].clear()
        for topic in TOPICS:
            self.position[topic, number] = self.committed[topic, number]
        self.partitions[number] = self._restored(number, worker, is_compacted=is_compacted)

        assert self.partitions[number].entries() == self.calm[number].entries()

    def teardown(self) -> None:
        if sys.exc_info()[0] is not None:
            return
        for number in NUMBERS:
            for topic in TOPICS:
                self.process(number, topic, len(self.logs[topic, number]), 1)
            self.commit(number, len(self.uncommitted[number]))
            entries = self.partitions[number].entries()
            self.move(number, 0, True)

            assert self.partitions[number].entries() == entries
        assert self.committed == {tp: len(log) for tp, log in self.logs.items()}

    # ---- how it is done ------------------------------------------------------------------------

    def _append(self, topic: str, number: int, record: Record) -> None:
        log = self.logs[topic, number]
        log.append(Record(record.value(), record.key(), offset=len(log)))

    def _run(  # noqa: PLR0917  # one batch
        self, partition: Partition, topic: str, start: int, end: int, version: int, now_ms: int
    ) -> list[Output]:
        records = self.logs[topic, partition.number][start:end]
        work = batch(records, topic=topic, partition=partition.number)
        if topic == "labels":
            partition.process_labels(work, now_ms)
        else:
            partition.process_events(work, serving(version), now_ms)
        return work.outputs

    def _kept(self, number: int) -> Partition:
        """Not a restored partition: the one there is, for a planted fault."""
        if number not in getattr(self, "partitions", {}):
            self.partitions = getattr(self, "partitions", {})
            self.partitions[number] = Partition(number, self.plans[0])
            self.partitions[number].complete()
        return self.partitions[number]

    def _restored(self, number: int, worker: int, *, is_compacted: bool = False) -> Partition:
        changelog = self.changelogs[number]
        if is_compacted:
            newest = {each.key: n for n, each in enumerate(changelog)}
            changelog = [changelog[n] for n in sorted(newest.values())]
        partition = Partition(number, self.plans[worker])
        for each in changelog:
            partition.restore(each.key or b"", each.value)
        partition.complete()
        return partition


class AtMaturityMachine(InterruptionMachine):
    """What is said of a prediction waits with it, and some negatives stand for others."""

    label = happens_within("purchase", 30 * MINUTE, positive="at_maturity", keep_negatives=0.5)


class RevisingMachine(InterruptionMachine):
    """What was settled waits to be revised."""

    label = happens_within("purchase", 30 * MINUTE, revisable_for=60 * MINUTE, keep_negatives=0.5)


class FakingMachine(InterruptionMachine):
    """What waits was told as a negative."""

    label = happens_within("purchase", 30 * MINUTE, fake_negatives=True)


def is_state(output: Output) -> bool:
    return output.topic == "predict-state"


def changes(outputs: list[Output]) -> dict[bytes | None, bytes | None]:
    """What a batch changes, by key; only one that was cut tells a key more than once."""
    told = [(each.key, each.value) for each in outputs if is_state(each)]
    was_cut = any(("reason", b"processing_failed") in (each.headers or ()) for each in outputs)
    assert was_cut or len(dict(told)) == len(told)
    return dict(told)


def timeless(outputs: list[Output]) -> list[tuple[Any, ...]]:
    """All records but state, in order, without what says when they were made."""
    return [
        (
            each.topic,
            _without_times(each.value) if each.topic in ("predictions", "alerts") else each.value,
            each.key,
            each.partition,
            [pair for pair in each.headers or () if pair[0] != "ce_time"],
        )
        for each in outputs
        if not is_state(each)
    ]


def _without_times(value: bytes | None) -> dict[str, Any]:
    fields = msgspec.json.decode(value or b"", type=dict[str, Any])
    return {name: found for name, found in fields.items() if name not in TIMES_OF_PROCESSING}


def test_what_is_committed_does_not_depend_on_what_interrupted_it():
    run_histories(InterruptionMachine, n=500)


@pytest.mark.parametrize("machine", [AtMaturityMachine, RevisingMachine, FakingMachine])
def test_nor_does_it_where_labels_have_other_rules(machine):
    run_histories(machine, n=150)


def test_a_detector_that_alarmed_and_came_to_the_same_count_again_is_saved():
    """The fourth score raises an alarm, which sets the count back; the fifth is the first again."""
    run = PartitionRun(plan=make_plan(), serving=serving(1))
    made = [event(f"e{n}", NOON_MS + n * MINUTE_MS, user=USERS[n % 3]) for n in range(10)]
    run.events(made[0]).events(*made[1:5])
    n_watched = run.partition.drift.detector.n
    successor = PartitionRun(run.compacted(), plan=make_plan(), serving=serving(1))
    for each in (run, successor):
        each.events(*made[5:])

    assert n_watched == 1
    assert run.alerts
    assert timeless(successor.last_batch) == timeless(run.last_batch)


restore = Partition.restore
PLANTED: dict[str, Callable[[], AbstractContextManager[object]]] = {
    "waiting predictions are forgotten": lambda: patch.object(
        Partition, "restore", lambda self, key, value: key[:1] == b"p" or restore(self, key, value)
    ),
    "event ids are forgotten": lambda: patch.object(
        Partition, "restore", lambda self, key, value: key[:1] == b"d" or restore(self, key, value)
    ),
    "what was not committed is kept": lambda: patch.object(
        InterruptionMachine, "_restored", lambda self, number, *_, **__: self._kept(number)
    ),
}


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found(fault):
    with PLANTED[fault](), pytest.raises(AssertionError):
        run_histories(InterruptionMachine, n=900, settled=False)
