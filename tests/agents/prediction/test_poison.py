"""Records that make the code raise are set aside; all others pass as if there were none."""

from collections.abc import Callable
from errno import ENOSPC
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.observability.metrics import Metrics
from schemas.errors import TooManyDeadLetters
from schemas.events import UserEvent
from streams.dead_letter_share import WINDOW
from streams.deduplicate import Segment
from streams.fold_state import UserState
from tests.agents.buggy_plan import STAGES, Bug, BuggyPlan
from tests.agents.partition_run import NOON_MS, PartitionRun, event, label
from tests.agents.record import Record
from tests.agents.shop_history import DUPLICATE, PREDICTED, Expected, cut, messy

seeds = st.integers(0, 1 << 16)
cut_points = st.lists(st.integers(0, 1_000), max_size=8)
poisons = st.dictionaries(st.integers(0, 1_000), st.sampled_from(STAGES), min_size=1, max_size=6)


def nobody(name: str) -> None:
    """Name nobody poisonous."""


def user(each: Expected) -> str:
    return str(msgspec.json.decode(each.record.value() or b"")["user_id"])


def poisoned(
    stream: list[Expected], drawn: dict[int, str]
) -> tuple[dict[str, str], Callable[[Expected], bool]]:
    """Choose who is poisonous; the second tells whether a record is."""
    valid = [each for each in stream if each.fate == PREDICTED]
    named = [each for each in valid if each.is_named]
    stages: dict[str, str] = {}
    for position, stage in drawn.items():
        if stage == "feature update":
            stages[user(valid[position % len(valid)])] = stage
        else:
            stages[named[position % len(named)].event_id] = stage

    def is_poisonous(each: Expected) -> bool:
        if each.fate not in (PREDICTED, DUPLICATE):
            return False
        fields = msgspec.json.decode(each.record.value() or b"")
        return fields.get("event_id") in stages or user(each) in stages

    return stages, is_poisonous


def event_ids(run: PartitionRun) -> set[str]:
    """All ids that are remembered, whichever batches they came in."""
    segments = [msgspec.msgpack.decode(raw, type=Segment) for raw in run.table(b"d").values()]
    return {event_id for segment in segments for event_id in segment.event_ids}


@settings(max_examples=20, deadline=None)
@given(seed=seeds, cuts=cut_points, drawn=poisons)
def test_poison_is_set_aside_in_order_and_leaves_no_trace_however_batches_are_cut(
    seed: int, cuts: list[int], drawn: dict[int, str]
) -> None:
    stream = messy(seed)
    stages, is_poisonous = poisoned(stream, drawn)
    run = PartitionRun(plan=BuggyPlan(stages.get))
    for records in cut(stream, cuts):
        run.events(*records)
    clean = PartitionRun(plan=BuggyPlan(nobody))
    clean.events(*(each.record for each in stream if not is_poisonous(each)))

    assert [
        (letter.key, letter.value, dict(letter.headers or ())["reason"].decode())
        for letter in run.by_topic["dead-letters"]
    ] == [
        (
            each.record.key(),
            each.record.value(),
            "processing_failed" if is_poisonous(each) else each.fate,
        )
        for each in stream
        if is_poisonous(each) or each.fate not in (PREDICTED, DUPLICATE)
    ]
    for topic in ("predictions", "alerts"):
        assert run.by_topic[topic] == clean.by_topic[topic]
    assert sorted(run.by_topic["outcomes"]) == sorted(clean.by_topic["outcomes"])
    latest = {update["user_id"]: update for update in run.feature_updates}
    assert latest == {update["user_id"]: update for update in clean.feature_updates}
    for table in (b"u", b"p", b"y", b"w", b"sdrift"):
        assert run.table(table) == clean.table(table)
    assert event_ids(run) == event_ids(clean)
    assert run.partition.entries() == clean.partition.entries()
    assert PartitionRun(run.compacted()).partition.entries() == run.partition.entries()


def test_the_dead_letter_of_a_bug_says_what_was_raised() -> None:
    run = PartitionRun(plan=BuggyPlan({"e2": "features"}.get))
    run.events(*(event(f"e{n}", NOON_MS + n, offset=n) for n in range(4)))
    (letter,) = run.by_topic["dead-letters"]
    headers = dict(letter.headers or ())

    assert headers["reason"] == b"processing_failed"
    assert headers["__streams.errors.exception"] == b"Bug"
    assert headers["__streams.errors.message"] == b"no luck with e2"
    assert headers["__streams.errors.offset"] == b"2"
    assert [each.event_id for each in run.predictions] == ["e0", "e1", "e3"]


