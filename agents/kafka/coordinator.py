"""Ask a coordinator what librdkafka has no call for, with the protocol classes of aiokafka.

That is Faust's own client. Connections are made for the question and closed behind it: these are
rare questions.
"""

import asyncio
from typing import Any, Final

from aiokafka.client import AIOKafkaClient, ConnectionGroup, CoordinationType  # type: ignore[import-untyped]
from aiokafka.errors import IncompatibleBrokerVersion  # type: ignore[import-untyped]
from aiokafka.errors import KafkaError as ClientError
from aiokafka.helpers import create_ssl_context  # type: ignore[import-untyped]
from confluent_kafka import KafkaError, KafkaException

from agents.kafka import abandonable
from agents.kafka.client_settings import ClientSettings, KafkaSettings

__all__ = ["CoordinationType", "ask_coordinator", "failed_with"]

UNSUPPORTED: Final = KafkaError.UNSUPPORTED_VERSION


def ask_coordinator(
    settings: KafkaSettings,
    kind: CoordinationType,
    key: str,
    request: Any,
    *,
    timeout_s: float,
) -> Any:
    """Send a request to the coordinator of a group or of a transactional id.

    Parameters
    ----------
    key
        The group or the transactional id.

    Raises
    ------
    KafkaException
        No answer in time, or no broker that knows such a request (`UNSUPPORTED_VERSION`). Errors
        within the answer are the caller's.
    """
    try:
        # In a name service it may hang.
        asked = abandonable.start(
            lambda: asyncio.run(_ask(settings, kind, key, request)), name="coordinator"
        )
        return asked.result(timeout_s)
    except (IncompatibleBrokerVersion, NotImplementedError) as error:
        raise KafkaException(KafkaError(UNSUPPORTED, str(error))) from error
    except TimeoutError as error:
        reason = f"no answer of the coordinator of {key} within {timeout_s:g} s"
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT, reason, retriable=True)) from error
    except (AssertionError, ValueError) as error:  # of a way to connect that only librdkafka knows
        reason = f"cannot connect with these settings: {error}"
        raise KafkaException(KafkaError(KafkaError._INVALID_ARG, reason)) from error
    except (ClientError, OSError) as error:
        code = getattr(error, "errno", None) if isinstance(error, ClientError) else None
        if code is not None and code > 0:
            raise failed_with(code) from error
        reason = f"{type(error).__name__}: {error}"
        raise KafkaException(KafkaError(KafkaError._TRANSPORT, reason, retriable=True)) from error


def failed_with(code: int) -> KafkaException:
    """Make an exception of an error code of the protocol.

    >>> failed_with(KafkaError.NOT_COORDINATOR).args[0].retriable()
    True
    >>> failed_with(KafkaError.GROUP_AUTHORIZATION_FAILED).args[0].retriable()
    False
    """
    return KafkaException(KafkaError(code, retriable=code in RETRIABLE))


RETRIABLE: Final = frozenset(
    {
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.REQUEST_TIMED_OUT,
    }
)


async def _ask(settings: KafkaSettings, kind: CoordinationType, key: str, request: Any) -> Any:
    client = AIOKafkaClient(**_connection(settings.client()))
    try:
        await client.bootstrap()
        node = await client.coordinator_lookup(kind, key)
        return await client.send(node, request, group=ConnectionGroup.COORDINATION)
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
