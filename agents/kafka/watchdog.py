"""Never stall silently: heal what can be healed, else end the process with a reason.

Watched, from a thread of its own, are

- the event loop, the poller and the committer: each has to give a sign of life;
- what is in flight: something of each partition has to get through, unless the committer waits for
  a broker that is away, which it does not do for ever;
- each partition: if there are records behind what is committed and none of them is in flight, they
  have to come. If they do not, librdkafka's consumer is made anew (Faust's users know what happens
  else: https://github.com/faust-streaming/faust/issues/175); if that does not help, the process
  ends.
"""

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping
from typing import Final, Protocol

from confluent_kafka import Consumer, KafkaException, TopicPartition
from faust.types.tuples import TP

from agents.kafka.batch import Batch
from agents.kafka.client_settings import KafkaSettings
from agents.kafka.log_reader import read_to_end
from agents.kafka.stalls import Position, Stalls
from schemas.errors import DeliveryFailed

logger = logging.getLogger(__name__)

CHECK_EVERY_S: Final = 1.0
PARTITIONS_EVERY_S: Final = 5.0
"""How often the broker is asked for the ends of partitions."""
HEAL_AFTER_S: Final = 30.0
BROKER_TIMEOUT_S: Final = 5.0


class Watched(Protocol):
    """What a worker tells of itself."""

    def signs_of_life(self) -> dict[str, float]:
        """Tell when each thread last gave one (monotonic seconds)."""

    def hang(self) -> str | None:
        """Tell what is known to hang for ever, if anything is."""

    def awaits_broker(self) -> bool:
        """Tell whether nothing can get through, because a broker is away and is waited for."""

    def oldest_in_flight(self) -> Mapping[TP, Batch]:
        """Tell of each partition with something in flight which batch is to get through next."""

    def flowing(self) -> dict[TP, int]:
        """Tell where partitions stand that may flow and have nothing in flight."""

    def heal(self, reason: str) -> None:
        """Make the consumer anew."""

    def end(self, reason: str) -> None:
        """End the process at once."""


class Watchdog:
    """Looks at a worker; heals it, or ends it.

    Parameters
    ----------
    end_after_s
        What gives no sign of life for so long is taken to hang; must be longer than any batch
        takes.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        worker: Watched,
        *,
        end_after_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._worker = worker
        self._end_after_s = end_after_s
        self._stalls = Stalls(HEAL_AFTER_S)
        self._clock = clock
        self._closing = threading.Event()
        self._hung: str | None = None
        self._oldest: dict[TP, tuple[Batch, float]] = {}
        """What was to get through next of each partition, and since when."""
        self._partitions_at_s = clock()
        self._nothing_before: dict[TP, int] = {}
        """Ends of partitions behind which nothing but transaction markers was found."""
        self._healed_at: dict[TP, int] = {}
        """Where partitions stood when the consumer was made anew for them."""

    def run(self) -> None:
        """Watch until closed."""
        onlooker = Consumer(self._settings.reader())
        try:
            while not self._closing.wait(CHECK_EVERY_S):
                self.check(onlooker)
        finally:
            onlooker.close()

    def close(self) -> None:
        """End the thread."""
        self._closing.set()

    def check(self, onlooker: Consumer) -> None:
        """Look once at everything that is due."""
        now_s = self._clock()
        if reason := self._hang() or self.lifeless(now_s) or self._blocked(now_s):
            self._worker.end(reason)
        elif now_s - self._partitions_at_s >= PARTITIONS_EVERY_S:
            self._partitions_at_s = now_s
            self._check_partitions(onlooker, now_s)

    def lifeless(self, now_s: float) -> str | None:
        """Tell which thread gives no sign of life, if one does not."""
        for name, beat_at_s in self._worker.signs_of_life().items():
            if now_s - beat_at_s > self._end_after_s:
                return f"the {name} gave no sign of life for {now_s - beat_at_s:.0f} s"
        return None

    def _hang(self) -> str | None:
        """Tell what hung when we looked last, too: a process that stood still hangs at one look."""
        before, self._hung = self._hung, self._worker.hang()
        return self._hung if before is not None else None

    def _blocked(self, now_s: float) -> str | None:
        if self._worker.awaits_broker():
            self._oldest = {}
            return None
        before, self._oldest = self._oldest, {}
        oldest = self._worker.oldest_in_flight()
        busy = {tp.topic for tp, batch in oldest.items() if batch.begun}
        for tp, batch in oldest.items():
            if not batch.begun and tp.topic in busy:
                continue  # it waits for an agent that has another batch in hand, which is watched
            same, since_s = before.get(tp, (batch, now_s))
            self._oldest[tp] = (batch, since_s if same is batch else now_s)
        blocked = {
            tp: now_s - since_s
            for tp, (_, since_s) in self._oldest.items()
            if now_s - since_s > self._end_after_s
        }
        if blocked:
            return f"nothing of {_text(blocked)} got through for {max(blocked.values()):.0f} s"
        return None

    def _check_partitions(self, onlooker: Consumer, now_s: float) -> None:
        flowing = self._worker.flowing()
        try:
            positions = {
                tp: Position(max(at, self._nothing_before.get(tp, 0)), _end(onlooker, tp))
                for tp, at in flowing.items()
            }
            stalled = frozenset(
                tp
                for tp in self._stalls.look(now_s, positions)
                if self._has_record(tp, positions[tp])
            )
        except (KafkaException, DeliveryFailed) as exception:
            # Without the broker nobody can tell, and nothing can flow.
            logger.warning("cannot see whether partitions are stalled: %s", exception)
            self._stalls.forgive()
            return
        if not stalled:
            return
        reason = f"{_text(stalled)} stood still with records to read"
        if any(self._healed_at.get(tp) == flowing[tp] for tp in stalled):
            self._worker.end(f"{reason}, though with a new consumer")
            return
        self._healed_at |= {tp: flowing[tp] for tp in stalled}
        self._stalls.forgive()
        logger.error("%s; making the consumer anew", reason)
        self._worker.heal(reason)

    def _has_record(self, tp: TP, position: Position) -> bool:
        """Tell whether there is more than transaction markers."""
        for _ in read_to_end(self._settings, tp, start=position.at, end=position.end):
            return True
        self._nothing_before[tp] = position.end
        return False


def _end(onlooker: Consumer, tp: TP) -> int:
    _, end = onlooker.get_watermark_offsets(TopicPartition(*tp), timeout=BROKER_TIMEOUT_S)
    return end


def _text(tps: Collection[TP]) -> str:
    return ", ".join(sorted(f"{tp.topic}:{tp.partition}" for tp in tps))
