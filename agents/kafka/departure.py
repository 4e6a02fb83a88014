"""Leave the group for good, so that others take over at once.

A static member that closes its consumer stays in its group until its session ends: a restart that
is quicker keeps its partitions, and nobody serves them meanwhile. That is right after a crash. A
worker that is told to stop knows better: it leaves, and the others go on within a heartbeat.

librdkafka sends no LeaveGroup for static members (KIP-345), and confluent-kafka has no call that
removes one. The request is therefore sent with the protocol classes of aiokafka, which is Faust's.
"""

import asyncio
import logging
from typing import Any, Final

from aiokafka.client import AIOKafkaClient, ConnectionGroup, CoordinationType  # type: ignore[import-untyped]
from aiokafka.errors import KafkaError  # type: ignore[import-untyped]
from aiokafka.helpers import create_ssl_context  # type: ignore[import-untyped]
from aiokafka.protocol.group import LeaveGroupRequest  # type: ignore[import-untyped]
from confluent_kafka import Consumer

from agents.kafka.client_settings import ClientSettings, KafkaSettings

logger = logging.getLogger(__name__)

TIMEOUT_S: Final = 3.0


def leave_group(settings: KafkaSettings, consumer: Consumer) -> None:
    """Take a consumer out of its group; if that fails, its session's end will."""
    if settings.rebalancing == "consumer":
        return  # not a static member: closing the consumer is leaving
    member_id = consumer.memberid()
    if not member_id:
        return  # never was a member
    try:
        asyncio.run(asyncio.wait_for(_leave(settings, member_id), TIMEOUT_S))
    except (KafkaError, OSError, TimeoutError, ValueError) as error:
        logger.warning(
            "%s could not leave its group (%s); others wait for the end of its session",
            settings.identity,
            error or type(error).__name__,
        )


async def _leave(settings: KafkaSettings, member_id: str) -> None:
    client = AIOKafkaClient(**_connection(settings.client()))
    try:
        await client.bootstrap()
        node = await client.coordinator_lookup(CoordinationType.GROUP, settings.group)
        await client.ready(node, group=ConnectionGroup.COORDINATION)
        request = LeaveGroupRequest(settings.group, member_id)
        await client.send(node, request, group=ConnectionGroup.COORDINATION)
    finally:
        await client.close()


def _connection(client: ClientSettings) -> dict[str, Any]:
    """Translate librdkafka's settings of a connection.

    >>> _connection({"bootstrap.servers": "a:1,b:2", "client.id": "predict-0"})["security_protocol"]
    'PLAINTEXT'
    """
    protocol = str(client.get("security.protocol", "PLAINTEXT")).upper()
    connection: dict[str, Any] = {
        "bootstrap_servers": client["bootstrap.servers"],
        "client_id": client["client.id"],
        "security_protocol": protocol,
    }
    if protocol.endswith("SSL"):
        connection["ssl_context"] = create_ssl_context(
            cafile=client.get("ssl.ca.location"),
            certfile=client.get("ssl.certificate.location"),
            keyfile=client.get("ssl.key.location"),
            password=client.get("ssl.key.password"),
        )
    if protocol.startswith("SASL"):
        mechanism = client.get("sasl.mechanism") or client.get("sasl.mechanisms")
        connection |= {
            "sasl_mechanism": mechanism or "PLAIN",
            "sasl_plain_username": client.get("sasl.username"),
            "sasl_plain_password": client.get("sasl.password"),
        }
    return connection
