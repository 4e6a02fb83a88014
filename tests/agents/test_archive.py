"""The archive on a real broker: whatever becomes of its workers, each record becomes one row."""

import os
import signal
import subprocess
import sys
import urllib.request
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import msgspec
import polars as pl
import pytest
from confluent_kafka import Producer
from faust.types.tuples import TP
from prometheus_client.parser import text_string_to_metric_families

from agents.admin import topic_admin, topic_reader
from agents.archive import Archive, Gathering
from agents.kafka.client_settings import KafkaSettings
from agents.kafka.offsets import committed_offsets
from agents.observability import metric_list
from agents.observability.metrics import Metrics
from agents.offline import tables
from agents.offline.compaction import AT_LEAST, compact
from agents.offline.file_system import FileSystem
from agents.offline.manifests import Manifests
from agents.offline.reader import EmptyTable, in_order, scan
from agents.offline.table_writer import TableWriter
from agents.offline.tables import OFFSET, PARTITION
from agents.settings import Settings
from schemas import topics
from schemas.predictions import Prediction
from schemas.sketches import SketchMinute
from tests.agents.outcome_log import make_outcomes
from tests.agents.record import Record, batch
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
DAY_MS = 86_400_000


def prediction(n: int) -> Prediction:
    return Prediction(
        prediction_id=f"p{n}",
        event_id=f"e{n}",
        user_id=f"u{n % 7}",
        use_case="purchase-intent",
        score=n / 10_000,
        confidence=0.5,
        decision=n % 2 == 0,
        source="model",
        model="m",
        model_version=3,
        variant="champion",
        event_at=1_704_067_200_000 + (n % 5) * DAY_MS,
        published_at=1_704_067_200_000,
        predicted_at=1_704_067_200_000,
        degraded=["stale_model"] if n % 3 == 0 else [],
    )


class Line:
    """An environment of its own, and the archive workers in it."""

    def __init__(self, settings, directory, free_port):
        self.settings = settings
        self.directory = directory
        self.workers = []
        self._free_port = free_port
        self._metrics_ports = []
        self.interval_s = "0.3"
        self.producer = Producer(
            KafkaSettings(bootstrap=settings.kafka_bootstrap, group="predict").producer()
        )

    def start(self, slot=0):
        self._metrics_ports.append(self._free_port())
        environment = {
            "THALWEG_KAFKA_BOOTSTRAP": self.settings.kafka_bootstrap,
            "THALWEG_TOPIC_PREFIX": self.settings.topic_prefix,
            "THALWEG_OFFLINE_STORE": str(self.directory / "offline"),
            "THALWEG_ARCHIVE_INTERVAL_S": self.interval_s,
            "THALWEG_METRICS_PORT": str(self._metrics_ports[-1]),
        }
        with (self.directory / "worker.log").open("ab") as log:
            worker = subprocess.Popen(
                [sys.executable, "-m", "agents.cli", "worker", "archive", "--slot", str(slot)],
                cwd=ROOT,
                env=os.environ | environment,
                stdout=log,
                stderr=log,
            )
        self.workers.append(worker)
        return worker

    def gauges(self, spec):
        """Ask the workers, in the order of their start, for a figure; 0 while there is none."""
        return [_sample(port, spec.name) for port in self._metrics_ports]

    def named(self, topic):
        return topic.named(self.settings.topic_prefix)

    def publish(self, numbers):
        for n in numbers:
            made = prediction(n)
            value = msgspec.json.encode(made)
            self.producer.produce(self.named(topics.PREDICTIONS), value, made.user_id.encode())
        for outcome in make_outcomes(len(numbers), seed=numbers[0]):
            self.producer.produce(self.named(topics.OUTCOMES), msgspec.msgpack.encode(outcome))
        for n in numbers[::100]:
            minute = SketchMinute("purchase-intent", n * 60_000, 0, "m", ["score"], [b"\0\1"])
            self.producer.produce(self.named(topics.SKETCHES), msgspec.json.encode(minute))
        assert self.producer.flush(30) == 0

    def records(self, topic):
        """Name every record of a topic."""
        return sorted(
            (message.partition(), message.offset())
            for message in topic_reader.read_to_end(self.settings, self.named(topic))
        )

    def rows(self, table):
        files = FileSystem(str(self.directory / "offline"))
        try:
            found = in_order(scan(files, table.name)).select(PARTITION, OFFSET).collect()
        except EmptyTable:
            return []
        return list(found.iter_rows())

    def wait_for_rows(self, table, n):
        wait_until(lambda: len(self.rows(table)) >= n, 60)

    def wait_for_all_at_hand(self):
        """Wait until every record is a row that is written, or that waits in a worker."""
        expected = {table.name: len(self.records(table.topic)) for table in tables.ALL}

        def at_hand():
            written = sum(len(self.rows(table)) for table in tables.ALL)
            return written + sum(self.gauges(metric_list.ARCHIVE_ROWS_WAITING))

        wait_until(lambda: at_hand() == sum(expected.values()), 60)

    def n_in_files(self, table):
        """Count rows as who reads the Parquet files without the manifests does."""
        paths = [str(p) for p in (self.directory / "offline" / table.name).glob("**/*.parquet")]
        return sum(pl.read_parquet(path).height for path in paths)


