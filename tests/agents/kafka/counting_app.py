"""A small stateful app on the transport, run as a process of its own by the transport's tests.

Counts the records of each key; each output carries the count, so that a reader can tell whether
state went lost, was doubled or ran ahead. Usage: counting_app.py SETTINGS-AS-JSON
"""

import json
import sys

import faust

from agents.kafka.app import App, Batch, KafkaSettings, Unobserved


class Counts:
    """Count by key, partition by partition."""

    def __init__(self, changelog):
        self.changelog = changelog
        self.by_partition = {}

    def begin_restore(self, partition):
        sys.stderr.write(f"restoring {partition}\n")
        return _Restoring()

    def install(self, partition, restored):
        self.by_partition[partition] = restored.counts

    def discard(self, partition):
        self.by_partition.pop(partition, None)


class _Restoring:
    def __init__(self):
        self.counts = {}

    def restore(self, key, value):
        self.counts[key] = int(value)

    def complete(self):
        pass


class Printed(Unobserved):
    def on_transaction_retried(self, reason):
        sys.stderr.write(f"retried: {reason}\n")

    def on_standby(self, partitions):
        sys.stderr.write(f"warm {sorted(partitions)}\n")


def build(prefix, *, topics=("events",), make_settings=KafkaSettings, make_counts=Counts, **kafka):
    settings = make_settings(group=f"{prefix}counting", **kafka)
    counts = make_counts(f"{prefix}counting-state")
    app = App("counting", settings, keyed_state=counts, observer=Printed())

    async def count(batches):
        async for batch in batches:
            of_key = counts.by_partition[batch.partition]
            for record in batch:
                key = record.key()
                of_key[key] = of_key.get(key, 0) + 1
                batch.emit(f"{prefix}counted", b"%s %d" % (record.value(), of_key[key]), key)
            for key in {record.key() for record in batch}:
                batch.emit(counts.changelog, b"%d" % of_key[key], key, partition=batch.partition)
            yield len(batch)

    for topic in topics:
        read = app.topic(f"{prefix}{topic}", value_type=Batch)  # type: ignore[arg-type]
        app.agent(read, name=f"count-{topic}")(count)
    return app


if __name__ == "__main__":
    worker = faust.Worker(build(**json.loads(sys.argv[1])), loglevel="info", redirect_stdouts=False)
    worker.execute_from_commandline()
