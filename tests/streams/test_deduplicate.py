"""Laws of deduplication, held against remembering everything."""

from datetime import timedelta
from itertools import chain, repeat

from hypothesis import given
from hypothesis import strategies as st

from streams.deduplicate import Deduplicator, Segment, segment_table
from streams.state import Change, PartitionState, Table

RETENTION_MS = 100
BATCHES = st.lists(
    st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 60)), max_size=6), max_size=12
)


def deduplicator(
    table: Table[Segment] | None = None, *, retention_ms: int = RETENTION_MS, capacity: int = 1_000
) -> Deduplicator:
    retention = timedelta(milliseconds=retention_ms)
    if table is None:
        table = segment_table()
    return Deduplicator(table, retention=retention, capacity=capacity)


def timed(batches: list[list[tuple[str, int]]]) -> list[list[tuple[str, int]]]:
    """Turn steps of time into times that never go back."""
    now_ms = 0
    return [[(event_id, now_ms := now_ms + step) for event_id, step in batch] for batch in batches]


@given(BATCHES)
def test_an_id_within_the_retention_is_never_new_again_and_an_unseen_one_always_is(batches):
    seen = deduplicator()
    accepted_at: dict[str, int] = {}
    for batch in timed(batches):
        for event_id, now_ms in batch:
            is_new = seen.is_new(event_id, now_ms)
            if event_id not in accepted_at:
                assert is_new
            elif now_ms - accepted_at[event_id] <= RETENTION_MS:
                assert not is_new
            if is_new:
                accepted_at[event_id] = now_ms
        seen.seal()


@given(BATCHES)
def test_what_is_older_than_the_retention_is_forgotten(batches):
    seen = deduplicator()
    for batch in timed(batches):
        for event_id, now_ms in batch:
            seen.is_new(event_id, now_ms)
        seen.seal()
    end_ms = max([now_ms for batch in timed(batches) for _, now_ms in batch], default=0)
    seen.is_new("next", end_ms + RETENTION_MS + 1)
    seen.seal()

    assert len(seen) == 1


@given(BATCHES, st.integers(1, 4))
def test_no_more_ids_are_kept_than_the_capacity_and_one_batch(batches, capacity):
    seen = deduplicator(retention_ms=1_000_000, capacity=capacity)
    for batch in timed(batches):
        for event_id, now_ms in batch:
            seen.is_new(event_id, now_ms)
        seen.seal()

        assert len(seen) <= max(capacity, *(len(batch) for batch in batches))


def test_when_room_is_short_the_oldest_batch_is_forgotten_first():
    seen = deduplicator(capacity=2)
    for now_ms, event_id in enumerate("abc"):
        seen.is_new(event_id, now_ms)
        seen.seal()

    assert [seen.is_new(event_id, 3) for event_id in "bca"] == [False, False, True]
    assert seen.n_crowded_out == 1


def test_an_id_is_remembered_for_exactly_the_retention():
    for later_ms, is_forgotten in ((RETENTION_MS, False), (RETENTION_MS + 1, True)):
        seen = deduplicator()
        seen.is_new("a", 0)
        seen.seal()
        seen.is_new("b", later_ms)
        seen.seal()

        assert seen.is_new("a", later_ms) == is_forgotten


@given(BATCHES, st.integers(1, 6))
def test_restarts_change_no_answer(batches, capacity):
    kept = deduplicator(capacity=capacity)
    changelog: list[Change] = []
    for batch in timed(batches):
        table = segment_table()
        state = PartitionState([table])
        for key, value in changelog:
            state.restore(key, value)
        restarted = deduplicator(table, capacity=capacity)
        assert len(kept) == len(restarted)
        for event_id, now_ms in batch:
            assert kept.is_new(event_id, now_ms) == restarted.is_new(event_id, now_ms)
        kept.seal()
        restarted.seal()
        changelog += state.changes()


def test_a_batch_costs_one_record_and_forgetting_it_one_tombstone():
    table = segment_table()
    state = PartitionState([table])
    seen = deduplicator(table)
    for event_id in ("a", "b", "c"):
        seen.is_new(event_id, 0)
    seen.seal()
    first = state.changes()
    seen.seal()
    nothing = state.changes()
    seen.is_new("d", RETENTION_MS + 1)
    seen.seal()
    second = state.changes()

    assert [key for key, _ in first] == [b"d0"]
    assert nothing == []
    assert [(key, value is None) for key, value in second] == [(b"d1", False), (b"d0", True)]


@given(BATCHES, st.lists(st.sampled_from(["ends", "is undone", "is undone at its end"])))
def test_what_is_undone_was_never_seen(batches, fates):
    table, untouched = segment_table(), segment_table()
    seen, expected = (
        deduplicator(each, retention_ms=60, capacity=4) for each in (table, untouched)
    )
    for batch, fate in zip(timed(batches), chain(fates, repeat("ends")), strict=False):
        for event_id, now_ms in batch:
            answer = seen.is_new(event_id, now_ms)
            if fate == "ends":
                assert answer == expected.is_new(event_id, now_ms)
        if fate != "is undone":
            seen.seal()
        if fate == "ends":
            expected.seal()
            assert table.changes() == untouched.changes()
        else:
            seen.undo()
        assert len(seen) == len(expected)
