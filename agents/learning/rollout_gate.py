"""Lets a rollout step or stop by itself: `learn` alone sees all outcomes, in one order.

What was compared so far is a record on `models`, the changelog of the role, written in the
transaction of the batch that it was compared in, and so is a decision. Whoever takes over goes on
from there: no label counts twice, and nothing is decided twice.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from agents.deployments.deployed import Deployed
from agents.kafka.batch import Batch
from agents.learning.own_decisions import BY, OwnDecisions
from agents.learning.rebuild import Rebuilds
from agents.observability import metric_list
from agents.observability.metrics import Metrics
from online_models.assignment import Rollout
from online_models.gate import Comparison, Gates, Verdict
from online_models.rollouts import RolloutStanding
from schemas.deployments import PROMOTED, STEPPED, STOPPED, Deployment, split
from schemas.errors import UNREADABLE
from schemas.outcomes import Outcome

logger = logging.getLogger(__name__)

KEY: Final = b"rollout/comparison"
"""Of the record on `models`; no model has such a name."""

_OF_A_COMPARISON: Final = (
    *(metric_list.ROLLOUT_LABELS, metric_list.ROLLOUT_LOSS_DIFFERENCE),
    metric_list.ROLLOUT_WAITS,
)

Scores = Mapping[str, float | None]
"""What the models' earlier selves gave an outcome; `None`: it is not to be judged."""

_decode = msgspec.msgpack.Decoder(Comparison).decode
_encode = msgspec.msgpack.Encoder().encode


