"""Take partitions over from whoever had them: end what a dead predecessor left open.

A worker that was killed leaves its transaction open. Until that times out at the broker, readers
of committed records wait at it, and so do its partitions' offsets and their changelog. Its slot is
written in the offsets it committed, and its transactional ids follow from the slot: initialising a
producer of the same id ends its transaction at once and fences it, should it not be dead at all.

Only who is no longer a member of the group is taken for dead, and only if something is open: a
member that merely gave the partition away lives on.
"""

import logging
import time
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from faust.types.tuples import TP

from agents.kafka.client_settings import TURNS, KafkaSettings
from agents.kafka.initialise import initialise
from agents.kafka.offsets import commits, committed_offsets

logger = logging.getLogger(__name__)

PATIENCE_S: Final = 0.2
"""How long a transaction may take to end by itself before it is looked into."""
TIMEOUT_S: Final = 5.0
FIRST_TIMEOUT_S: Final = 0.05
"""How long the end of a predecessor's transaction is waited for before it is asked for again."""


def take_over(
    settings: KafkaSettings,
    consumer: Consumer,
    tps: Collection[TP],
    *,
    new: Collection[int],
    changelog: str | None,
) -> Mapping[TP, int] | None:
    """Tell from where partitions go on; `None` if that cannot be told soon.

    Parameters
    ----------
    consumer
        The member itself, which has its connections already.
    new
        Numbers of the partitions that may have had another owner.
    changelog
        Where the partitions' state is kept, to see whether its end is held back.
    """
    try:
        offsets = _settled_offsets(consumer, tps)
        taken = [tp for tp in tps if tp.partition in new]
        if taken and (
            offsets is None or (changelog and _is_held_back(settings, consumer, changelog, new))
        ):
            for identity in _the_dead(settings, taken):
                _fence(settings, identity)
            offsets = committed_offsets(settings, tps, timeout_s=TIMEOUT_S)
    except (KafkaException, TimeoutError) as exception:
        # What follows, the first fetch and the restore, waits for what is open by itself.
        logger.warning("could not look after what predecessors left open: %r", exception)
        return None
    return offsets


def _settled_offsets(consumer: Consumer, tps: Collection[TP]) -> Mapping[TP, int] | None:
    try:
        found = consumer.committed([TopicPartition(*tp) for tp in tps], timeout=PATIENCE_S)
    except KafkaException:
        return None
    if any(each.error is not None for each in found):
        return None
    return {TP(each.topic, each.partition): each.offset for each in found if each.offset >= 0}


def _is_held_back(
    settings: KafkaSettings, consumer: Consumer, topic: str, partitions: Collection[int]
) -> bool:
    """Tell whether readers of committed records see less of a topic than there is, and go on to."""
    onlooker = Consumer({**settings.reader(), "isolation.level": "read_uncommitted"})
    deadline_s = time.monotonic() + PATIENCE_S
    try:
        for partition in partitions:
            at = TopicPartition(topic, partition)
            _, end = onlooker.get_watermark_offsets(at, timeout=TIMEOUT_S)
            # The member itself sees no further than to the first transaction that is open.
            while consumer.get_watermark_offsets(at, timeout=TIMEOUT_S)[1] < end:
                if time.monotonic() > deadline_s:
                    return True
    finally:
        onlooker.close()
    return False


def _the_dead(settings: KafkaSettings, tps: Collection[TP]) -> set[str]:
    """Find who committed last and is no longer a member of the group."""
    last = commits(settings, tps, timeout_s=TIMEOUT_S, stable=False)
    predecessors = {commit.identity for commit in last.values()} - {"", settings.identity}
    if not predecessors:
        return set()
    admin = AdminClient(settings.client())  # kept: its answers end with it
    asked = admin.describe_consumer_groups([settings.group])
    members = {each.client_id for each in asked[settings.group].result(TIMEOUT_S).members}
    return {
        identity
        for identity in predecessors - members
        if identity.startswith(f"{settings.group}-")  # not whatever another tool wrote there
    }


def _fence(settings: KafkaSettings, identity: str) -> None:
    logger.warning("ending what %s left open: it is no longer in the group", identity)
    producers = [settings.fencing_producer(identity, turn) for turn in range(TURNS)]
    with ThreadPoolExecutor(TURNS) as pool:
        list(pool.map(_end_transaction, producers))


def _end_transaction(fencing_producer: dict[str, Any]) -> None:
    # While the end is being written, the broker says "not yet", and librdkafka rests for half a
    # second whatever its settings are. A new producer asks at once.
    deadline_s, timeout_s = time.monotonic() + TIMEOUT_S, FIRST_TIMEOUT_S
    while True:
        try:
            initialise(Producer(fencing_producer), timeout_s)
        except KafkaException as exception:
            if not exception.args[0].retriable() or time.monotonic() > deadline_s:
                raise
            timeout_s *= 2
        else:
            return
