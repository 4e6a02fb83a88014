"""Refuse topics that share state but have different numbers of partitions.

Partitions of one number share their state (`rebalance`), since a key has the same number in all
topics, as long as these have as many partitions. If they have not, a key's records of one topic
would meet other state than those of another one, whoever is given which. Nor would they meet the
state of before, where topics were given more partitions: the changelog tells how many there were.
"""

import logging
from collections.abc import Iterable, Mapping
from typing import Final

from confluent_kafka import Consumer, KafkaException

from schemas.errors import DeliveryFailed

logger = logging.getLogger(__name__)

TIMEOUT_S: Final = 5.0


def check_copartitioned(consumer: Consumer, topics: Iterable[str]) -> None:
    """Ask how many partitions topics have; if nobody can tell, go on.

    Raises
    ------
    DeliveryFailed
        Not as many each.
    """
    try:
        refuse_unequal(partition_counts(consumer, topics))
    except KafkaException as exception:
        logger.warning("cannot see how many partitions topics have: %s", exception.args[0].str())


def refuse_unequal(counts: Mapping[str, int]) -> None:
    """Raise unless all topics have as many partitions.

    >>> refuse_unequal({"events": 4, "labels": 4})
    >>> refuse_unequal({"events": 4, "labels": 8})
    Traceback (most recent call last):
    schemas.errors.DeliveryFailed: events (4 partitions) and labels (8 partitions) share state: ...
    """
    if len(set(counts.values())) > 1:
        each = " and ".join(f"{topic} ({n} partitions)" for topic, n in sorted(counts.items()))
        raise DeliveryFailed(
            f"{each} share state: a key's records meet only if all of them have as many; create"
            " topics with as many partitions, and begin anew with them"
        )


def partition_counts(consumer: Consumer, topics: Iterable[str]) -> dict[str, int]:
    """Ask the broker how many partitions topics have, of those that exist.

    Raises
    ------
    KafkaException
        No answer in time.
    """
    told = {topic: consumer.list_topics(topic, timeout=TIMEOUT_S).topics[topic] for topic in topics}
    return {topic: len(each.partitions) for topic, each in told.items() if each.partitions}
