"""The real servers that tests share: one broker and one Redis server for the whole run."""

import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import settings

from agents.embedded import process
from agents.embedded.kafka import EmbeddedKafka
from agents.embedded.valkey import EmbeddedRedis
from tests import histories
from tests.faults.size import FULL, SIZE

# How long an example takes says more about the machine's mood than about the code. Examples differ
# from run to run.
settings.register_profile("thalweg", deadline=None, max_examples=100 if SIZE is FULL else 50)
settings.load_profile("thalweg")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Keep the garbage collector, as a worker does (`agents.garbage`), from what lives for long.

    Hundreds of megabytes of modules and tests are looked through in each full collection.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000, 50, 50)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand what one of several test processes counted to the one that tells it."""
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["histories"] = dict(histories.counted)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Add up what several test processes counted."""
    histories.counted.update(getattr(node, "workeroutput", {}).get("histories", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell how many random histories of faults were run."""
    if histories.counted:
        each = ", ".join(f"{name} {n:,}" for name, n in sorted(histories.counted.items()))
        total = sum(histories.counted.values())
        terminalreporter.write_line(f"random histories: {total:,} ({each})")


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """Find ports that nobody listens on."""
    return process.free_port


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedKafka]:
    """A broker; tests keep apart by topic prefixes and group names, never by deleting topics."""
    with EmbeddedKafka(tmp_path_factory.mktemp("kafka"), process.free_port()) as broker:
        yield broker


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRedis]:
    """A Redis server; tests keep apart by key prefixes."""
    with EmbeddedRedis(tmp_path_factory.mktemp("redis"), process.free_port()) as server:
        yield server
