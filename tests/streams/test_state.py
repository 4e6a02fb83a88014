"""Laws of keyed state: the changelog is the state."""

from copy import deepcopy

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from schemas.errors import InvalidDeclaration
from streams.state import Change, PartitionState, Table

KEYS = st.sampled_from(["", "a", "b", "ü", "ab"])


def list_table(prefix: str, warm: int = 0) -> Table[list[int]]:
    return Table(
        prefix, msgspec.msgpack.encode, msgspec.msgpack.Decoder(list[int]).decode, warm=warm
    )


def compacted(changelog: list[Change]) -> list[Change]:
    """Keep the last record of each key, as Kafka does; tombstones last for a while."""
    last = {key: position for position, (key, _) in enumerate(changelog)}
    return [change for position, change in enumerate(changelog) if last[change[0]] == position]


class StateMachine(RuleBasedStateMachine):
    """Two tables beside two plain dicts."""

    def __init__(self) -> None:
        super().__init__()
        self.cold, self.warm = self.new_table("c"), self.new_table("w", warm=2)
        self.state = PartitionState([self.cold, self.warm])
        self.naive: dict[str, dict[str, list[int]]] = {"c": {}, "w": {}}
        self.logged = deepcopy(self.naive)
        self.changelog: list[Change] = []

    tables = st.sampled_from("cw")

    def new_table(self, prefix: str, warm: int = 0) -> Table[list[int]]:
        return list_table(prefix, warm)

    def table(self, prefix: str) -> Table[list[int]]:
        return self.cold if prefix == "c" else self.warm

    @rule(prefix=tables, key=KEYS, value=st.integers(0, 9))
    def put(self, prefix: str, key: str, value: int) -> None:
        self.table(prefix).put(key, [value])
        self.naive[prefix][key] = [value]

    @rule(prefix=tables, key=KEYS, value=st.integers(0, 9))
    def change_in_place(self, prefix: str, key: str, value: int) -> None:
        found = self.table(prefix).get(key)
        assert found == self.naive[prefix].get(key)
        if found is not None:
            found.append(value)
            self.table(prefix).mark(key)
            self.naive[prefix][key] = list(found)

    @rule(prefix=tables, key=KEYS)
    def delete(self, prefix: str, key: str) -> None:
        self.table(prefix).delete(key)
        self.naive[prefix].pop(key, None)

    @rule(prefix=tables, key=KEYS)
    def pop(self, prefix: str, key: str) -> None:
        assert self.table(prefix).pop(key) == self.naive[prefix].pop(key, None)

    @rule()
    def collect(self) -> None:
        self.collect_changes()

    def collect_changes(self) -> None:
        changes = self.state.changes()
        assert len({key for key, _ in changes}) == len(changes)
        self.changelog += changes
        self.logged = deepcopy(self.naive)

    @rule()
    def undo(self) -> None:
        self.state.undo()
        self.naive = deepcopy(self.logged)

    @rule(compact=st.booleans())
    def restart(self, compact: bool) -> None:
        self.collect_changes()
        self.cold, self.warm = self.new_table("c"), self.new_table("w", warm=2)
        self.state = PartitionState([self.cold, self.warm])
        for key, value in compacted(self.changelog) if compact else self.changelog:
            self.state.restore(key, value)

    @invariant()
    def holds_what_was_put(self) -> None:
        for prefix, expected in self.naive.items():
            assert len(self.table(prefix)) == len(expected)
            assert dict(self.table(prefix).scan()) == expected
            for key in ["", "a", "b", "ü", "ab"]:
                assert (key in self.table(prefix)) == (key in expected)
                raw = self.table(prefix).raw(key)
                assert (raw and msgspec.msgpack.decode(raw)) == expected.get(key)

    @invariant()
    def restores_to_the_same_order(self) -> None:
        """What was undone has left no trace: the oldest is who it would be after a restart."""
        tables = {prefix: list_table(prefix) for prefix in "cw"}
        restored = PartitionState(list(tables.values()))
        for key, value in self.changelog:
            restored.restore(key, value)
        for prefix, table in tables.items():
            alive = [key for key, _ in table.scan() if key in self.naive[prefix]]
            assert self.table(prefix).oldest() == next(iter(alive), None)


