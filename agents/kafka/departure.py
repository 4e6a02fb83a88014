"""Leave the group for good, so that others take over at once.

A static member that closes its consumer stays in its group until its session ends: a restart that
is quicker keeps its partitions, and nobody serves them meanwhile. That is right after a crash. A
worker that is told to stop knows better: it leaves, and the others go on within a heartbeat.

librdkafka sends no LeaveGroup for static members (KIP-345), and confluent-kafka has no call that
removes one.
"""

import logging
from typing import Final

from aiokafka.protocol.group import LeaveGroupRequest  # type: ignore[import-untyped]
from confluent_kafka import Consumer, KafkaError, KafkaException

from agents.kafka.client_settings import KafkaSettings
from agents.kafka.coordinator import CoordinationType, ask_coordinator, failed_with

logger = logging.getLogger(__name__)

TIMEOUT_S: Final = 3.0
GONE: Final = frozenset({KafkaError.NO_ERROR, KafkaError.UNKNOWN_MEMBER_ID})
"""Left, or no member any more: either way nobody waits for us."""


def leave_group(settings: KafkaSettings, consumer: Consumer) -> None:
    """Take a consumer out of its group; if that fails, its session's end will."""
    if settings.rebalancing == "consumer":
        return  # not a static member: closing the consumer is leaving
    member_id = consumer.memberid()
    if not member_id:
        return  # never was a member
    try:
        answer = ask_coordinator(
            settings,
            CoordinationType.GROUP,
            settings.group,
            LeaveGroupRequest(settings.group, member_id),
            timeout_s=TIMEOUT_S,
        )
        if answer.error_code not in GONE:
            raise failed_with(answer.error_code)
    except KafkaException as exception:
        logger.warning(
            "%s could not leave its group (%s); others wait for the end of its session",
            settings.identity,
            exception.args[0].str(),
        )
