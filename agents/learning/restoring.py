"""From what stands on `models` to learners that go on."""

import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import msgspec
from confluent_kafka import KafkaException

from agents.learning.accuracy_guard import KEY as TOLD
from agents.learning.rebuild import Beginning
from agents.learning.rollout_gate import KEY as COMPARISON
from agents.learning.visit_watch import KEY as WATCHED
from agents.observability.learner_metrics import LearnerMetrics
from agents.outcome_log import OutcomeLog
from agents.pipeline import Pipeline
from online_models.chunks import SnapshotParts, owner
from online_models.late_learners import At, LateLearners
from online_models.learner import Learner
from online_models.lineage import Rebuilt, lineage_of
from online_models.signing import Verifier
from online_models.snapshot import (
    Manifest,
    ServableSnapshot,
    Snapshot,
    decode,
    decode_servable,
    read_manifest,
)
from online_models.twin import FrozenTwin, original
from schemas.deployments import reference
from schemas.errors import UNREADABLE, DeliveryFailed, SnapshotRefused
from schemas.outcomes import Outcome
from streams.feature_set import FeatureSet

logger = logging.getLogger(__name__)

WARM_EVERY_S: Final = 10.0
"""How often a standby looks at what is new, at most half of its time."""

_decode_outcome: Final = msgspec.msgpack.Decoder(Outcome).decode


def new_learner(pipeline: Pipeline, features: FeatureSet, name: str) -> Learner:
    """Make a learner that has learned nothing, of what the pipeline asks about."""
    return Learner(
        name,
        feature_names=features.names,
        schema=features.schema,
        target=pipeline.label.target,
        label_delay=label_delay(pipeline),
    )


def label_delay(pipeline: Pipeline) -> timedelta:
    """Tell how long after its event a label becomes known, at most."""
    return pipeline.label.horizon + pipeline.allowed_lateness


@dataclass(frozen=True, slots=True, kw_only=True)
class Curriculum:
    """What is to be learned, from which log, and whose snapshots are believed."""

    pipeline: Pipeline
    features: FeatureSet
    log: OutcomeLog
    verifier: Verifier
    environment: str = ""
    """Where we are (`online_models.snapshot.environment_of`)."""
    version: Callable[[str], bytes | None] = lambda reference: None
    """Reads the snapshot of a version, `name@version`, from `models`; waits for the broker."""

    def new_learner(self, name: str) -> Learner:
        """Make a learner that has learned nothing."""
        return new_learner(self.pipeline, self.features, name)

    def begin(self, beginning: Beginning) -> Learner:
        """Make a learner that has learned nothing, or what the version has that it goes on from.

        Raises
        ------
        SnapshotRefused
            When that version is not to be gone on from.
        DeliveryFailed
            It cannot be read.
        """
        name, origin = beginning.model, beginning.origin
        if origin is None:
            return self.new_learner(name)
        blob = self.version(origin)
        if blob is None:
            raise SnapshotRefused(f"there is no snapshot of {origin} on `models`")
        found = self.load(origin, blob)
        if (told := reference(name, found.manifest.version)) != origin:
            raise SnapshotRefused(f"snapshot is of {told}, expected {origin}")
        self.check_log(found.learner, self.prediction_at(found.learner.progress.first))
        self._check_end(found.learner)
        return found.learner

    def load(self, name: str, blob: bytes) -> Snapshot:
        """Load a snapshot.

        Raises
        ------
        SnapshotRefused
            When it is not to be gone on from.
        """
        found = decode(blob, self.verifier, **self._ours(name))
        found.learner.expect_labels_within(label_delay(self.pipeline))
        return found

    def manifest(self, name: str, blob: bytes) -> Manifest:
        """Check a snapshot without loading it; raises likewise."""
        return read_manifest(blob, self.verifier, **self._ours(name))

    def servable(self, name: str, blob: bytes) -> ServableSnapshot:
        """Check a snapshot and load what answers; raises likewise."""
        return decode_servable(blob, self.verifier, **self._ours(name), pause=lambda: None)

    def prediction_at(self, offset: int) -> str | None:
        """Tell whose outcome stands at an offset of the log; `None`: there is none."""
        found = next(iter(self.outcomes(offset, offset + 1)), None)
        return None if found is None else found[1].prediction_id

    def check_log(self, learner: Learner, prediction_id: str | None) -> None:
        """Refuse what comes of another log: its offsets would keep outcomes of ours from it.

        Parameters
        ----------
        prediction_id
            Whose outcome stands where the learner learned its first one.

        Raises
        ------
        SnapshotRefused
            The log was created anew since.
        """
        first = learner.progress.first
        if not learner.progress.lineage:
            return
        if prediction_id is None:
            self._check_end(learner)
            return  # more cannot be told
        ours = lineage_of(
            model=learner.model,
            schema=learner.schema,
            target=learner.target,
            first=first,
            prediction_id=prediction_id,
        )
        if ours != learner.progress.lineage:
            raise SnapshotRefused(
                f"it comes of another log: it began with another outcome at offset {first} than the"
                f" one that stands there, {prediction_id}"
            )

    def _check_end(self, learner: Learner) -> None:
        """Refuse what has learned more than there is; raises likewise."""
        through = learner.through
        # What is archived may be ahead of the group, but not of the log.
        if through >= self.log.committed_end() and not any(self.log.between(through, through + 1)):
            raise SnapshotRefused(f"it comes of another log: ours has no offset {through} yet")

    def _ours(self, name: str) -> dict[str, str]:
        return {
            "model": name,
            "schema": self.features.schema,
            "target": self.pipeline.label.target,
            "environment": self.environment,
        }

    def outcomes(self, start: int, end: int) -> Iterator[At]:
        """Read the log between two offsets; what is no outcome was set aside when it came."""
        return decoded(self.log.between(start, end))


