"""The topic registry: the only place where a topic's name is a string."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal

Cleanup = Literal["delete", "compact", "compact,delete"]


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic and what its readers may rely on.

    Examples
    --------
    >>> PREDICTIONS.named("staging.")
    'staging.predictions'
    >>> MODELS.config()["cleanup.policy"]
    'compact'
    """

    name: str
    key: str
    """What its records are keyed by."""
    meaning: str
    partitioned: bool = True
    """Whether it has the deployment's partition count; otherwise it has one partition."""
    cleanup: Cleanup = "delete"
    retention: timedelta | None = timedelta(days=7)
    """How long a `delete` topic keeps a record; `None` keeps it for ever."""
    max_record_bytes: int = 1 << 20

    def named(self, prefix: str) -> str:
        """Name the topic within an environment."""
        return prefix + self.name

    def config(self) -> dict[str, str]:
        """Tell Kafka's settings for the topic."""
        config = {
            "cleanup.policy": self.cleanup,
            "max.message.bytes": str(self.max_record_bytes),
            "message.timestamp.type": "CreateTime",
        }
        if "delete" in self.cleanup:
            keep = -1 if self.retention is None else self.retention // timedelta(milliseconds=1)
            config["retention.ms"] = str(keep)
        return config


USER_EVENTS: Final = Topic("user-events", "user id", "What users did.", max_record_bytes=4 << 20)
LABELS: Final = Topic("labels", "user id", "What came of it.", max_record_bytes=4 << 20)
PREDICTIONS: Final = Topic("predictions", "user id", "One decision per accepted event.")
SHADOW_PREDICTIONS: Final = Topic(
    "shadow-predictions", "user id", "What a challenger would have said; nobody acts on it."
)
OUTCOMES: Final = Topic(
    "outcomes",
    "user id",
    "Features as served with their label: the training log, in one total order.",
    partitioned=False,
    retention=None,
)
FEATURE_UPDATES: Final = Topic(
    "feature-updates",
    "user id",
    "Latest features of each user.",
    # Every partition that a transaction touches costs the broker a request and a marker.
    partitioned=False,
    cleanup="compact",
)
ENTITY_EVENTS: Final = Topic(
    "entity-events",
    "entity",
    "Accepted events again, keyed by what they are about beside their user.",
    max_record_bytes=4 << 20,
)
ENTITY_FEATURES: Final = Topic(
    "entity-features",
    "entity",
    "Latest features of each entity that is no user.",
    partitioned=False,
    cleanup="compact",
)
MODELS: Final = Topic(
    "models",
    "model name",
    "Signed snapshots; the newest of each model is kept.",
    partitioned=False,
    cleanup="compact",
    max_record_bytes=8 << 20,
)
DEPLOYMENTS: Final = Topic(
    "deployments", "use case", "Who serves, since when and why.", partitioned=False, retention=None
)
ALERTS: Final = Topic("alerts", "use case", "What needs a look.", partitioned=False)
REVIEW_QUEUE: Final = Topic("review-queue", "user id", "Decisions that a person should judge.")
REVIEW_VERDICTS: Final = Topic("review-verdicts", "user id", "What the person judged.")
DEAD_LETTERS: Final = Topic(
    "dead-letters",
    "the original key",
    "Records that could not be processed: original bytes, reason in the headers.",
    partitioned=False,
    retention=timedelta(days=30),
    max_record_bytes=8 << 20,
)
DEAD_LETTER_FATES: Final = Topic(
    "dead-letter-fates",
    "offset in `dead-letters`",
    "Dead letters that were published again or dropped.",
    partitioned=False,
    cleanup="compact,delete",
    # A fate comes after its dead letter, and so outlives it.
    retention=DEAD_LETTERS.retention,
)
TELEMETRY: Final = Topic(
    "telemetry",
    "process",
    "Metric samples of every process, more than once a second.",
    partitioned=False,
    retention=timedelta(hours=6),
)
SKETCHES: Final = Topic(
    "sketches",
    "use case",
    "How scores and features are distributed, by minute of event time: counts that add up.",
    partitioned=False,
    retention=timedelta(days=30),
)
SKETCH_REFERENCES: Final = Topic(
    "sketch-references",
    "use case, model and signal",
    "What scores and features are held against, for as long as they come.",
    partitioned=False,
    cleanup="compact",
)
PREDICT_STATE: Final = Topic(
    "predict-state",
    "table and entity",
    "Changelog of what the predict role must not lose, partition by partition.",
    cleanup="compact",
)
AGGREGATE_STATE: Final = Topic(
    "aggregate-state",
    "table and entity",
    "Changelog of what the aggregate role must not lose, partition by partition.",
    cleanup="compact",
)

ALL: Final = (
    USER_EVENTS,
    LABELS,
    PREDICTIONS,
    SHADOW_PREDICTIONS,
    OUTCOMES,
    FEATURE_UPDATES,
    ENTITY_EVENTS,
    ENTITY_FEATURES,
    MODELS,
    DEPLOYMENTS,
    ALERTS,
    REVIEW_QUEUE,
    REVIEW_VERDICTS,
    DEAD_LETTERS,
    DEAD_LETTER_FATES,
    TELEMETRY,
    SKETCHES,
    SKETCH_REFERENCES,
    PREDICT_STATE,
    AGGREGATE_STATE,
)
