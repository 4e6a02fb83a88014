"""Hand what batches cause to librdkafka."""

from collections.abc import Callable, Iterable

from confluent_kafka import Producer

from agents.kafka.batch import Output


def publish(producer: Producer, outputs: Iterable[Output], flush: Callable[[], None]) -> None:
    """Produce outputs in the order they were emitted; `flush` when the buffer is full."""
    produce = producer.produce
    for topic, value, key, partition, headers in outputs:
        # The stubs want headers as a list of exactly their own union of types.
        try:
            produce(topic, value, key, partition, headers=headers)  # type: ignore[arg-type]
        except BufferError:
            flush()
            produce(topic, value, key, partition, headers=headers)  # type: ignore[arg-type]
