"""States of which only some are in memory are the same states."""

import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import cast

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.observability.metrics import Metrics
from agents.predict import Partitions
from agents.prediction.predict_plan import PredictPlan
from agents.prediction.served_models import ServedModels
from agents.prediction.spilled_states import SpillCounts, SpilledStates
from examples.shop.pipeline import PIPELINE
from schemas.errors import DeliveryFailed, InvalidSetting
from streams.state import Table
from tests.agents.partition_run import PartitionRun
from tests.agents.shop_history import messy
from tests.streams.test_state import StateMachine

N_KEYS = 200_000
MEMORY = """
import sys
from collections import OrderedDict
from pathlib import Path
from agents.prediction.spilled_states import SpilledStates
from streams.state import Table
import psutil

encoded = SpilledStates(Path(sys.argv[2])) if sys.argv[2:] else OrderedDict()
table = Table("u", bytes, bytes, encoded=encoded)
before = psutil.Process().memory_info().rss
for n in range(int(sys.argv[1])):
    table.restore(f"user_{n}", n.to_bytes(600, "big"))
assert table.get("user_7") == (7).to_bytes(600, "big")
assert table.oldest() == "user_0"
print((psutil.Process().memory_info().rss - before) >> 20)
"""


class SpillingStateMachine(StateMachine):
    """The laws of keyed state, with nearly everything on the disk."""

    def __init__(self) -> None:
        self.directory = tempfile.TemporaryDirectory()
        super().__init__()

    def new_table(self, prefix: str, warm: int = 0) -> Table[list[int]]:
        encoded = SpilledStates(Path(self.directory.name), hot=1, chunk=1)
        decode = msgspec.msgpack.Decoder(list[int]).decode
        return Table(prefix, msgspec.msgpack.encode, decode, warm=warm, encoded=encoded)

    def teardown(self) -> None:
        self.directory.cleanup()


TestStateOnADisk = SpillingStateMachine.TestCase
TestStateOnADisk.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)


@given(seed=st.integers(0, 1_000))
@settings(max_examples=3, deadline=None)
def test_what_is_predicted_is_the_same_to_the_last_byte(seed):
    """Batches and a crash between, with one state in memory and with all of them."""
    records = [each.record for each in messy(seed)]
    third = len(records) // 3

    def emitted(plan):
        first = PartitionRun(plan=plan)
        for start in range(0, third, 40):
            first.events(*records[start : min(start + 40, third)])
        second = PartitionRun(first.compacted(), plan=plan)
        for start in range(third, len(records), 40):
            second.events(*records[start : start + 40])
        return first.by_topic, second.by_topic

    def new_plan(spill):
        return PredictPlan(PIPELINE, Metrics(), lambda topic: topic.name, state_spill=spill)

    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patched:
        patched.setattr(
            "agents.prediction.predict_plan.SpilledStates", partial(SpilledStates, hot=1, chunk=1)
        )
        spilled = emitted(new_plan(Path(directory)))
    in_memory = emitted(new_plan(None))

    assert spilled == in_memory


def test_memory_does_not_grow_with_the_keys(tmp_path):
    def grown_mb(*arguments):
        told = subprocess.run(
            [sys.executable, "-c", MEMORY, *map(str, arguments)],
            cwd=Path(__file__).resolve().parents[3],
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        return int(told.stdout)

    few, many = grown_mb(N_KEYS // 4, tmp_path), grown_mb(N_KEYS, tmp_path)

    assert many < few * 1.2 + 5
    assert grown_mb(N_KEYS) > 3 * many


def test_partitions_tell_where_users_are_and_count_once_what_the_disk_did(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "agents.prediction.predict_plan.SpilledStates", partial(SpilledStates, hot=5, chunk=1)
    )
    metrics = Metrics()
    plan = PredictPlan(PIPELINE, metrics, lambda topic: topic.name, state_spill=tmp_path)
    partitions = Partitions("changelog", plan, cast(ServedModels, None))
    records = [each.record for each in messy(0)]

    def counts_of_a_new(number: int) -> SpillCounts:
        run = PartitionRun(plan=plan)
        partitions.install(number, run.partition)
        for start in range(0, 300, 20):
            run.events(*records[start : start + 20])
        return run.partition.spilled() or SpillCounts()

    def told(name):
        return metrics.samples()[f"thalweg_state_spill_{name}"]

    both = [counts_of_a_new(number) for number in range(2)]
    partitions.tell()
    partitions.tell()
    assert told('users{place="memory"}') == sum(each.in_memory for each in both) == 10
    assert told('users{place="disk"}') == sum(each.on_disk for each in both) > 0
    assert (
        told('users{place="disk"}') + 10
        == metrics.samples()['thalweg_state_entries{table="users"}']
    )
    assert told("writes_total") == sum(each.writes for each in both)
    assert told("reads_total") == sum(each.reads for each in both) > 0

    writes = told("writes_total")
    partitions.discard(1)
    again = counts_of_a_new(1)
    partitions.tell()

    assert told("writes_total") - writes == again.writes > 0


def test_nothing_is_left_behind(tmp_path):
    states = SpilledStates(tmp_path, hot=1, chunk=1)
    for user in ("ada", "bob", "eve"):
        states[user] = b"state"
        states.move_to_end(user)

    assert states.n_on_disk == 2
    assert [*tmp_path.iterdir()] == []


def test_a_full_disk_ends_the_worker_and_sets_no_record_aside(tmp_path):
    states = SpilledStates(tmp_path, hot=1, chunk=1)
    states._disk.execute("PRAGMA max_page_count = 8")

    def fill():
        for n in range(100):
            states[f"user_{n}"] = bytes(4_000)
            states.move_to_end(f"user_{n}")

    with pytest.raises(DeliveryFailed, match=r"THALWEG_STATE_SPILL: the disk failed: .* full"):
        fill()


def test_a_directory_that_is_none_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InvalidSetting, match="THALWEG_STATE_SPILL: cannot use"):
        SpilledStates(tmp_path / "file")