class RolloutGate:
    """The gates of the rollout that runs, if it has any.

    Parameters
    ----------
    models, deployments
        Full names of the topics.
    objection
        Tells why a candidate may not serve, if so: then it is given no more users.
    rebuilds
        Tells what both went on from: as soon as that is something else, they are compared anew.
    """

    def __init__(
        self,
        deployed: Deployed,
        metrics: Metrics,
        *,
        models: str,
        deployments: str,
        objection: Callable[[str], str | None] = lambda candidate: None,
        rebuilds: Rebuilds | None = None,
    ) -> None:
        self._objection = objection
        self._deployed = deployed
        self._rebuilds = rebuilds or Rebuilds(deployed)
        self._metrics = metrics
        self._models = models
        self._decisions = OwnDecisions(deployed, topic=deployments)
        self.begin(None)

    def begin(self, record: bytes | None) -> None:
        """Go on from what stands on `models`."""
        self._comparison = _decoded(record)
        self._is_recorded = record is not None
        for spec in _OF_A_COMPARISON:
            self._metrics.remove(spec)
        self._decisions.begin()
        self._waits_for: str | None = None
        """Why a step that is due is not taken."""
        self._is_paused = False
        """Whether one of both is about to be replaced by one that went on from elsewhere."""
        self._told = ""
        self._rollout: Rollout | None = None

    def comparing(self) -> Callable[[int, Outcome, Scores], None] | None:
        """Tell what to do with each outcome of a batch that begins; `None`: nothing."""
        registry = self._decisions.look()
        rollout = self._rollout = self._deployed.rollout
        if rollout is None or rollout.gates is None:
            self._comparison = None
            return None
        if self._decisions.is_underway:
            return None  # the step that these outcomes would tell of is over
        # Where a version serves, its model as it goes on learning, which may be resumed, too.
        candidate, champion = rollout.candidate, split(self._deployed.roles.champion)[0]
        self._is_paused = any(map(self._rebuilds.is_to_be_another, (candidate, champion)))
        if self._is_paused:
            return None
        comparison = self._comparison
        standing = registry.rollouts.get(rollout.name)
        begun = (rollout.name, rollout.exposure, -1 if standing is None else standing.offset)
        origin = max(map(self._rebuilds.origin, (candidate, champion)))
        if comparison is None or (*begun, candidate, champion, origin) != (
            *(comparison.rollout, comparison.exposure, comparison.since),
            *(comparison.candidate, comparison.champion, comparison.origin),
        ):
            stage = _stage(comparison, rollout, standing)
            comparison = Comparison(
                *begun, candidate=candidate, champion=champion, stage=stage, origin=origin
            )
            self._comparison = comparison
        counts = rollout.gates.counts

        def compare(offset: int, outcome: Outcome, scores: Scores) -> None:
            ours, theirs = scores.get(candidate), scores.get(champion)
            if ours is None or theirs is None or outcome.judged == 0.0:
                return
            if counts(outcome.prediction_id):
                comparison.update(offset, bool(outcome.label), candidate=ours, champion=theirs)

        return compare

    def settle(self, batch: Batch, now_ms: int) -> None:
        """Write down what was compared, and decide what is due."""
        comparison, rollout = self._comparison, self._rollout
        if comparison is None or rollout is None or rollout.gates is None:
            if self._is_recorded:
                self._is_recorded = False
                batch.emit(self._models, None, KEY, partition=0)
            return
        if self._decisions.is_underway or self._is_paused:
            return
        batch.emit(self._models, _encode(comparison), KEY, partition=0)
        self._is_recorded = True
        verdict = comparison.verdict(rollout.gates, n_steps=_n_steps(rollout))
        if verdict != "step":
            self._waits_for = None
        if verdict is None:
            return
        event = self._decision(verdict, comparison, rollout, rollout.gates, now_ms)
        if event is not None and not self._must_wait(event):
            logger.info("%s %s: %s", event.kind, event.subject, event.why)
            self._decisions.take(event, batch)

    def _must_wait(self, event: Deployment) -> bool:
        """Tell whether more users would go to a candidate that may not serve, and say why."""
        before, self._waits_for = self._waits_for, None
        if (refusal := self._decisions.registry.refusal(event)) is not None:
            self._waits_for = refusal.reason
        elif event.kind != STOPPED:
            self._waits_for = self._objection(event.model)
        if self._waits_for not in (None, before):
            logger.warning("%s %s would be due: %s", event.kind, event.subject, self._waits_for)
        return self._waits_for is not None

    def tell(self) -> None:
        """Set the metrics; once a second."""
        rollout, comparison = self._deployed.rollout, self._comparison
        name = "" if rollout is None else rollout.name
        if self._told != name:
            self._told = name
            for spec in (metric_list.ROLLOUT_EXPOSURE, *_OF_A_COMPARISON):
                self._metrics.remove(spec)
        if rollout is None:
            return
        self._metrics.gauge(metric_list.ROLLOUT_EXPOSURE, rollout=name).set(rollout.exposure)
        if rollout.gates is None or comparison is None or comparison.rollout != name:
            return
        if self._waits_for is not None:
            self._objection(rollout.candidate)  # asks again, should no outcome come for long
        waits = self._metrics.gauge(metric_list.ROLLOUT_WAITS, rollout=name)
        waits.set(float(self._waits_for is not None))
        n_labels = comparison.differences.n
        self._metrics.gauge(metric_list.ROLLOUT_LABELS, rollout=name).set(n_labels)
        interval = comparison.interval(rollout.gates, n_steps=_n_steps(rollout))
        for end, value in zip(("low", "high"), interval, strict=True):
            spec = metric_list.ROLLOUT_LOSS_DIFFERENCE
            self._metrics.gauge(spec, rollout=name, end=end).set(value)

    def _decision(
        self,
        verdict: Verdict,
        comparison: Comparison,
        rollout: Rollout,
        gates: Gates,
        now_ms: int,
    ) -> Deployment | None:
        """Make the event of a verdict; `None`: no step is left, and promoting is up to people."""
        exposure, champion = rollout.next_exposure, ""
        if verdict == "stop":
            kind, exposure = STOPPED, None
        elif exposure is not None:
            kind = STEPPED
        elif gates.promotes:
            kind, champion = PROMOTED, self._deployed.roles.champion
        else:
            return None
        low, high = comparison.interval(gates, n_steps=_n_steps(rollout))
        n_labels = comparison.differences.n
        return Deployment(
            kind=kind,
            use_case=self._decisions.registry.use_case,
            model=rollout.candidate,
            at=now_ms,
            by=BY,
            why=f"log loss {low:+.4f} to {high:+.4f} against the champion's, by {n_labels} labels",
            expects=self._decisions.registry.offset,
            replaces=champion,
            metrics={"labels": float(n_labels), "low": low, "high": high},
            rollout=rollout.name,
            exposure=exposure,
        )


def _n_steps(rollout: Rollout) -> int:
    """Count the decisions that share the probability of an error."""
    return 1 + len(rollout.steps)


def _stage(before: Comparison | None, rollout: Rollout, standing: RolloutStanding | None) -> int:
    """Count how often a rollout was compared anew, also since another exposure was declared."""
    n_decided = 0 if standing is None else standing.n_decided
    if before is None or (before.rollout, before.candidate) != (rollout.name, rollout.candidate):
        return n_decided
    return max(n_decided, before.stage + 1)


def _decoded(record: bytes | None) -> Comparison | None:
    """Read what was compared; what cannot be read was written by another release: begin anew."""
    if record is None:
        return None
    try:
        return _decode(record)
    except UNREADABLE as error:
        logger.warning("a rollout is compared anew: %s", error)
        return None
