"""From what stands on `models` to learners that go on."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from agents.learning.rollout_gate import KEY as COMPARISON
from agents.observability.learner_metrics import LearnerMetrics
from agents.outcome_log import OutcomeLog
from agents.pipeline import Pipeline
from online_models.chunks import SnapshotParts, owner
from online_models.late_learners import At, LateLearners
from online_models.learner import Learner
from online_models.lineage import Rebuilt
from online_models.signing import Verifier
from online_models.snapshot import Snapshot, decode
from schemas.errors import SnapshotRefused
from schemas.outcomes import Outcome
from streams.feature_set import FeatureSet

_decode_outcome: Final = msgspec.msgpack.Decoder(Outcome).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class Curriculum:
    """What is to be learned, from which log, and whose snapshots are believed."""

    pipeline: Pipeline
    features: FeatureSet
    log: OutcomeLog
    verifier: Verifier
    environment: str = ""
    """Where we are (`online_models.snapshot.environment_of`)."""

    def new_learner(self, name: str) -> Learner:
        """Make a learner that has learned nothing."""
        rule, lateness = self.pipeline.label, self.pipeline.allowed_lateness
        return Learner(
            name,
            feature_names=self.features.names,
            schema=self.features.schema,
            target=rule.target,
            label_delay=rule.horizon + lateness,
        )

    def load(self, name: str, blob: bytes) -> Snapshot:
        """Load a snapshot.

        Raises
        ------
        SnapshotRefused
            When it is not to be gone on from.
        """
        return decode(
            blob,
            self.verifier,
            model=name,
            schema=self.features.schema,
            target=self.pipeline.label.target,
            environment=self.environment,
        )

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
        except msgspec.MsgspecError:
            continue


class LearnersRestoring:
    """Newest snapshots, until the changelog is at its end; then learners.

    The champion learns at once what is committed but not in its snapshot: nobody else can take its
    place. The others do so later, and nobody waits for them.

    Parameters
    ----------
    champion
        Tells which of the pipeline's models somebody waits for, once the changelog is at its end.
    """

    def __init__(
        self, curriculum: Curriculum, champion: Callable[[], str], metrics: LearnerMetrics
    ) -> None:
        self.learners: dict[str, Learner] = {}
        self.late = LateLearners((), 0)
        self.learned_again: frozenset[str] = frozenset()
        """Who knows more than its snapshot."""
        self.versions: dict[str, set[bytes]] = {}
        """Those that are kept, and the keys of their records."""
        self.comparison: bytes | None = None
        """What was compared of a rollout with gates."""
        self.rebuilt: dict[str, Rebuilt] = {}
        """What the snapshots say of it."""
        self.from_nothing: list[Learner] = []
        """Learners that begin without a snapshot."""
        self._curriculum = curriculum
        self._champion = champion
        self._metrics = metrics
        self._parts = SnapshotParts(curriculum.pipeline.models.__contains__)
        self._snapshots: dict[str, bytes] = {}

    @property
    def places(self) -> dict[str, int]:
        """Where the parts of the newest snapshots are."""
        return self._parts.places

    def restore(self, key: bytes, value: bytes | None) -> None:
        """Take in a record of `models`."""
        if key == COMPARISON:
            self.comparison = value
            return
        if "@" in (name := owner(key)):
            if value is None:
                self.versions.get(name, set()).discard(key)
            else:
                self.versions.setdefault(name, set()).add(key)
            return
        whole = self._parts.add(key, value)
        if whole is None:
            return
        if whole.blob is None:
            self._snapshots.pop(whole.model, None)
        else:
            self._snapshots[whole.model] = whole.blob

    def complete(self) -> None:
        """Load snapshots, or begin anew where there is no good one, and let the champion go on."""
        for name, reason in self._parts.incomplete().items():
            self._metrics.refused(name, reason)
        learners = {name: self._learner(name) for name in self._curriculum.pipeline.models}
        champion = learners.pop(self._champion())
        end = self._curriculum.log.committed_end()
        n_before = champion.n_learned
        for offset, outcome in self._curriculum.outcomes(1 + champion.through, end):
            champion.learn(outcome, offset)
        if champion.n_learned > n_before:
            self.learned_again = frozenset({champion.model})
        self.late = LateLearners(learners.values(), end)
        in_time = self.late.teach(lambda: False)
        self.learners = {learner.model: learner for learner in (champion, *in_time)}

    def _learner(self, name: str) -> Learner:
        blob = self._snapshots.get(name)
        if blob is not None:
            try:
                snapshot = self._curriculum.load(name, blob)
            except SnapshotRefused as refusal:
                self._metrics.refused(name, str(refusal))
            else:
                self.rebuilt[name] = snapshot.manifest.was_rebuilt
                return snapshot.learner
        learner = self._curriculum.new_learner(name)
        self.from_nothing.append(learner)
        return learner
