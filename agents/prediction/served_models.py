"""The models in service: the newest good snapshot of each one that a pipeline names."""

import logging
from dataclasses import dataclass
from typing import Final

from agents.deployments.deployed import Deployed
from agents.observability import metric_list
from agents.observability.metrics import Metrics
from online_models.scorer import Scorer
from online_models.signing import Verifier
from online_models.snapshot import ServableSnapshot, decode_servable
from schemas.deployments import split
from schemas.errors import SnapshotRefused

logger = logging.getLogger(__name__)

LEARNED_SINCE: Final = "learned-since"
"""Header of a snapshot: wall time (ms) at which the oldest label that is new in it was known."""


@dataclass(frozen=True, slots=True)
class Served:
    """One model in service, as of one snapshot: its newest, or the version that was kept."""

    name: str
    version: int
    created_at_ms: int
    scorer: Scorer


class ServedModels:
    """Takes every good snapshot into service; a bad one is refused and the last good one stays.

    Parameters
    ----------
    deployed
        Tells which models learn, and which versions that were kept are in use; others are passed
        over.
    schema
        Hash of the features that the pipeline computes.
    target
        Hash of its label rule.
    """

    def __init__(
        self,
        deployed: Deployed,
        schema: str,
        target: str,
        verifier: Verifier,
        metrics: Metrics,
    ) -> None:
        self.by_name: Final[dict[str, Served]] = {}
        """By name, or `name@version`. A batch looks here once, at its start."""
        self._deployed = deployed
        self._sought: frozenset[str] = frozenset()
        self._schema = schema
        self._target = target
        self._verifier = verifier
        self._metrics = metrics

    def offer(self, name: str, blob: bytes | None) -> bool:
        """Serve a snapshot from now on if it is good; tell whether that came true.

        Parameters
        ----------
        name
            The key it was published under: `name`, or `name@version`.
        """
        if not self.is_in_use(name) or blob is None:
            return False
        metrics = self._metrics
        try:
            snapshot = self._decoded(name, blob)
        except SnapshotRefused as refusal:
            logger.warning("refused a snapshot of %s: %s", name, refusal)
            metrics.counter(metric_list.SNAPSHOTS, model=name, result="refused").inc()
            return False
        manifest = snapshot.manifest
        self.by_name[name] = Served(
            manifest.model, manifest.version, manifest.created_at, snapshot.scorer
        )
        metrics.counter(metric_list.SNAPSHOTS, model=name, result="loaded").inc()
        metrics.gauge(metric_list.MODEL_VERSION, model=name).set(manifest.version)
        return True

    def is_in_use(self, name: str) -> bool:
        """Tell whether a model, or a version that was kept, has to be at hand."""
        return name in self._deployed.models or name in self._deployed.roles.kept

    def missing(self) -> frozenset[str]:
        """Tell which versions came into use since this was asked last and have to be looked for.

        Those that are in use no more leave.
        """
        kept = self._deployed.roles.kept
        if kept == self._sought:
            return frozenset()
        for name in [name for name in self.by_name if "@" in name and name not in kept]:
            del self.by_name[name]
            self._metrics.remove(metric_list.MODEL_VERSION, model=name)
            self._metrics.remove(metric_list.MODEL_AGE_SECONDS, model=name)
        self._sought = kept
        return kept - self.by_name.keys()

    def _decoded(self, name: str, blob: bytes) -> ServableSnapshot:
        model, version = split(name)
        snapshot = decode_servable(
            blob, self._verifier, model=model, schema=self._schema, target=self._target
        )
        found = snapshot.manifest.version
        if version is not None and found != version:
            raise SnapshotRefused(f"snapshot is of version {found}, expected {version}")
        return snapshot

    def tell_ages(self, now_ms: int) -> None:
        """Set the age of each model's snapshot."""
        for name, served in list(self.by_name.items()):
            age_s = (now_ms - served.created_at_ms) / 1_000
            self._metrics.gauge(metric_list.MODEL_AGE_SECONDS, model=name).set(age_s)