def _sample(port, name):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            families = text_string_to_metric_families(answer.read().decode())
    except OSError:
        return 0.0
    samples = (sample for family in families for sample in family.samples)
    return next((sample.value for sample in samples if sample.name == name), 0.0)


@pytest.fixture
def line(kafka, tmp_path, free_port):
    settings = Settings(
        kafka_bootstrap=kafka.bootstrap, topic_prefix=f"{uuid.uuid4().hex}-", partitions=2
    )
    topic_admin.create(settings)
    made = Line(settings, tmp_path, free_port)
    yield made
    for worker in made.workers:
        if worker.poll() is None:
            worker.kill()
            worker.wait()


@pytest.mark.integration
def test_each_record_becomes_one_row_though_workers_are_killed(line):
    for start in range(0, 8_000, 2_000):
        n_before = len(line.rows(tables.PREDICTIONS))
        worker = line.start()
        line.publish(range(start, start + 2_000))
        # Of several partitions of two tables: the moment is somewhere among its writes.
        line.wait_for_rows(tables.PREDICTIONS, n_before + 1)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    line.start()
    for table in tables.ALL:
        compact(FileSystem(str(line.directory / "offline")), table.name)
    for table in tables.ALL:
        expected = line.records(table.topic)
        line.wait_for_rows(table, len(expected))
        assert line.rows(table) == expected

    rows = scan(FileSystem(str(line.directory / "offline")), "predictions").collect()
    first = rows.filter(pl.col("event_id") == "e3").to_dicts()[0]
    assert (first["score"], first["degraded"]) == (0.0003, ["stale_model"])
    sketches = scan(FileSystem(str(line.directory / "offline")), "sketches").collect()
    assert sketches.sort("event_at")["sketches"].to_list()[0] == [b"\0\1"]


@pytest.mark.integration
def test_the_end_and_a_second_worker_wait_for_no_interval(line):
    """What is gathered is written at once when others wait for it, and committed."""
    line.interval_s = "60"
    first = line.start()
    line.publish(range(500))
    line.wait_for_all_at_hand()
    second = line.start(slot=1)
    wait_until(lambda: all(line.gauges(metric_list.ASSIGNED_PARTITIONS)), 60)
    gathered = line.records(topics.PREDICTIONS)
    assert line.rows(tables.PREDICTIONS) == gathered, "a partition went before its rows"

    line.publish(range(500, 1_000))
    line.wait_for_all_at_hand()
    for worker in (first, second):
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(30) == 0

    expected = line.records(topics.PREDICTIONS)
    assert line.rows(tables.PREDICTIONS) == expected
    assert line.n_in_files(tables.PREDICTIONS) == len(expected)
    kafka = KafkaSettings(
        bootstrap=line.settings.kafka_bootstrap, group=f"{line.settings.topic_prefix}archive"
    )
    tps = [TP(line.named(topics.PREDICTIONS), partition) for partition in range(2)]
    assert sum(committed_offsets(kafka, tps, timeout_s=10).values()) == len(expected)


def gathering_in(directory) -> Gathering:
    table = tables.PREDICTIONS
    files = FileSystem(str(directory))
    writer = TableWriter(files, table.name, table.schema, event_at=table.event_at)
    return Gathering(table, writer, 0)


def delivered(*offsets: int) -> Any:
    records = [Record(msgspec.json.encode(prediction(n)), offset=n) for n in offsets]
    return cast(Any, batch(records, topic="predictions"))


def test_what_was_written_before_its_offset_was_committed_is_not_written_again(tmp_path):
    killed = gathering_in(tmp_path)
    killed.add(delivered(0, 1, 2), 0.0)
    assert killed.write("predictions-0") == 3

    successor = gathering_in(tmp_path)
    successor.add(delivered(0, 1, 2, 3), 0.0)
    successor.add(delivered(4, 7), 0.0)
    assert successor.write("predictions-0") == 3
    found = in_order(scan(FileSystem(str(tmp_path)), "predictions")).collect()
    assert found[OFFSET].to_list() == [0, 1, 2, 3, 4, 7]


