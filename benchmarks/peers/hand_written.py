"""An at-least-once loop on confluent-kafka, as an expert writes it.

Production never waits. Once a second everything produced is flushed, and only then is the
position committed.
"""

import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from benchmarks.peers import task as peer
from benchmarks.peers.hand_written_clients import BATCH, consumer_settings, producer_settings

COMMIT_EVERY_S = 1.0
FLUSH_TIMEOUT_S = 30.0


def main() -> None:
    """Consume, work, produce, and commit now and then."""
    task, work = peer.begin()
    stopping = peer.until_told_to_stop()
    failures: list[KafkaError] = []

    def note_failure(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failures.append(error)

    consumer = Consumer(consumer_settings(task))
    producer = Producer(
        {
            **producer_settings(task),
            "delivery.report.only.error": True,
            "on_delivery": note_failure,
        }
    )

    def commit(*, asynchronous: bool) -> None:
        if producer.flush(FLUSH_TIMEOUT_S) or failures:
            raise SystemExit(f"not delivered: {failures[:1]}")
        try:
            if asynchronous:
                consumer.commit(asynchronous=True)
            else:
                consumer.commit(asynchronous=False)
        except KafkaException as exception:
            if exception.args[0].code() != KafkaError._NO_OFFSET:  # noqa: SLF001  # its name
                raise

    def on_revoke(_consumer: Consumer, _partitions: list[TopicPartition]) -> None:
        commit(asynchronous=False)

    consumer.subscribe([task.source], on_revoke=on_revoke)
    process, produce, target = work.process, producer.produce, task.target
    commit_at = time.monotonic() + COMMIT_EVERY_S
    while not stopping():
        first = consumer.poll(0.1)
        if first is not None:
            for message in (first, *consumer.consume(BATCH - 1, 0)):
                if (error := message.error()) is not None:
                    raise KafkaException(error)
                answer = process(message.value() or b"")
                try:
                    produce(target, answer, message.key())
                except BufferError:
                    producer.flush(FLUSH_TIMEOUT_S)
                    produce(target, answer, message.key())
        producer.poll(0)
        if time.monotonic() >= commit_at:
            commit(asynchronous=True)
            commit_at = time.monotonic() + COMMIT_EVERY_S
    commit(asynchronous=False)
    consumer.close()


if __name__ == "__main__":
    main()
