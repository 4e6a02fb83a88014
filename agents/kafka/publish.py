"""Hand what batches cause to librdkafka."""

from collections.abc import Callable, Iterable

from confluent_kafka import Producer

from agents.kafka.batch import Emitted


def publish(producer: Producer, outputs: Iterable[Emitted], flush: Callable[[], None]) -> None:
    """Produce outputs in the order they were emitted; `flush` when the buffer is full."""
    produce = producer.produce
    for topic, value, key, partition, headers in outputs:
        try:
            if headers is None:
                produce(topic, value, key, partition)  # a keyword would cost half as much again
            else:
                # The stubs want headers as a list of exactly their own union of types.
                produce(topic, value, key, partition, headers=headers)  # type: ignore[arg-type]
        except BufferError:
            flush()
            produce(topic, value, key, partition, headers=headers)  # type: ignore[arg-type]
