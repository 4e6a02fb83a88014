"""Refuse topics that share state but have different numbers of partitions.

Partitions of one number share their state (`rebalance`), since a key has the same number in all
topics, as long as these have as many partitions. If they have not, a key's records of one topic
would meet other state than those of another one, whoever is given which. Nor would they meet the
state of before, where topics were given more partitions: the changelog tells how many there were.
"""

import logging
from collections.abc import Collection, Mapping
from typing import Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from schemas.errors import DeliveryFailed

logger = logging.getLogger(__name__)

TIMEOUT_S: Final = 5.0


def check_copartitioned(onlooker: AdminClient, topics: Collection[str]) -> None:
    """Ask how many partitions topics have; if nobody can tell, go on.

    Parameters
    ----------
    onlooker
        Not the member itself: this is asked within its callbacks, where a consumer that is asked
        for metadata forgets the call that it is in, and the next callback of that call ends the
        process.

    Raises
    ------
    DeliveryFailed
        Not as many each.
    """
    try:
        refuse_unequal(partition_counts(onlooker, topics))
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


def partition_counts(onlooker: AdminClient, topics: Collection[str]) -> dict[str, int]:
    """Ask the broker how many partitions topics have, of those that exist.

    Raises
    ------
    KafkaException
        No answer in time.
    """
    known = onlooker.list_topics(timeout=TIMEOUT_S).topics
    counts = {topic: len(known[topic].partitions) for topic in topics if topic in known}
    return {topic: n for topic, n in counts.items() if n}  # none while a topic is being made
