"""Initialise a transactional producer, which fences whoever had its transactional id before."""

from contextlib import suppress
from typing import Final

from confluent_kafka import KafkaException, Producer

CONNECT_TIMEOUT_S: Final = 2.0


def initialise(producer: Producer, timeout_s: float) -> None:
    """Initialise a producer that was just made, in the time that it takes.

    Parameters
    ----------
    timeout_s
        For the initialisation; a connection is waited for before it, `CONNECT_TIMEOUT_S` at most.

    Raises
    ------
    KafkaException
        As `init_transactions` does.
    """
    # Asked before it has a connection, librdkafka most often rests for half a second.
    with suppress(KafkaException):  # what follows waits for a broker, and says what is wrong
        producer.list_topics(timeout=min(timeout_s, CONNECT_TIMEOUT_S))
    producer.init_transactions(timeout_s)
