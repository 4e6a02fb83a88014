"""Keep warm copies of other workers' state, so that failover needs no full restore (`--standby`).

A thread of its own follows the changelogs of the partitions that this worker would be given if
others went (`standby_plan`). When it is given one, the restorer takes the copy and reads only what
is missing at its end.

Under KIP-848 nobody can know what that will be: the broker's `range` lets members keep what they
have, and shares out the rest in an order of its own, which follows from ids that are drawn anew for
each member. So each worker keeps a copy of everything there.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from agents.kafka.client_settings import KafkaSettings
from agents.kafka.keyed_state import KeptWarm, KeyedState, Restoring
from agents.kafka.standby_plan import warm_partitions

logger = logging.getLogger(__name__)

PLAN_EVERY_S: Final = 3.0
FIRST_PLAN_EVERY_S: Final = 0.5
"""The first one is waited for, and a broker that has just started has no groups yet."""
CHUNK: Final = 1_000
POLL_S: Final = 0.2
BROKER_TIMEOUT_S: Final = 5.0
BEHIND: Final = 50_000
"""A copy that lacks more records than this is not warm: they take some tenths of a second to read.
"""


@dataclass(slots=True)
class Copy:
    """State of one partition, as far as its changelog was followed."""

    state: Restoring
    next_offset: int = OFFSET_BEGINNING
    is_warm: bool = False
    """Whether it has been at the changelog's end, and did not fall behind since."""


class Standby:
    """Follows changelogs until told to stop.

    Parameters
    ----------
    on_change
        Called from the thread with the partitions that are warm, when they change.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        state: KeyedState,
        on_change: Callable[[frozenset[int]], None],
    ) -> None:
        self._settings = settings
        self._state = state
        self._on_change = on_change
        self._copies: dict[int, Copy] = {}
        self._lock = threading.Lock()
        self._taken: set[int] = set()
        """Partitions that are ours now: their copies are in use."""
        self._told: frozenset[int] = frozenset()
        self._is_planned = False
        self._is_warm = threading.Event()
        self._closing = threading.Event()

    def warm_up(self, *, timeout_s: float) -> bool:
        """Wait until nothing speaks against joining the group, or for so long; tell which.

        Who comes anew should have its copies first: others serve its partitions until then. Whose
        place in the group is still kept for it, as a static member's, is waited for.
        """
        return self._is_warm.wait(timeout_s)

    def take(self, partition: int) -> Copy | None:
        """Hand a copy over to be used; it is followed no longer."""
        with self._lock:
            self._taken.add(partition)
            return self._copies.pop(partition, None)

    def give_back(self, partition: int) -> None:
        """Note that a partition belongs to somebody else again."""
        with self._lock:
            self._taken.discard(partition)

    def close(self) -> None:
        """End the thread."""
        self._closing.set()
        self._is_warm.set()

    def run(self) -> None:
        """Follow changelogs until closed."""
        reader = Consumer(self._settings.reader())
        admin = AdminClient(self._settings.client())
        plan_at_s = 0.0
        try:
            while not self._closing.is_set():
                if time.monotonic() >= plan_at_s:
                    self._plan(reader, admin)
                    every_s = PLAN_EVERY_S if self._is_planned else FIRST_PLAN_EVERY_S
                    plan_at_s = time.monotonic() + every_s
                self._follow(reader)
                self._tell(reader)
                self._keep_warm()
        finally:
            reader.close()

    def _plan(self, reader: Consumer, admin: AdminClient) -> None:
        """Take up and drop copies as members come and go."""
        try:
            wanted = self._wanted(admin)
        except (KafkaException, TimeoutError) as exception:
            # What is there stays; the next look is soon.
            logger.warning("cannot see who is in the group: %r", exception)
            return
        with self._lock:
            self._is_planned = True
            wanted -= self._taken
            if wanted == self._copies.keys():
                return
            for partition in self._copies.keys() - wanted:
                del self._copies[partition]
            for partition in wanted - self._copies.keys():
                self._copies[partition] = Copy(self._state.begin_restore(partition))
            reader.assign(
                [
                    TopicPartition(self._state.changelog, partition, copy.next_offset)
                    for partition, copy in sorted(self._copies.items())
                ]
            )
        logger.info("keeping a copy of partitions %s", sorted(wanted))

    def _wanted(self, admin: AdminClient) -> frozenset[int]:
        settings, changelog = self._settings, self._state.changelog
        asked = admin.describe_consumer_groups([settings.group])
        members = asked[settings.group].result(BROKER_TIMEOUT_S).members
        topic = admin.list_topics(changelog, timeout=BROKER_TIMEOUT_S).topics[changelog]
        if any(member.group_instance_id == settings.identity for member in members):
            self._is_warm.set()  # our place is kept, and nobody serves it meanwhile
        if not members:
            return frozenset()  # we shall be alone: nobody waits for us to be warm
        if settings.rebalancing == "consumer":
            return frozenset(topic.partitions)
        return warm_partitions(
            settings.identity,
            [member.client_id for member in members],
            list(topic.partitions),
            failures=settings.standby,
        )

    def _follow(self, reader: Consumer) -> None:
        if not self._copies:
            self._closing.wait(POLL_S)
            return
        messages = reader.consume(CHUNK, POLL_S)
        with self._lock:
            for message in messages:
                error = message.error()
                copy = self._copies.get(message.partition() or 0)
                if copy is None:
                    continue  # taken meanwhile
                if error is None:
                    if (key := message.key()) is not None:
                        copy.state.restore(key, message.value())
                    copy.next_offset = (message.offset() or 0) + 1
                elif error.code() == KafkaError._PARTITION_EOF:
                    copy.is_warm = True
                    copy.next_offset = message.offset() or 0
                else:
                    logger.warning("following the state of others: %s", error.str())

    def _keep_warm(self) -> None:
        for copy in list(self._copies.values()):
            with self._lock:  # who takes it over meanwhile needs what is being done
                if copy.is_warm and isinstance(copy.state, KeptWarm):
                    copy.state.keep_warm()

    def _tell(self, reader: Consumer) -> None:
        with self._lock:
            for number, copy in self._copies.items():
                at = TopicPartition(self._state.changelog, number)
                _, end = reader.get_watermark_offsets(at, cached=True)
                if end - copy.next_offset > BEHIND:
                    copy.is_warm = False
            warm = frozenset(number for number, copy in self._copies.items() if copy.is_warm)
            if self._is_planned and len(warm) == len(self._copies):
                self._is_warm.set()
        if warm != self._told:
            self._told = warm
            self._on_change(warm)