def test_what_is_no_prediction_is_passed_over(tmp_path, caplog):
    gathering = gathering_in(tmp_path)
    broken = cast(Any, batch([Record(b"{", offset=0)], topic="predictions"))
    gathering.add(broken, 0.0)
    gathering.add(delivered(1), 0.0)

    assert gathering.write("predictions-0") == 1
    assert "at offset 0" in caplog.text


def archive_in(directory, topic_id=lambda topic: "t1") -> tuple[Archive, list[Any]]:
    released: list[Any] = []
    made = Archive(
        FileSystem(str(directory)),
        {"predictions": tables.PREDICTIONS},
        topic_id=topic_id,
        release=released.append,
        interval=timedelta(hours=1),
        max_rows=1_000,
        metrics=Metrics(),
    )
    return made, released


def rows_in(directory) -> list[int]:
    return in_order(scan(FileSystem(str(directory)), "predictions")).collect()[OFFSET].to_list()


async def test_a_partition_that_went_and_came_back_is_gathered_anew(tmp_path):
    """Its batches from before are nobody's any more, those from after must be written."""
    archive, released = archive_in(tmp_path)
    before, after = delivered(0, 1, 2), delivered(0, 1, 2, 3)
    archive.add(before)
    before.dropped = True
    archive.add(after)
    assert released == [before]

    await archive.write_all()
    assert rows_in(tmp_path) == [0, 1, 2, 3]
    assert released == [before, after]


async def test_a_topic_that_was_made_anew_is_another_one(tmp_path):
    """Its records begin at offset 0 again, and are none of those that are written."""
    for topic_id in ("t1", "t2"):
        archive, _ = archive_in(tmp_path, topic_id=lambda _, found=topic_id: found)
        archive.add(delivered(0, 1))
        await archive.write_all()

    assert rows_in(tmp_path) == [0, 0, 1, 1]


async def write_often(archive, n):
    for offset in range(n):
        archive.add(delivered(offset))
        await archive.write_all()


async def test_many_small_files_are_merged_by_the_worker_that_wrote_them(tmp_path):
    archive, _ = archive_in(tmp_path)
    await write_often(archive, AT_LEAST)
    await archive.merge()
    (merged,) = Manifests(FileSystem(str(tmp_path)), "predictions").ranges()["predictions-0-t1"]
    assert (merged.start, merged.end) == (0, AT_LEAST)

    archive.add(delivered(AT_LEAST - 1, AT_LEAST))
    await archive.write_all()
    assert rows_in(tmp_path) == list(range(AT_LEAST + 1))


async def test_what_was_not_merged_is_told_and_waits_for_more(tmp_path, monkeypatch, caplog):
    archive, _ = archive_in(tmp_path)
    await write_often(archive, AT_LEAST)
    with monkeypatch.context() as patched:
        patched.setattr(FileSystem, "write", lambda *_: (_ for _ in ()).throw(OSError("full")))
        await archive.merge()
    assert "predictions-0-t1 of predictions was not merged" in caplog.text
    assert rows_in(tmp_path) == list(range(AT_LEAST))

    archive.add(delivered(AT_LEAST))
    await archive.write_all()
    await archive.merge()
    (merged,) = Manifests(FileSystem(str(tmp_path)), "predictions").ranges()["predictions-0-t1"]
    assert merged.end == AT_LEAST + 1
    assert rows_in(tmp_path) == list(range(AT_LEAST + 1))


@pytest.mark.parametrize("error", [OSError("no space left"), RuntimeError("as some stores say")])
@pytest.mark.parametrize("went_away", [False, True])
async def test_a_store_that_took_no_file_is_asked_again_with_all_of_it(
    tmp_path, monkeypatch, went_away, error
):
    monkeypatch.setattr("agents.archive.RETRY_S", 1e8)
    archive, released = archive_in(tmp_path)
    first, second = delivered(0, 1), delivered(0, 1, 2) if went_away else delivered(2, 3)
    archive.add(first)

    def fail(*_):
        first.dropped = went_away
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(FileSystem, "write", fail)
        await archive.write_all()
    assert released == ([first] if went_away else [])
    archive.add(second)
    await archive.write_all()
    assert released == ([first] if went_away else []), "it is left alone for a while"
    monkeypatch.setattr("agents.archive.time.monotonic", lambda: 1e9)
    await archive.write_all()

    assert rows_in(tmp_path) == ([0, 1, 2] if went_away else [0, 1, 2, 3])
    assert released == [first, second]
