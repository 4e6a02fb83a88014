"""The librdkafka settings of the hand-written loops."""

from typing import Any

from benchmarks.peers.task import Task

BATCH = 500
"""Records between two looks at the clock and at the delivery reports."""


def consumer_settings(task: Task) -> dict[str, Any]:
    """Make the settings of a group member that commits by itself."""
    return {
        "bootstrap.servers": task.bootstrap,
        "group.id": task.group,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "isolation.level": "read_committed",
    }


def producer_settings(task: Task) -> dict[str, Any]:
    """Make the settings of a producer that neither loses nor reorders."""
    return {
        "bootstrap.servers": task.bootstrap,
        "enable.idempotence": True,
        "partitioner": "murmur2_random",
        "linger.ms": task.linger_ms,
        "queue.buffering.max.messages": 1_000_000,
    }
