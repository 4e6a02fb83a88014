"""The models in service: the newest good snapshot of each one that a pipeline names."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import nan
from typing import Final

from agents.deployments.deployed import Deployed
from agents.observability import metric_list
from agents.observability.metrics import Metrics
from agents.prediction.asking_time import BUDGET_S, asking_p99_s
from agents.prediction.retired_models import RetiredModels
from online_models.ensemble import EnsembleScorer
from online_models.estimator import Estimator
from online_models.lineage import Position
from online_models.scorer import Scores
from online_models.signing import Verifier
from online_models.snapshot import ServableSnapshot, decode_servable
from schemas.errors import SnapshotRefused

logger = logging.getLogger(__name__)

LEARNED_SINCE: Final = "learned-since"
"""Header of a snapshot: wall time (ms) at which the oldest label that is new in it was known."""

_OF_THE_SERVED: Final = (
    *(metric_list.MODEL_VERSION, metric_list.MODEL_AGE_SECONDS),
    *(metric_list.MODEL_ASKING_SECONDS, metric_list.MODEL_MAY_SERVE),
)


PAUSE_S: Final = 0.0001
"""Long enough for a thread that waits for the interpreter to wake up and take it."""


def let_others_go_first() -> None:
    """Let other threads have the interpreter, whatever Python's switch interval."""
    time.sleep(PAUSE_S)


@dataclass(frozen=True, slots=True)
class Served:
    """One model in service, as of one snapshot: its newest, or the version that was kept."""

    name: str
    version: int
    created_at_ms: int
    scorer: Scores | EnsembleScorer
    may_serve: bool = True
    """Whether it answers within the budget (`asking_time`); otherwise it may only shadow."""
    recent_log_loss: float = nan
    """Over its latest outcomes, as of this snapshot; NaN: it was not judged yet."""


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
    environment
        Where we are (`online_models.snapshot.environment_of`).
    stopwatch
        Measures how long each takes to answer.
    pause
        Called now and then while a model is read or given up.
    """

    def __init__(
        self,
        deployed: Deployed,
        schema: str,
        target: str,
        verifier: Verifier,
        metrics: Metrics,
        *,
        environment: str = "",
        stopwatch: Callable[[], float] = time.thread_time,
        pause: Callable[[], None] = let_others_go_first,
    ) -> None:
        self.by_name: Final[dict[str, Served]] = {}
        """By name, or `name@version`. A batch looks here once, at its start."""
        self._deployed = deployed
        self._sought = self._pinned
        self._schema = schema
        self._target = target
        self._environment = environment
        self._positions: dict[str, Position] = {}
        self._verifier = verifier
        self._metrics = metrics
        self._stopwatch = stopwatch
        self._pause = pause
        self._read: dict[str, tuple[Estimator, list[object]]] = {}
        """Models as they were read, and the pieces of each."""
        self._retired = RetiredModels(pause)

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
        manifest, may_serve = snapshot.manifest, self._is_quick(name, snapshot)
        self._positions[name] = manifest.position
        self._retire(name)
        self.by_name[name] = Served(
            *(manifest.model, manifest.version, manifest.created_at),
            *(snapshot.scorer, may_serve, manifest.recent_log_loss),
        )
        self._read[name] = snapshot.scorer.model, snapshot.pieces
        del snapshot
        metrics.counter(metric_list.SNAPSHOTS, model=name, result="loaded").inc()
        metrics.gauge(metric_list.MODEL_VERSION, model=name).set(manifest.version)
        return True

    def is_in_use(self, name: str) -> bool:
        """Tell whether a model, or a version that was kept, has to be at hand."""
        return name in self._deployed.models or name in self._pinned

    @property
    def _pinned(self) -> frozenset[str]:
        roles = self._deployed.roles
        return roles.kept | {roles.twin}

    def missing(self) -> frozenset[str]:
        """Tell which versions came into use since this was asked last and have to be looked for.

        Those that are in use no more leave.
        """
        kept = self._pinned
        if kept == self._sought:
            return frozenset()
        for name in [name for name in self.by_name if "@" in name and name not in kept]:
            self._retire(name)
            del self.by_name[name], self._positions[name]
            for spec in _OF_THE_SERVED:
                self._metrics.remove(spec, model=name)
        self._sought = kept
        return kept - self.by_name.keys()

    def _retire(self, name: str) -> None:
        if name in self._read:
            self._retired.add(*self._read.pop(name))

    def give_up_retired(self) -> None:
        """Give up models that were replaced and that no batch uses any more."""
        self._retired.give_up()

    def _decoded(self, name: str, blob: bytes) -> ServableSnapshot:
        snapshot = decode_servable(
            blob,
            self._verifier,
            model=name,
            schema=self._schema,
            target=self._target,
            environment=self._environment,
            pause=self._pause,
        )
        served = self._positions.get(name)
        objection = None if served is None else snapshot.manifest.position.objection(served)
        if objection is not None:
            raise SnapshotRefused(objection)
        return snapshot

    def _is_quick(self, name: str, snapshot: ServableSnapshot) -> bool:
        names = snapshot.manifest.feature_names
        vectors = [
            dict(zip(names, golden.features, strict=True)) for golden in snapshot.manifest.golden
        ]
        p99_s = asking_p99_s(snapshot.scorer, vectors, stopwatch=self._stopwatch)
        is_quick = p99_s <= BUDGET_S
        before = self.by_name.get(name)
        if not is_quick and (before is None or before.may_serve):
            logger.warning(
                "%s takes %.1f ms to answer (p99), more than %.0f ms: it may only shadow",
                *(name, p99_s * 1_000, BUDGET_S * 1_000),
            )
        self._metrics.gauge(metric_list.MODEL_ASKING_SECONDS, model=name).set(p99_s)
        self._metrics.gauge(metric_list.MODEL_MAY_SERVE, model=name).set(float(is_quick))
        return is_quick

    def tell_ages(self, now_ms: int) -> None:
        """Set the age of each model's snapshot."""
        for name, served in list(self.by_name.items()):
            age_s = (now_ms - served.created_at_ms) / 1_000
            self._metrics.gauge(metric_list.MODEL_AGE_SECONDS, model=name).set(age_s)
