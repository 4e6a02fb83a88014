"""The models in service: the newest good snapshot of each one that a pipeline names."""

import logging
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from agents.observability import metric_list
from agents.observability.metrics import Metrics
from online_models.scorer import Scorer
from online_models.signing import Verifier
from online_models.snapshot import decode_servable
from schemas.errors import SnapshotRefused

logger = logging.getLogger(__name__)

LEARNED_SINCE: Final = "learned-since"
"""Header of a snapshot: wall time (ms) at which the oldest label that is new in it was known."""


@dataclass(frozen=True, slots=True)
class Served:
    """One model in service, as of one snapshot."""

    name: str
    version: int
    created_at_ms: int
    scorer: Scorer


class ServedModels:
    """Takes every good snapshot into service; a bad one is refused and the last good one stays.

    Parameters
    ----------
    models
        Names to serve; others are passed over.
    schema
        Hash of the features that the pipeline computes.
    target
        Hash of its label rule.
    """

    def __init__(
        self,
        models: AbstractSet[str],
        schema: str,
        target: str,
        verifier: Verifier,
        metrics: Metrics,
    ) -> None:
        self.by_name: Final[dict[str, Served]] = {}
        """A batch looks here once, at its start."""
        self._models = models
        self._schema = schema
        self._target = target
        self._verifier = verifier
        self._metrics = metrics

    def offer(self, name: str, blob: bytes | None) -> bool:
        """Serve a snapshot from now on if it is good; tell whether that came true."""
        if name not in self._models or blob is None:
            return False
        metrics = self._metrics
        try:
            snapshot = decode_servable(
                blob, self._verifier, model=name, schema=self._schema, target=self._target
            )
        except SnapshotRefused as refusal:
            logger.warning("refused a snapshot of %s: %s", name, refusal)
            metrics.counter(metric_list.SNAPSHOTS, model=name, result="refused").inc()
            return False
        manifest = snapshot.manifest
        self.by_name[name] = Served(name, manifest.version, manifest.created_at, snapshot.scorer)
        metrics.counter(metric_list.SNAPSHOTS, model=name, result="loaded").inc()
        metrics.gauge(metric_list.MODEL_VERSION, model=name).set(manifest.version)
        return True

    def tell_ages(self, now_ms: int) -> None:
        """Set the age of each model's snapshot."""
        for served in list(self.by_name.values()):
            age_s = (now_ms - served.created_at_ms) / 1_000
            self._metrics.gauge(metric_list.MODEL_AGE_SECONDS, model=served.name).set(age_s)