def test_what_was_undone_is_not_counted() -> None:
    metrics = Metrics()
    plan = BuggyPlan({"e3": "prediction"}.get, metrics=metrics)
    made = [event("e0"), event("e1", NOON_MS + 1, action="purchase"), Record(b"{", b"ada")]
    PartitionRun(plan=plan).events(*made, event("e3"))
    told = metrics.samples()

    assert told['thalweg_events_total{topic="user-events"}'] == 4
    assert told["thalweg_predictions_total"] == 2
    assert told['thalweg_outcomes_total{label="true"}'] == 1
    assert told['thalweg_dead_letters_total{reason="not_json"}'] == 1
    assert told['thalweg_dead_letters_total{reason="processing_failed"}'] == 1


def test_a_poisonous_label_is_set_aside_and_the_others_are_joined() -> None:
    plan = BuggyPlan(nobody)
    clean_label = plan.labels.clean

    def clean(*args: Any, **names: Any) -> Any:
        found = clean_label(*args, **names)
        if found.event_id == "e1":
            raise Bug("no luck")
        return found

    cast(Any, plan.labels).clean = clean
    run = PartitionRun(plan=plan).events(*(event(f"e{n}", NOON_MS + n) for n in range(3)))
    run.labels(*(label(True, event_id=f"e{n}") for n in range(3)))
    (letter,) = run.by_topic["dead-letters"]

    assert run.labelled == {"e0": True, "e2": True}
    assert dict(letter.headers or ())["__streams.errors.topic"] == b"labels"


@pytest.mark.parametrize(
    "failure", [ConnectionRefusedError(), TimeoutError(), OSError(ENOSPC, "full"), MemoryError()]
)
def test_what_may_heal_is_nobodys_fault(failure: Exception) -> None:
    plan = BuggyPlan(nobody)

    def update(state: UserState, event: UserEvent) -> dict[str, float]:
        raise failure

    cast(Any, plan.fold).update = update
    run = PartitionRun(plan=plan)

    with pytest.raises(type(failure)):
        run.events(event("e1"))


def test_a_worker_stops_before_the_batch_that_would_be_too_much() -> None:
    """And its successor stops there too: it does not begin to count anew."""
    run = PartitionRun(plan=BuggyPlan(nobody, dead_letter_limit=0.5))
    garbage = [Record(b"{", b"ada", offset=offset) for offset in range(WINDOW)]

    def read_on() -> None:
        for start in range(0, WINDOW, 10):
            run.events(*garbage[start : start + 10])

    with pytest.raises(TooManyDeadLetters, match=r"not_json.* more than 50% .* user-events-0 "):
        read_on()
    n_set_aside = len(run.by_topic["dead-letters"])
    successor = PartitionRun(run.compacted(), plan=BuggyPlan(nobody, dead_letter_limit=0.5))

    assert WINDOW // 2 < n_set_aside < WINDOW * 3 // 4
    with pytest.raises(TooManyDeadLetters):
        successor.events(*garbage[n_set_aside : n_set_aside + 10])


def test_good_records_are_not_stopped_by_bad_ones_that_went_by() -> None:
    run = PartitionRun(plan=BuggyPlan(nobody, dead_letter_limit=0.5))
    for start in range(0, 10 * WINDOW, 100):
        bad = [Record(b"{", b"ada", offset=start + n) for n in range(40)]
        good = [event(f"e{start + n}", NOON_MS, offset=start + n) for n in range(40, 100)]
        run.events(*bad, *good)

    assert len(run.by_topic["dead-letters"]) == 40 * WINDOW // 10


def test_offsets_of_transaction_markers_do_not_count_as_good_records() -> None:
    """With a record per transaction every second offset is a marker's."""
    run = PartitionRun(plan=BuggyPlan(nobody, dead_letter_limit=0.6))

    def read_on() -> None:
        for offset in range(0, 8 * WINDOW, 8):
            for n in (0, 2, 4):
                run.events(Record(b"{", b"ada", offset=offset + n))
            run.events(event(f"e{offset}", NOON_MS, offset=offset + 6))

    with pytest.raises(TooManyDeadLetters):
        read_on()

    assert len(run.by_topic["dead-letters"]) > WINDOW


def test_a_share_is_kept_no_longer_than_it_counts() -> None:
    run = PartitionRun(plan=BuggyPlan(nobody, dead_letter_limit=0.5))
    run.events(Record(b"{", b"ada"))
    kept = shares(run)
    for start in range(1, 8 * WINDOW, 500):
        run.events(*(event(f"e{n}", NOON_MS, offset=n) for n in range(start, start + 500)))

    assert len(kept) == 1
    assert shares(run) == []


def shares(run: PartitionRun) -> list[bytes]:
    return [key for key, value in run.compacted() if b"dead-letters:" in key and value is not None]
