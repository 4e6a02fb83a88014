"""Laws of one partition of predict: however events are cut into batches, whenever it is rebuilt."""

from hypothesis import given, settings
from hypothesis import strategies as st

from agents.entities.entity_states import FORGET_BESIDE_NEW
from examples.shop.pipeline import PIPELINE
from tests.agents.partition_run import MS, NOON_MS, PLAN, PartitionRun, event, label
from tests.agents.record import PUBLISHED_MS
from tests.agents.shop_history import DUPLICATE, PREDICTED, Expected, cut, messy

LATENESS_MS = PIPELINE.allowed_lateness // MS
HORIZON_MS = PIPELINE.label.horizon // MS
MINUTE_MS = 60_000

seeds = st.integers(0, 1 << 16)
cut_points = st.lists(st.integers(0, 1_000), max_size=30)


def predicted(stream: list[Expected]) -> list[Expected]:
    return [each for each in stream if each.fate == PREDICTED]


@settings(max_examples=20, deadline=None)
@given(seed=seeds, cuts=cut_points)
def test_each_valid_new_event_is_predicted_once_and_each_other_record_set_aside_once(
    seed: int, cuts: list[int]
) -> None:
    stream = messy(seed)
    run = PartitionRun()
    for records in cut(stream, cuts):
        run.events(*records)

    assert [(prediction.event_id, prediction.event_at) for prediction in run.predictions] == [
        (each.event_id, each.ts) for each in predicted(stream)
    ]
    assert [
        (letter.key, letter.value, dict(letter.headers or ())["reason"].decode())
        for letter in run.by_topic["dead-letters"]
    ] == [
        (each.record.key(), each.record.value(), each.fate)
        for each in stream
        if each.fate not in (PREDICTED, DUPLICATE)
    ]


@settings(max_examples=20, deadline=None)
@given(seed=seeds, cuts=cut_points)
def test_an_event_is_late_when_the_newest_before_it_is_newer_by_more_than_allowed(
    seed: int, cuts: list[int]
) -> None:
    stream = messy(seed)
    run = PartitionRun()
    for records in cut(stream, cuts):
        run.events(*records)
    newest_ms, degraded = 0, []
    for each in predicted(stream):
        degraded.append(["late"] if each.ts < newest_ms - LATENESS_MS else [])
        newest_ms = max(newest_ms, each.ts)

    assert [prediction.degraded for prediction in run.predictions] == degraded
    # What is late teaches nothing: its label may have gone by.
    late = {p.prediction_id for p in run.predictions if p.degraded}
    assert late.isdisjoint(outcome.prediction_id for outcome in run.outcomes)


@settings(max_examples=40, deadline=None)
@given(seed=seeds, cuts=cut_points)
def test_however_events_are_cut_into_batches_the_same_comes_of_them(
    seed: int, cuts: list[int]
) -> None:
    stream = messy(seed)
    whole, parts = PartitionRun(), PartitionRun()
    whole.events(*(each.record for each in stream))
    for records in cut(stream, cuts):
        parts.events(*records)

    for topic in ("predictions", "dead-letters", "alerts"):
        assert parts.by_topic[topic] == whole.by_topic[topic]
    # Negative outcomes are told when a batch ends: their order alone depends on the cuts.
    assert parts.labelled == whole.labelled
    assert sorted(parts.by_topic["outcomes"]) == sorted(whole.by_topic["outcomes"])
    latest = {update["user_id"]: update for update in parts.feature_updates}
    assert latest == {update["user_id"]: update for update in whole.feature_updates}
    for table in (b"u", b"p", b"w", b"s"):
        assert parts.table(table) == whole.table(table)


@settings(max_examples=40, deadline=None)
@given(seed=seeds, cuts=cut_points, data=st.data())
def test_a_partition_rebuilt_from_its_changelog_goes_on_as_if_nothing_had_happened(
    seed: int, cuts: list[int], data: st.DataObject
) -> None:
    batches = cut(messy(seed), cuts)
    n_before = data.draw(st.integers(0, len(batches)), label="batches before")
    run = PartitionRun()
    for records in batches[:n_before]:
        run.events(*records)
    assert {output.partition for output in run.by_topic["predict-state"]} <= {0}
    successor = PartitionRun(run.compacted())
    for records in batches[n_before:]:
        run.events(*records)
        successor.events(*records)
        assert successor.last_batch == run.last_batch
        answered = run.predictions[-1:]
        truths = [label(True, user=p.user_id, event_id=p.event_id) for p in answered]
        run.labels(*truths)
        successor.labels(*truths)
        assert successor.last_batch == run.last_batch

    assert successor.partition.entries() == run.partition.entries()


