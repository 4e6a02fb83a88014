"""The training log as a learner's successor reads it again."""

from collections.abc import Iterable
from typing import Final, Protocol

from faust.types.tuples import TP

from agents.kafka.client_settings import KafkaSettings
from agents.kafka.log_reader import read_to_end
from agents.kafka.offsets import committed_offsets

OFFSETS_TIMEOUT_S: Final = 30.0


class OutcomeLog(Protocol):
    """Where outcomes are, in their one order."""

    def committed_end(self) -> int:
        """Tell the offset behind what the learner has committed."""

    def between(self, start: int, end: int) -> Iterable[tuple[int, bytes]]:
        """Yield offset and value of what lies between two offsets, without the second."""


class KafkaOutcomeLog:
    """The one partition of `outcomes`, and the learner's group."""

    def __init__(self, kafka: KafkaSettings, topic: str) -> None:
        self._kafka = kafka
        self._tp = TP(topic, 0)

    def committed_end(self) -> int:
        """Tell the offset behind what the group has committed."""
        committed = committed_offsets(self._kafka, [self._tp], timeout_s=OFFSETS_TIMEOUT_S)
        return committed.get(self._tp, 0)

    def between(self, start: int, end: int) -> Iterable[tuple[int, bytes]]:
        """Yield offset and value of what lies between two offsets, without the second."""
        for offset, _, value in read_to_end(self._kafka, self._tp, start=start, end=end):
            yield offset, value or b""
