"""Register a version of a model that was trained from the offline store, beside `learn`.

Snapshot and event go into one transaction: whoever is killed in the middle has registered nothing.
All who register share one transactional id, so that who begins later fences who began before, and
knows all that was registered. The number of a version is the time at which it was trained,
20261128034512: `learn` counts outcomes, and never comes so far. So no two of them ever write the
same version, and nobody has to ask the other.
"""

import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from math import isfinite
from typing import Final

import msgspec
from confluent_kafka import KafkaException, Producer

from agents.deployments import log
from agents.deployments.log import Entry
from agents.kafka.client_settings import KafkaSettings
from agents.settings import Settings
from online_models import chunks
from online_models.catalogue.parameters import parameters_of
from online_models.learner import Learner
from online_models.registry import Registry
from online_models.signing import Signer
from online_models.snapshot import encode, environment_of
from schemas import topics
from schemas.deployments import REGISTERED, RESUMED, Deployment
from schemas.errors import DeliveryFailed, ThalwegError

SOURCE: Final = "/thalweg/models"
TIMEOUT_S: Final = 30.0

_encode = msgspec.json.Encoder().encode


def register(
    settings: Settings,
    use_case: str,
    learner: Learner,
    signer: Signer,
    *,
    by: str,
    why: str,
    retraining: int = -1,
    resumes_since: int | None = None,
) -> list[Entry]:
    """Publish what a learner has learned as a version of its model.

    Parameters
    ----------
    retraining
        Offset of the event that began this training, if a policy did.
    resumes_since
        Lets the model go on from the version, by a second event with the first or not at all,
        unless something in the way was decided since this offset of the log.

    Returns
    -------
    The events, and what came of each.

    Raises
    ------
    ThalwegError
        The snapshot is too large to be carried, or somebody else began to train the model since.
    DeliveryFailed
        The broker cannot be reached, or somebody else began to register a version meanwhile;
        nothing was registered, unless it says that this is not known.
    """
    kafka = KafkaSettings(
        bootstrap=settings.kafka_bootstrap, group=f"{settings.topic_prefix}models-train"
    )
    producer = Producer({**kafka.transactional_producer(0), "log_level": 0})
    try:
        producer.init_transactions(TIMEOUT_S)
    except KafkaException as error:
        raise DeliveryFailed(f"no version can be registered: {error}") from error
    registry = log.read_settled(settings, use_case).registry
    begun = registry.retrainings.get(learner.model)
    if retraining >= 0 and (begun is None or begun.change.offset != retraining):
        raise ThalwegError(f"somebody else trains {learner.model} by now: nothing was registered")
    now_ms = time.time_ns() // 1_000_000
    version = next_version(registry, learner.model, now_ms)
    environment = environment_of(settings.topic_prefix, use_case)
    blob = encode(learner, signer, at_ms=now_ms, environment=environment, version=version)
    if len(blob) > chunks.MOST_BYTES:
        raise ThalwegError(f"a snapshot of {learner.model} has {len(blob):,} bytes: too many")
    event = registration(
        *(learner, version, blob),
        use_case=use_case,
        at=now_ms,
        by=by,
        why=why,
        retraining=retraining,
    )
    events = [event]
    if resumes_since is not None:
        events.append(
            Deployment(
                kind=RESUMED,
                use_case=use_case,
                model=learner.model,
                version=version,
                at=now_ms,
                by=by,
                why=why,
                expects=resumes_since,
            )
        )
    _write(settings, producer, events, blob)
    return [each for each in log.read_settled(settings, use_case).entries if each.event in events]


def next_version(registry: Registry, model: str, now_ms: int) -> int:
    """Tell the number of a version: when it was trained, in UTC, above all that there were.

    >>> next_version(Registry("intent"), "binary_logistic_v1", now_ms=1_795_837_512_000)
    20261128034512
    """
    now = int(f"{datetime.fromtimestamp(now_ms / 1_000, UTC):%Y%m%d%H%M%S}")
    events = (standing.registered for standing in registry.standings.values())
    there_are = [each.version or 0 for each in events if each is not None and each.model == model]
    return max(now, 1 + max(there_are, default=0))


def registration(
    learner: Learner,
    version: int,
    blob: bytes,
    *,
    use_case: str,
    at: int,
    by: str,
    why: str,
    retraining: int = -1,
) -> Deployment:
    """Make the event of a version whose snapshot is known."""
    metrics = learner.prequential.figures()
    return Deployment(
        kind=REGISTERED,
        use_case=use_case,
        model=learner.model,
        version=version,
        at=at,
        by=by,
        why=why,
        # As if nothing had been read: it answers nobody's wish to keep what `learn` has learned.
        expects=-1,
        through=learner.through,
        first=learner.progress.first,
        lineage=learner.progress.lineage,
        parameters=parameters_of(learner.model),
        schema=learner.schema,
        target=learner.target,
        metrics={name: value for name, value in metrics.items() if isfinite(value)},
        parts=len(chunks.split(learner.model, blob, place=0)) - 1,
        retraining=retraining,
    )


def _write(
    settings: Settings, producer: Producer, events: Sequence[Deployment], blob: bytes
) -> None:
    version = events[0].reference
    models, deployments = (
        topic.named(settings.topic_prefix) for topic in (topics.MODELS, topics.DEPLOYMENTS)
    )
    records = chunks.split(version, blob, place=0)
    is_committing = False
    try:
        producer.begin_transaction()
        for key, value in records:
            producer.produce(models, value, key, 0)
        for event in events:
            producer.produce(
                deployments,
                _encode(event),
                event.use_case.encode(),
                0,
                headers=[*log.headers(event, SOURCE)],
            )
        producer.flush(TIMEOUT_S)
        is_committing = True
        producer.commit_transaction(TIMEOUT_S)
    except BaseException as error:
        with suppress(KafkaException):  # who was fenced has nothing left to abort
            producer.abort_transaction(TIMEOUT_S)
        if not isinstance(error, KafkaException):
            raise
        told = error.args[0]
        outcome = "nothing was registered"
        if is_committing and not (told.fatal() or told.txn_requires_abort()):
            outcome = "`thalweg models history` tells whether it was after all"
        raise DeliveryFailed(f"{version}: {told.str()}; {outcome}") from error
