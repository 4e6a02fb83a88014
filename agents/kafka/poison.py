"""What ordinary agents cannot process, set aside with the batch it came in.

What cannot be decoded never reaches the agent. What raises is found by the record at which the
agent raised, once it did so at every attempt: the batch is then given to the agent without it. Its
letter is published in the batch's transaction, original bytes first, the reason in headers of
KIP-1034 (docs/adr/0008-poison-and-overload.md).
"""

import logging
from collections import Counter
from dataclasses import dataclass
from typing import Final

from confluent_kafka import Message
from faust.types.tuples import TP

from agents.dead_letter_limit import count_dead_letters
from agents.isolation import may_heal
from agents.kafka.batch import Batch
from schemas import dead_letters
from schemas.errors import ThalwegError
from schemas.reasons import Reason
from streams.dead_letter_share import DeadLetterShare

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DeadLetterPolicy:
    """Where an app's agents set records aside."""

    topic: str
    """Full name."""
    limit: float
    """Share of a partition's records that may be set aside; more of them end the worker."""


class Poison:
    """What of the batch in hand one agent cannot process.

    Parameters
    ----------
    max_attempts
        How often a record may make the agent raise before it is set aside.
    """

    def __init__(self, policy: DeadLetterPolicy, max_attempts: int) -> None:
        self._policy: Final = policy
        self._max_attempts = max_attempts
        self._batch: Batch | None = None
        self._failed: Counter[int] = Counter()
        self._letters: dict[int, tuple[Message, Reason, BaseException]] = {}
        # In memory alone: agents without state have nowhere to keep it.
        self._shares: dict[TP, DeadLetterShare] = {}

    def begin(self, batch: Batch) -> None:
        """Note that the agent takes a batch, for the first time or again."""
        if batch is not self._batch:
            self._batch = batch
            self._failed.clear()
            self._letters.clear()

    def holds(self, record: Message) -> bool:
        """Tell whether a record is set aside."""
        return (record.offset() or 0) in self._letters

    def undecodable(self, record: Message, error: BaseException) -> None:
        """Set a record aside that cannot be decoded."""
        self._letters[record.offset() or 0] = (
            record,
            Reason.NOT_DECODABLE,
            error.__cause__ or error,
        )

    def failed(self, record: Message, failure: BaseException) -> int:
        """Note that a record made the agent raise; tell how often it did and may do so again.

        It may not raise any more once it is set aside. What is no record's fault is not.
        """
        offset = record.offset() or 0
        self._failed[offset] += 1
        n_failed = self._failed[offset]
        is_to_blame = isinstance(failure, Exception) and not (
            isinstance(failure, ThalwegError) or may_heal(failure)
        )
        if n_failed < self._max_attempts or not is_to_blame:
            return n_failed
        self._letters[offset] = (record, Reason.PROCESSING_FAILED, failure)
        return 0

    def end(self, batch: Batch) -> None:
        """Let what is set aside be published with the batch.

        Raises
        ------
        TooManyDeadLetters
            The batch must not be committed.
        """
        count_dead_letters(
            self._shares.setdefault(batch.tp, DeadLetterShare()),
            batch.tp,
            batch.records,
            {offset: reason for offset, (_, reason, _) in self._letters.items()},
            limit=self._policy.limit,
            setting="dead_letter_limit of the App",
        )
        whole = batch if batch.whole is None else batch.whole
        # Another agent of the topic may have set the record aside as well: one letter will do.
        for offset in sorted(self._letters.keys() - whole.set_aside):
            self._emit(batch, offset, *self._letters[offset])
        whole.set_aside |= self._letters.keys()
        self._batch = None

    def _emit(
        self, batch: Batch, offset: int, record: Message, reason: Reason, error: BaseException
    ) -> None:
        logger.warning("record %s of %s-%s is set aside (%s): %r", offset, *batch.tp, reason, error)
        why = dead_letters.headers(
            reason,
            str(error),
            exception=type(error).__name__,
            topic=batch.tp.topic,
            partition=batch.tp.partition,
            offset=offset,
        )
        # Ours last: of headers of one name, readers take the last.
        headers = [*(record.headers() or ()), *why]
        batch.emit(self._policy.topic, record.value(), record.key(), headers=headers)
