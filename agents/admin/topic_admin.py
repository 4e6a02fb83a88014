"""Topics as declared: create those that are missing, tell where the others differ.

Nothing that exists is ever changed here. Partition counts decide which user's events meet in which
worker, and retention decides what is lost; both are a person's decision.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # exported without saying so
    AdminClient,
    ClusterMetadata,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from agents.settings import Settings
from schemas import topics
from schemas.errors import DeliveryFailed
from schemas.topics import Topic

TIMEOUT_S: Final = 5.0
RECONNECT_MS: Final = 200
"""A broker that starts is not kept waiting by who failed to reach it before."""
_POLL_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class TopicState:
    """One declared topic as the broker has it."""

    name: str
    key: str
    meaning: str
    partitions: int | None
    """`None` when the broker has no such topic."""
    differences: tuple[str, ...] = ()
    """Where the broker's topic is not the declared one."""


def partitions_of(topic: Topic, settings: Settings) -> int:
    """Tell how many partitions a topic is created with."""
    return settings.partitions if topic.partitioned else 1


def create(settings: Settings, declared: Sequence[Topic] = topics.ALL) -> list[TopicState]:
    """Create the declared topics that are missing; tell the state of all.

    Raises
    ------
    DeliveryFailed
        The broker cannot be reached, or refuses.
    """
    admin = connect(settings)
    existing = _partition_counts(admin, settings)
    missing = [
        NewTopic(
            topic.named(settings.topic_prefix),
            num_partitions=partitions_of(topic, settings),
            replication_factor=settings.replication,
            config=topic.config(),
        )
        for topic in declared
        if topic.named(settings.topic_prefix) not in existing
    ]
    if missing:
        for name, created in admin.create_topics(missing, request_timeout=TIMEOUT_S).items():
            try:
                created.result()
            except KafkaException as error:
                # Another process may have created it since we looked.
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise DeliveryFailed(f"cannot create topic `{name}`: {_text(error)}") from error
        _wait_until_known(admin, settings, {topic.topic for topic in missing})
    return states(settings, declared)


def wait_until_there(
    settings: Settings, needed: Sequence[Topic], *, timeout_s: float, tell: Callable[[str], object]
) -> None:
    """Wait until the broker answers and has these topics: who needs them may start before both.

    Parameters
    ----------
    timeout_s
        How long at most.
    tell
        Told what is waited for, once, when it is not there at once.

    Raises
    ------
    DeliveryFailed
        They are not there in time; says what is missing, and how to make it.
    """
    admin = connect(settings)
    deadline = time.monotonic() + timeout_s
    told = False
    while (lack := _lack(admin, settings, needed)) is not None:
        if time.monotonic() > deadline:
            raise DeliveryFailed(lack)
        if not told:
            tell(f"{lack}; waiting up to {timeout_s:.0f} s")
            told = True
        time.sleep(_POLL_S)


def states(settings: Settings, declared: Sequence[Topic] = topics.ALL) -> list[TopicState]:
    """Hold each declared topic against the broker's.

    Raises
    ------
    DeliveryFailed
        The broker cannot be reached.
    """
    admin = connect(settings)
    existing = _partition_counts(admin, settings)
    names = [topic.named(settings.topic_prefix) for topic in declared]
    configs = _configs(admin, [name for name in names if name in existing])
    return [
        TopicState(
            name,
            topic.key,
            topic.meaning,
            existing.get(name),
            tuple(differences(topic, settings, existing[name], configs[name]))
            if name in existing
            else (),
        )
        for name, topic in zip(names, declared, strict=True)
    ]


def differences(
    topic: Topic, settings: Settings, partitions: int, config: dict[str, str | None]
) -> Iterator[str]:
    """Say where a topic of the broker is not the declared one.

    >>> declared = topics.ALERTS
    >>> config = declared.config() | {"retention.ms": "1000"}
    >>> list(differences(declared, Settings(), 2, config))
    ['2 partitions, not 1', 'retention.ms is 1000, not 604800000']
    """
    expected = partitions_of(topic, settings)
    if partitions != expected:
        yield f"{partitions} partitions, not {expected}"
    for key, value in topic.config().items():
        if config.get(key) != value:
            yield f"{key} is {config.get(key)}, not {value}"


def topic_id(settings: Settings, name: str) -> str:
    """Tell the id that the cluster gave a topic when it was made, fit for the name of a file."""
    admin = connect(settings)
    try:
        asked = admin.describe_topics(TopicCollection([name]), request_timeout=TIMEOUT_S)
        found = str(asked[name].result(TIMEOUT_S).topic_id)
    except KafkaException as error:
        raise DeliveryFailed(f"cannot describe {name}: {_text(error)}") from error
    return found.replace("/", "_").replace("+", "-")  # as Kafka's own tools write it


def connect(settings: Settings) -> AdminClient:
    """Open an admin client; nothing is asked yet."""
    return AdminClient(
        {
            "bootstrap.servers": settings.kafka_bootstrap,
            "reconnect.backoff.max.ms": RECONNECT_MS,
            "log_level": 0,
        }
    )


def cluster_id(settings: Settings) -> str:
    """Tell the identity of the cluster.

    Raises
    ------
    DeliveryFailed
        The broker cannot be reached.
    """
    return str(_metadata(connect(settings), settings).cluster_id)


def _lack(admin: AdminClient, settings: Settings, needed: Sequence[Topic]) -> str | None:
    try:
        existing = _partition_counts(admin, settings)
    except DeliveryFailed as failure:
        return str(failure)
    missing = {topic.named(settings.topic_prefix) for topic in needed} - existing.keys()
    if not missing:
        return None
    return f"no topic {', '.join(sorted(missing))}: `thalweg topics create` makes it"


def _metadata(admin: AdminClient, settings: Settings) -> ClusterMetadata:
    try:
        return admin.list_topics(timeout=TIMEOUT_S)
    except KafkaException as error:
        raise DeliveryFailed(f"no Kafka broker answers at {settings.kafka_bootstrap}") from error


def _partition_counts(admin: AdminClient, settings: Settings) -> dict[str, int]:
    known = _metadata(admin, settings).topics
    return {name: len(topic.partitions) for name, topic in known.items() if not topic.error}


def _configs(admin: AdminClient, names: Sequence[str]) -> dict[str, dict[str, str | None]]:
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    if not resources:
        return {}
    try:
        return {
            resource.name: {key: entry.value for key, entry in answer.result().items()}
            for resource, answer in admin.describe_configs(resources).items()
        }
    except KafkaException as error:
        raise DeliveryFailed(f"cannot read the topics' settings: {_text(error)}") from error


def _wait_until_known(admin: AdminClient, settings: Settings, names: set[str]) -> None:
    """Wait until the broker tells of topics that it has created, or workers would not find them."""
    deadline = time.monotonic() + TIMEOUT_S
    while missing := names - _partition_counts(admin, settings).keys():
        if time.monotonic() > deadline:
            raise DeliveryFailed(
                f"created, yet not there after {TIMEOUT_S:.0f} s: {sorted(missing)}"
            )
        time.sleep(_POLL_S)


def _text(error: KafkaException) -> str:
    return str(error.args[0].str())
