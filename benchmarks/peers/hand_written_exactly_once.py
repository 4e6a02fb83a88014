"""An exactly-once loop on confluent-kafka, as an expert writes it: a transaction for each batch.

One thread: while a transaction commits, nothing is computed.
"""

from confluent_kafka import Consumer, KafkaException, Producer

from benchmarks.peers import task as peer
from benchmarks.peers.hand_written_clients import consumer_settings, producer_settings

BATCH = 2_000
"""Large, since each transaction costs some milliseconds; a batch takes what is there."""
TIMEOUT_S = 30.0


def main() -> None:
    """Consume, work, produce and commit, one batch after the other."""
    task, work = peer.begin()
    stopping = peer.until_told_to_stop()
    consumer = Consumer(consumer_settings(task))
    producer = Producer(
        {
            **producer_settings(task),
            "transactional.id": task.group,
            "transaction.timeout.ms": 10_000,
            "request.timeout.ms": 5_000,
        }
    )
    producer.init_transactions(TIMEOUT_S)
    consumer.subscribe([task.source])
    process, produce, target = work.process, producer.produce, task.target
    while not stopping():
        first = consumer.poll(0.1)
        if first is None:
            continue
        # A failed transaction ends the process; whoever starts it again goes on from the last one.
        producer.begin_transaction()
        for message in (first, *consumer.consume(BATCH - 1, 0)):
            if (error := message.error()) is not None:
                raise KafkaException(error)
            produce(target, process(message.value() or b""), message.key())
        producer.flush(TIMEOUT_S)  # else the commit waits for librdkafka's timers
        producer.send_offsets_to_transaction(
            consumer.position(consumer.assignment()), consumer.consumer_group_metadata(), TIMEOUT_S
        )
        producer.commit_transaction(TIMEOUT_S)
    consumer.close()


if __name__ == "__main__":
    main()
