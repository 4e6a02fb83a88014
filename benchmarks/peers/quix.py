"""Quix Streams, with its commit interval at a second; runs in an environment of its own."""

from quixstreams import Application  # type: ignore[import-not-found]  # in its environment only

from benchmarks.peers import task as peer

COMMIT_EVERY_S = 1.0
"""At least once, outputs go out before: it decides what a crash repeats, not latency."""
EXACTLY_ONCE_COMMIT_EVERY_S = 0.1
"""Exactly once, outputs become visible at the commit."""


def main() -> None:
    """Run an application with one step."""
    task, work = peer.begin()
    exactly_once = task.delivery == "exactly_once"
    application = Application(
        broker_address=task.bootstrap,
        consumer_group=task.group,
        auto_offset_reset="earliest",
        auto_create_topics=False,
        processing_guarantee="exactly-once" if exactly_once else "at-least-once",
        commit_interval=EXACTLY_ONCE_COMMIT_EVERY_S if exactly_once else COMMIT_EVERY_S,
        producer_extra_config={"linger.ms": task.linger_ms, "enable.idempotence": True},
        state_dir=task.directory,
        loglevel="WARNING",
    )
    source = application.topic(task.source, key_deserializer="bytes", value_deserializer="bytes")
    target = application.topic(task.target, key_serializer="bytes", value_serializer="bytes")
    application.dataframe(source).apply(work.process).to_topic(target)
    application.run()


if __name__ == "__main__":
    main()