TestTheChangelogIsTheState = StateMachine.TestCase


def test_a_batch_logs_each_key_once_with_its_last_value():
    table = list_table("t")
    table.put("a", [1])
    table.put("b", [1])
    table.put("a", [2])

    assert table.changes() == [(b"ta", b"\x91\x02"), (b"tb", b"\x91\x01")]
    assert table.changes() == []


def test_what_came_and_went_within_a_batch_is_not_logged():
    table = list_table("t")
    table.put("a", [1])
    table.delete("a")

    assert table.changes() == []


def test_a_logged_key_changed_and_deleted_in_one_batch_leaves_a_tombstone():
    table = list_table("t")
    table.put("a", [1])
    table.changes()

    table.put("a", [2])
    table.delete("a")

    assert table.changes() == [(b"ta", None)]
    assert table.get("a") is None


def test_a_key_deleted_put_and_deleted_again_leaves_a_tombstone():
    table = list_table("t")
    table.put("a", [1])
    table.changes()

    table.delete("a")
    table.put("a", [2])
    table.delete("a")

    assert table.changes() == [(b"ta", None)]


def test_the_oldest_key_is_the_one_not_changed_for_longest():
    table = list_table("t")
    for key in ("a", "b", "a"):
        table.put(key, [1])
        table.changes()

    assert table.oldest() == "b"


def test_a_key_changed_in_this_batch_shows_its_new_raw_value():
    table = list_table("t")
    table.restore("a", b"\x91\x01")
    table.put("a", [2])

    assert table.oldest() == "a"
    assert table.raw("a") == b"\x91\x02"


def test_a_restored_value_is_decoded_only_when_it_is_read():
    def refuse(raw: bytes) -> str:
        raise AssertionError(f"decoded {raw!r}")

    table: Table[str] = Table("t", str.encode, refuse)
    state = PartitionState([table])
    state.restore(b"ta", b"x")

    assert len(table) == 1
    assert table.raw("a") == b"x"
    with pytest.raises(AssertionError):
        table.get("a")


def test_records_of_a_table_that_is_no_more_are_ignored():
    state = PartitionState([list_table("t")])
    state.restore(b"zold", b"x")

    assert state.changes() == []


def test_a_mark_without_a_read_is_refused():
    with pytest.raises(KeyError, match="not read before"):
        list_table("t").mark("a")


def test_two_tables_cannot_share_a_prefix():
    with pytest.raises(InvalidDeclaration, match="share a prefix"):
        PartitionState([list_table("t"), list_table("t")])


@pytest.mark.parametrize("prefix", ["", "ab", "ü"])
def test_a_prefix_is_one_ascii_character(prefix):
    with pytest.raises(InvalidDeclaration, match="one ASCII character"):
        list_table(prefix)


@given(st.lists(KEYS, min_size=1))
def test_scanning_decodes_every_logged_value_oldest_first(keys):
    table = list_table("t")
    for position, key in enumerate(keys):
        table.put(key, [position])
        table.changes()

    positions = [value[0] for _, value in table.scan()]

    assert positions == sorted(positions)
    assert dict(table.scan()) == {key: [position] for position, key in enumerate(keys)}


def test_the_values_that_changed_last_stay_decoded():
    table, put = list_table("t", warm=2), {key: [0] for key in "abc"}
    for key in "abc":
        table.put(key, put[key])
        table.changes()
    assert table.get("c") is put["c"]
    assert table.get("b") is put["b"]
    assert table.get("a") is not put["a"]

    table.mark("b")
    table.changes()
    table.put("d", [0])
    table.changes()
    assert table.get("b") is put["b"]
    assert table.get("c") is not put["c"]
