"""Tell whether a transactional id is still ours, before it is initialised anew.

Whoever initialises a transactional id fences whoever did so before. That is right for a process
that starts. A process that stood still and comes back must not do it: a successor may have taken
its slot meanwhile. The broker knows the epoch that the last one was given (KIP-664).
"""

from dataclasses import dataclass
from typing import Any, Final, Self

from aiokafka.protocol.api import Request, RequestStruct, Response  # type: ignore[import-untyped]
from aiokafka.protocol.types import (  # type: ignore[import-untyped]
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
)
from confluent_kafka import KafkaError, KafkaException

from agents.kafka.client_settings import KafkaSettings
from agents.kafka.coordinator import UNSUPPORTED, CoordinationType, ask_coordinator, failed_with

TRANSACTIONAL_ID_NOT_FOUND: Final = 105
ENDED_BY_BROKER: Final = frozenset({"PrepareAbort", "CompleteAbort"})


@dataclass(frozen=True, slots=True)
class Ownership:
    """Who was given a transactional id last, and how its last transaction stands."""

    producer_id: int
    epoch: int
    state: str = "Empty"

    def is_continued_by(self, found: Self | None, *, had_open: bool) -> bool:
        """Tell whether what is found now is still the same owner.

        Parameters
        ----------
        had_open
            Whether this owner may have had a transaction open. A broker that gives up one which was
            open for too long counts the epoch on, too; nobody else has the id then. A successor
            whose first transaction was aborted looks the same, unless nothing was open: whoever
            initialises an id ends what is open, and the epoch is counted on twice.

        >>> ours = Ownership(producer_id=7, epoch=3)
        >>> committed = Ownership(producer_id=7, epoch=3, state="CompleteCommit")
        >>> ours.is_continued_by(committed, had_open=True)
        True
        >>> aborted = Ownership(producer_id=7, epoch=4, state="CompleteAbort")
        >>> ours.is_continued_by(aborted, had_open=True)
        True
        >>> ours.is_continued_by(aborted, had_open=False)
        False
        >>> ours.is_continued_by(Ownership(producer_id=7, epoch=4, state="Empty"), had_open=True)
        False
        >>> ours.is_continued_by(None, had_open=False)  # forgotten, or a broker that cannot tell
        True
        """
        if found is None:
            return True
        may_be_given_up = had_open and found.state in ENDED_BY_BROKER
        epochs = {self.epoch, self.epoch + 1} if may_be_given_up else {self.epoch}
        return found.producer_id == self.producer_id and found.epoch in epochs


def transaction_owner(settings: KafkaSettings, turn: int, *, timeout_s: float) -> Ownership | None:
    """Ask who has the transactional id of a turn; `None`: nobody, or the broker cannot tell.

    Raises
    ------
    KafkaException
        No answer in time, or a refusal.
    """
    transactional_id = settings.transactional_id(turn)
    try:
        answer = ask_coordinator(
            settings,
            CoordinationType.TRANSACTION,
            transactional_id,
            _DescribeTransactions([transactional_id]),
            timeout_s=timeout_s,
        )
    except KafkaException as exception:
        if exception.args[0].code() == UNSUPPORTED:  # before Kafka 3.0
            return None
        raise
    ((error_code, _, state, _, _, producer_id, epoch, *_),) = answer.transaction_states
    if error_code == TRANSACTIONAL_ID_NOT_FOUND:
        return None
    if error_code != KafkaError.NO_ERROR:
        raise failed_with(error_code)
    return Ownership(producer_id, epoch, state)


class _Response(Response):  # type: ignore[misc]
    API_KEY = 65
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "transaction_states",
            CompactArray(
                ("error_code", Int16),
                ("transactional_id", CompactString("utf-8")),
                ("transaction_state", CompactString("utf-8")),
                ("transaction_timeout_ms", Int32),
                ("transaction_start_time_ms", Int64),
                ("producer_id", Int64),
                ("producer_epoch", Int16),
                (
                    "topics",
                    CompactArray(
                        ("topic", CompactString("utf-8")),
                        ("partitions", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _RequestV0(RequestStruct):  # type: ignore[misc]
    API_KEY = 65
    API_VERSION = 0
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _Response
    SCHEMA = Schema(
        ("transactional_ids", CompactArray(CompactString("utf-8"))), ("tags", TaggedFields)
    )


class _DescribeTransactions(Request[_RequestV0]):  # type: ignore[misc]
    API_KEY = 65

    def __init__(self, transactional_ids: list[str]) -> None:
        self._transactional_ids = transactional_ids

    def build(self, request_struct_class: type[_RequestV0]) -> Any:
        return request_struct_class(self._transactional_ids, {})
