"""The recorded start: made once, taken by the JVM, and never what a start depends on."""

from pathlib import Path

import pytest

from agents.embedded import aot_cache
from agents.embedded.errors import StartFailed
from agents.embedded.kafka import EmbeddedKafka
from agents.embedded.process import free_port


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "jvm" / "kafka.aot"
    monkeypatch.setattr(aot_cache, "path", lambda: path)
    return path


def recording(data_dir: Path, record_to: Path) -> EmbeddedKafka:
    return EmbeddedKafka(data_dir, free_port(), throughput=True, record_to=record_to)


@pytest.mark.integration
def test_what_is_recorded_is_what_the_jvm_takes(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    aot_cache.ensure(recording, told.append)

    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-XX:AOTMode=on")  # ends a JVM that cannot use it
    with EmbeddedKafka(tmp_path / "data", free_port()) as broker:
        assert broker.poll() is None
    assert len(told) == 1
    assert [path.name for path in cache.parent.iterdir() if path.suffix != ".lock"] == [cache.name]


@pytest.mark.integration
def test_a_start_without_a_fitting_one_is_just_slower(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.parent.mkdir()
    cache.write_bytes(b"no cache of any JVM")
    broker = EmbeddedKafka(tmp_path / "data", free_port())

    with monkeypatch.context() as strict:
        strict.setenv("JAVA_TOOL_OPTIONS", "-XX:AOTMode=on")
        with pytest.raises(StartFailed):
            broker.start()
    with broker:
        assert broker.poll() is None


def test_one_that_is_there_is_not_recorded_again(cache: Path) -> None:
    cache.parent.mkdir()
    cache.write_bytes(b"recorded")

    aot_cache.ensure(lambda *_: pytest.fail("recorded again"), pytest.fail)

    assert cache.read_bytes() == b"recorded"


def test_a_broker_that_cannot_be_recorded_is_told_of(cache: Path, tmp_path: Path) -> None:
    told: list[str] = []

    class Broken(EmbeddedKafka):
        def _command(self) -> list[str]:
            return ["false"]

    aot_cache.ensure(lambda data_dir, _: Broken(data_dir, free_port()), told.append)

    assert not cache.exists()
    assert told[1].startswith("Kafka will start slower")