def decoded(records: Iterable[tuple[int, bytes]]) -> Iterator[At]:
    """Decode outcomes, and leave out what is none.

    Examples
    --------
    >>> list(decoded([(7, b"junk")]))
    []
    """
    for offset, value in records:
        try:
            yield offset, _decode_outcome(value)
        except UNREADABLE:
            continue


class LearnersRestoring:
    """Newest snapshots, until the changelog is at its end; then learners.

    The champion learns at once what is committed but not in its snapshot: nobody else can take its
    place. The others do so later, and nobody waits for them.

    A standby does most of that ahead of time: every so often it loads what is new, and lets its
    champion learn what is committed.

    Parameters
    ----------
    champion
        Tells which of the pipeline's models somebody waits for, once the changelog is at its end.
    beginning
        Tells where a model begins that has no good snapshot.
    stopwatch
        Seconds, by a clock that nobody sets.
    """

    def __init__(
        self,
        curriculum: Curriculum,
        champion: Callable[[], str],
        metrics: LearnerMetrics,
        *,
        beginning: Callable[[str], Beginning] = Beginning,
        stopwatch: Callable[[], float] = time.monotonic,
    ) -> None:
        self.is_cancelled: Callable[[], bool] = lambda: False
        """Without a snapshot the champion learns the whole log, which may take minutes."""
        self.learners: dict[str, Learner] = {}
        self.late = LateLearners((), 0)
        self.learned_again: frozenset[str] = frozenset()
        """Who knows more than its snapshot."""
        self.versions: dict[str, set[bytes]] = {}
        """Those that are kept, twins among them, and the keys of their records."""
        self.twins: dict[str, Rebuilt] = {}
        """Those that can be loaded, and how each was learned."""
        self.frozen: dict[str, FrozenTwin] = {}
        """The same to be asked, where answers are watched."""
        self.comparison: bytes | None = None
        """What was compared of a rollout with gates."""
        self.told: bytes | None = None
        """What was told of the champion's accuracy."""
        self.watched: bytes | None = None
        """What is known of answers."""
        self.rebuilt: dict[str, Rebuilt] = {}
        """What the snapshots say of it."""
        self.begun: dict[Beginning, Learner] = {}
        """Learners of models without a good snapshot."""
        self._curriculum = curriculum
        self._champion = champion
        self._beginning = beginning
        self._metrics = metrics
        self._stopwatch = stopwatch
        models = curriculum.pipeline.models
        self._parts = SnapshotParts(lambda name: name in models or (original(name) or "") in models)
        self._snapshots: dict[str, bytes] = {}
        self._stands_at: dict[int, str | None] = {}
        """Offset -> whose outcome stands there."""
        self._warm: dict[str, _Warm] = {}
        self._warm_again_at_s = 0.0

    @property
    def places(self) -> dict[str, int]:
        """Where the parts of the newest snapshots are."""
        return self._parts.places

    def restore(self, key: bytes, value: bytes | None) -> None:
        """Take in a record of `models`."""
        if key == COMPARISON:
            self.comparison = value
            return
        if key == TOLD:
            self.told = value
            return
        if key == WATCHED:
            self.watched = value
            return
        if "@" in (name := owner(key)):
            if value is None:
                self.versions.get(name, set()).discard(key)
            else:
                self.versions.setdefault(name, set()).add(key)
            if original(name) is None:
                return
        whole = self._parts.add(key, value)
        if whole is None:
            return
        if whole.blob is None:
            self._snapshots.pop(whole.model, None)
            self._warm.pop(whole.model, None)
        else:
            self._snapshots[whole.model] = whole.blob

    def keep_warm(self) -> None:
        """Load what is new, and let the champion learn what is committed, every ten seconds."""
        began_at_s = self._stopwatch()
        if began_at_s < self._warm_again_at_s:
            return
        try:
            for name in self._snapshots.keys() & self._curriculum.pipeline.models:
                with contextlib.suppress(SnapshotRefused):  # `complete` tells, should it matter
                    self._refresh(name)
            champion = self._warm.get(self._champion())
            if champion is not None:
                self._learn_committed(champion.learner)
        except (DeliveryFailed, KafkaException) as failure:
            logger.warning("a standby cannot learn ahead, and tries again: %r", failure)
        ended_at_s = self._stopwatch()
        self._warm_again_at_s = ended_at_s + max(WARM_EVERY_S, ended_at_s - began_at_s)

    def complete(self) -> None:
        """Load snapshots, or begin anew where there is no good one, and let the champion go on."""
        for name, reason in self._parts.incomplete().items():
            self._metrics.refused(name, reason)
        self.twins = dict(self._good_twins())
        learners = {name: self._learner(name) for name in self._curriculum.pipeline.models}
        champion = learners.pop(self._champion())
        end = self._learn_committed(champion)
        warm = self._warm.get(champion.model)
        if champion.n_learned > (0 if warm is None else warm.n_published):
            self.learned_again = frozenset({champion.model})
        self.late = LateLearners(learners.values(), end)
        in_time = self.late.teach(lambda: False)
        self.learners = {learner.model: learner for learner in (champion, *in_time)}

    def _good_twins(self) -> Iterator[tuple[str, Rebuilt]]:
        for name, blob in self._snapshots.items():
            if original(name) is None:
                continue
            try:
                if self._curriculum.pipeline.watches_answers:
                    found = self._curriculum.servable(name, blob)
                    manifest = found.manifest
                    self.frozen[name] = FrozenTwin(name, manifest.created_at, found.scorer)
                else:
                    manifest = self._curriculum.manifest(name, blob)
                yield name, manifest.was_rebuilt
            except SnapshotRefused as refusal:
                self._metrics.refused(name, str(refusal))

    def _learn_committed(self, learner: Learner) -> int:
        """Learn what is committed; tell the offset behind it."""
        end = self._curriculum.log.committed_end()
        for offset, outcome in self._curriculum.outcomes(1 + learner.through, end):
            if self.is_cancelled():
                break
            learner.learn(outcome, offset)
        return end

    def _learner(self, name: str) -> Learner:
        if name in self._snapshots:
            try:
                warm = self._refresh(name)
            except SnapshotRefused as refusal:
                self._metrics.refused(name, str(refusal))
            else:
                self.rebuilt[name] = warm.rebuilt
                return warm.learner
        beginning = self._beginning(name)
        try:
            learner = self._curriculum.begin(beginning)
        except SnapshotRefused as refusal:
            # Neither is good, and nobody is there to go on: what the log says is what is left.
            self._metrics.refused(beginning.origin or name, str(refusal))
            learner = self._curriculum.new_learner(name)
        self.begun[beginning] = learner
        return learner

    def _refresh(self, name: str) -> "_Warm":
        """Load the newest snapshot of a model, unless a learner is at hand that knows more."""
        blob, warm = self._snapshots[name], self._warm.pop(name, None)
        if warm is None or warm.blob is not blob:
            manifest = self._curriculum.manifest(name, blob)
            if (
                warm is not None
                and warm.rebuilt == manifest.was_rebuilt
                and warm.learner.progress.lineage == manifest.lineage
                and warm.learner.through >= manifest.through
            ):
                learner = warm.learner
            else:
                learner = self._curriculum.load(name, blob).learner
                self._check_log(learner)
            warm = _Warm(blob, learner, manifest.was_rebuilt, manifest.n_learned)
        self._warm[name] = warm
        return warm

    def _check_log(self, learner: Learner) -> None:
        first = learner.progress.first
        if first not in self._stands_at:
            self._stands_at[first] = self._curriculum.prediction_at(first)
        self._curriculum.check_log(learner, self._stands_at[first])


@dataclass(frozen=True, slots=True)
class _Warm:
    """A learner that is at hand."""

    blob: bytes
    """The newest snapshot when it was looked at last, which it knows at least."""
    learner: Learner
    rebuilt: Rebuilt
    n_published: int
    """Outcomes that the snapshot has learned."""
