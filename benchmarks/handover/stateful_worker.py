"""One worker that counts by key, as a process of its own: settings as JSON.

Every event's answer carries what `benchmarks.peers` needs of it: its number, and when it was due.
"""

import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import faust
import orjson

from agents.kafka.app import App, Batch, KafkaSettings
from agents.kafka.keyed_state import Restoring


class Counts:
    """How often each key came, in one partition."""

    def __init__(self) -> None:
        self.by_key: dict[bytes, int] = {}

    def restore(self, key: bytes, value: bytes | None) -> None:
        """Take over one changelog record."""
        self.by_key[key] = int(value or b"0")

    def complete(self) -> None:
        """Do nothing: nothing is derived."""


class CountsOfPartitions:
    """Implements `agents.kafka.keyed_state.KeyedState`."""

    def __init__(self, changelog: str) -> None:
        self.changelog = changelog
        self.of: dict[int, dict[bytes, int]] = {}

    def begin_restore(self, partition: int) -> Counts:
        """Begin with nothing."""
        return Counts()

    def install(self, partition: int, restored: Restoring) -> None:
        """Take counts into use."""
        self.of[partition] = restored.by_key  # type: ignore[attr-defined]  # made above

    def discard(self, partition: int) -> None:
        """Forget a partition."""
        self.of.pop(partition, None)


def build(*, source: str, target: str, changelog: str, **kafka: Any) -> App:  # noqa: ANN401  # whatever KafkaSettings takes
    """Make an app with one agent."""
    counts = CountsOfPartitions(changelog)
    app = App("handover", KafkaSettings(**kafka), keyed_state=counts)

    @app.agent(app.topic(source, value_type=Batch))  # type: ignore[arg-type]
    async def count(batches: faust.StreamT[Batch]) -> AsyncIterator[int]:
        async for batch in batches:
            by_key = counts.of[batch.partition]
            for record in batch:
                key = record.key() or b""
                by_key[key] = by_key.get(key, 0) + 1
                event = orjson.loads(record.value() or b"")
                answer = {"event_id": event["event_id"], "due": event["due"]}
                batch.emit(target, orjson.dumps(answer), key)
            for key in {record.key() or b"" for record in batch}:
                batch.emit(changelog, b"%d" % by_key[key], key, partition=batch.partition)
            yield len(batch)

    return app


if __name__ == "__main__":
    worker = faust.Worker(build(**json.loads(sys.argv[1])), loglevel="info", redirect_stdouts=False)
    worker.execute_from_commandline()
