"""A model as `learn` began it: with nothing, or with the version that it went on from."""

import logging

from agents import key_files
from agents.deployments import version_snapshots
from agents.kafka.client_settings import KafkaSettings
from agents.learning.restoring import label_delay, new_learner
from agents.pipeline import Pipeline
from agents.settings import Settings
from online_models.learner import Learner
from online_models.registry import Registry
from online_models.signing import Verifier
from online_models.snapshot import decode, environment_of
from schemas import topics
from schemas.errors import SnapshotRefused

logger = logging.getLogger(__name__)


def begun(settings: Settings, pipeline: Pipeline, registry: Registry, model: str) -> Learner:
    """Make a model as it was at first: taught the rest of the log, it comes to the online one.

    Where its version is refused now, as it is with other features, `learn` begins with nothing, and
    so does this.

    Raises
    ------
    DeliveryFailed
        The version cannot be read.
    InvalidSetting
        There are no keys to check it with.
    """
    features = pipeline.compiled()
    change = registry.origins.get(model)
    if change is None or change.event.version is None:
        return new_learner(pipeline, features, model)
    origin = change.event.reference
    verifier = Verifier(key_files.trusted_keys(settings))
    kafka = KafkaSettings(
        bootstrap=settings.kafka_bootstrap, group=f"{settings.topic_prefix}models-train"
    )
    blob = version_snapshots.read(kafka, topics.MODELS.named(settings.topic_prefix), origin)
    try:
        learner = decode(
            blob or b"",  # none is refused, too
            verifier,
            model=origin,
            schema=features.schema,
            target=pipeline.label.target,
            environment=environment_of(settings.topic_prefix, pipeline.use_case),
        ).learner
    except SnapshotRefused as refusal:
        logger.warning("%s went on from %s, but is trained without it: %s", model, origin, refusal)
        return new_learner(pipeline, features, model)
    learner.expect_labels_within(label_delay(pipeline))
    return learner