def test_a_repeated_id_moves_no_clock_whatever_time_it_claims() -> None:
    """Else a partition rebuilt after it would find later events late that it now finds in time."""
    run = PartitionRun().events(event("e1"), event("e1", NOON_MS + 60 * MINUTE_MS))
    successor = PartitionRun(run.compacted())

    for each in (run, successor):
        each.events(event("e2", NOON_MS + MINUTE_MS))
        assert each.predictions[-1].degraded == []


def test_a_late_purchase_fulfils_what_still_waits_and_nothing_that_the_watermark_decided() -> None:
    """Whether or not a batch ended between the two."""
    purchase_ms = NOON_MS + HORIZON_MS
    stream = [
        event("decided", NOON_MS),
        event("waits", NOON_MS + 10 * MINUTE_MS),
        event("newest", purchase_ms + LATENESS_MS + 1, user="bob"),
        event("purchase", purchase_ms, action="purchase"),
    ]
    whole, parts = PartitionRun().events(*stream), PartitionRun()
    for record in stream:
        parts.events(record)

    assert whole.labelled == parts.labelled == {"decided": False, "waits": True}


def test_a_purchase_counts_for_events_that_come_after_it_and_happened_before_it() -> None:
    run = PartitionRun()
    run.events(event("purchase", NOON_MS + MINUTE_MS, action="purchase"))
    run.events(event("before", NOON_MS), event("at once", NOON_MS + MINUTE_MS))

    assert run.labelled == {"before": True}


def test_users_whom_no_window_reaches_any_more_are_forgotten_with_tombstones() -> None:
    most = FORGET_BESIDE_NEW + 1
    n_users = most + 50
    run = PartitionRun().events(*(event(user=f"u{n}", offset=n) for n in range(n_users)))
    inactive = {b"uu%d" % n for n in range(n_users)}
    assert set(run.table(b"u")) == inactive
    back_ms = NOON_MS + PLAN.retention_ms + LATENESS_MS

    run.events(event("in time", back_ms, user="ada"))
    assert inactive < set(run.table(b"u"))

    n_left = []
    for n in range(3):
        run.events(event(f"late enough {n}", back_ms + 1 + n, user="ada"))
        n_left.append(run.partition.entries()["users"])
    assert n_left == [n_users + 1 - most, 1, 1]
    assert set(run.table(b"u")) == {b"uada"}
    tombstones = {o.key for o in run.by_topic["predict-state"] if o.value is None}
    assert inactive <= tombstones

    run.events(event("returns", back_ms + 10, user="u7"))
    newcomer = PartitionRun().events(event("comes", back_ms + 10, user="u7"))
    assert run.feature_updates[-1] == newcomer.feature_updates[-1]


def test_newcomers_never_pile_up_however_many_come_at_once() -> None:
    """Who is past the retention leaves at least as quickly as others come."""
    run, n, per_batch = PartitionRun(), 0, 3 * FORGET_BESIDE_NEW
    step_ms = PLAN.retention_ms // 4
    n_users = []
    for turn in range(12):
        at_ms = NOON_MS + turn * step_ms
        run.events(*(event(f"e{n + k}", at_ms, user=f"u{n + k}") for k in range(per_batch)))
        n += per_batch
        n_users.append(run.partition.entries()["users"])
    assert max(n_users) <= 7 * per_batch


def test_a_publisher_whose_clock_is_ahead_takes_nobody_along() -> None:
    hour_ms = 60 * MINUTE_MS
    ahead = event("ahead", PUBLISHED_MS + hour_ms, published_ms=PUBLISHED_MS + hour_ms)
    run = PartitionRun().events(ahead, event("punctual", PUBLISHED_MS), now_ms=PUBLISHED_MS)

    assert [prediction.event_id for prediction in run.predictions] == ["punctual"]
    assert run.predictions[0].degraded == []
    (letter,) = run.by_topic["dead-letters"]
    assert dict(letter.headers or ())["reason"] == b"future_ts"
