"""Snapshots in parts: whatever is cut off or compacted, what comes out was put in whole."""

import hashlib

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from online_models import chunks
from online_models.chunks import Envelope, Head, SnapshotParts, WholeSnapshot, is_part, split

MODELS = ("binary_forest_v1", "binary_logistic_v1")
Records = list[tuple[bytes, bytes | None]]


@pytest.fixture(autouse=True, scope="module")
def small_parts():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "PART_BYTES", 10)
        yield


def snapshot(state: bytes) -> bytes:
    return msgspec.msgpack.encode(Envelope(b"signature", b"manifest of " + state[:3], state))


def fold(records: Records, models: tuple[str, ...] = MODELS) -> list[WholeSnapshot]:
    parts = SnapshotParts(set(models).__contains__)
    return [whole for record in records if (whole := parts.add(*record)) is not None]


def compacted(records: Records, upto: int) -> Records:
    """Let a broker clean the head of the log: of each key there only the newest is left."""
    newest = {key: at for at, (key, _) in enumerate(records[:upto])}
    return [
        record for at, record in enumerate(records) if at >= upto or newest.get(record[0]) == at
    ]


states = st.binary(max_size=60)


@given(state=states, place=st.integers(0, 1), data=st.data())
def test_a_snapshot_is_whole_with_its_last_record_in_whatever_order_they_come(state, place, data):
    blob = snapshot(state)
    records = data.draw(st.permutations(split(MODELS[0], blob, place=place)))
    parts = SnapshotParts(set(MODELS).__contains__)
    found = [parts.add(*record) for record in records]

    assert found == [None] * (len(records) - 1) + [WholeSnapshot(MODELS[0], blob)]
    assert parts.incomplete() == {}


@given(state=states)
def test_a_snapshot_that_fits_into_a_record_is_written_as_it_always_was(state):
    blob = snapshot(state)
    records = split(MODELS[0], blob, place=1)

    assert (len(records) == 1) == (len(state) <= 10)
    assert records[-1][0] == MODELS[0].encode()
    assert [is_part(key) for key, _ in records] == [True] * (len(records) - 1) + [False]
    assert all(len(value) <= 10 for _, value in records[:-1])
    if len(records) == 1:
        assert records[0][1] == blob


class Topic:
    """A log of snapshots whose writers die at times, and what each record completes."""

    def __init__(self) -> None:
        self.records: Records = []
        self.completed: list[WholeSnapshot] = []
        self._places = dict.fromkeys(MODELS, 1)
        self._n_written = 0

    def write(self, model: str, state: bytes, *, dies_after: int | None) -> None:
        self._n_written += 1
        blob = snapshot(bytes([self._n_written]) + state)
        place = 1 - self._places[model]
        records = split(model, blob, place=place)
        self.records += records[:dies_after]
        if dies_after is None or dies_after >= len(records):
            self.completed.append(WholeSnapshot(model, blob))
            if len(records) > 1:
                self._places[model] = place


@settings(max_examples=300)
@given(data=st.data())
def test_writers_that_die_and_a_compacted_log_cost_no_reader_the_newest_whole_snapshot(data):
    topic = Topic()
    for _ in range(data.draw(st.integers(1, 8))):
        topic.write(
            data.draw(st.sampled_from(MODELS)),
            data.draw(states),
            dies_after=data.draw(st.none() | st.integers(0, 6)),
        )
    upto = data.draw(st.integers(0, len(topic.records)))
    newest = {whole.model: whole for whole in topic.completed}
    from_the_start = fold(topic.records)
    from_what_is_left = fold(compacted(topic.records, upto))

    assert from_the_start == topic.completed
    assert {whole.model: whole for whole in from_what_is_left} == newest


@given(data=st.data())
def test_what_a_follower_of_a_compacted_log_sees_was_written_whole(data):
    """However far the broker had cleaned when it read which record."""
    topic = Topic()
    for _ in range(data.draw(st.integers(1, 6))):
        topic.write(data.draw(st.sampled_from(MODELS)), data.draw(states), dies_after=None)
    at = data.draw(st.integers(0, len(topic.records)))
    cleaned = compacted(topic.records, data.draw(st.integers(at, len(topic.records))))
    left = [record for record in topic.records[:at] if record in cleaned]
    found = fold(left + topic.records[at:])

    assert [whole for whole in topic.completed if whole in found] == found


def test_a_head_whose_parts_are_gone_says_what_it_lacks_and_gives_way_to_the_next_one():
    first, second = snapshot(b"a" * 35), snapshot(b"b" * 25)
    *_, head = split(MODELS[0], first, place=0)
    parts = SnapshotParts({MODELS[0]}.__contains__)
    found = [parts.add(*head)]
    lacking = parts.incomplete()
    found += [parts.add(*record) for record in split(MODELS[0], second, place=1)]

    assert lacking == {MODELS[0]: "4 of its 4 parts are missing"}
    assert found == [None, None, None, None, WholeSnapshot(MODELS[0], second)]
    assert parts.incomplete() == {}
    assert parts.places == {MODELS[0]: 1}


def test_parts_that_were_put_together_are_not_kept_and_others_are_bounded():
    parts = SnapshotParts({MODELS[0]}.__contains__)
    for record in split(MODELS[0], snapshot(bytes(55)), place=0):
        parts.add(*record)
    for number in (0, chunks.MOST_PARTS, 999):
        parts.add(f"{MODELS[0]}/part/1/{number}".encode(), b"part")
    parts.add(f"{MODELS[1]}/part/1/0".encode(), b"a stranger's part")

    assert parts._parts == {
        (MODELS[0], 1): {0: (hashlib.sha256(b"part").digest(), b"part")},
    }
    parts.add(f"{MODELS[0]}/part/1/0".encode(), None)
    assert parts._parts == {(MODELS[0], 1): {}}


@given(junk=st.binary(max_size=200))
def test_junk_under_a_models_name_is_handed_on_to_who_refuses_it(junk):
    assert fold([(MODELS[0].encode(), junk)]) in ([WholeSnapshot(MODELS[0], junk)], [])


@pytest.mark.parametrize(
    "head",
    [
        Head(b"signature", b"manifest", b"", 0, ()),
        Head(b"signature", b"manifest", b"", 2, (bytes(32),)),
        Head(b"signature", b"manifest", b"", 0, (bytes(32),) * (chunks.MOST_PARTS + 1)),
    ],
    ids=["no parts", "no such place", "too many parts"],
)
def test_a_head_that_nobody_could_have_written_waits_for_nothing(head):
    blob = msgspec.msgpack.encode(head)

    assert fold([(MODELS[0].encode(), blob)]) == [WholeSnapshot(MODELS[0], blob)]


def test_a_tombstone_deletes_a_snapshot_and_what_waits_for_it():
    *_, head = split(MODELS[0], snapshot(bytes(55)), place=0)
    parts = SnapshotParts({MODELS[0]}.__contains__)
    parts.add(*head)

    assert parts.add(MODELS[0].encode(), None) == WholeSnapshot(MODELS[0], None)
    assert parts.incomplete() == {}
