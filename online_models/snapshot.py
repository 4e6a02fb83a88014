"""A learner as signed bytes for `models` (`online_models.chunks` makes records of them).

Whoever can write to the topic must not thereby run code in a worker. So a snapshot is refused
unless, in this order: a trusted key signed the manifest; the model, the environment, River, Python,
the feature schema and the label rule are ours; the state is the one whose hash was signed; its
pickles name nothing but models; and the model gives the scores it gave when it was written.
"""

import hashlib
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from math import nan
from typing import Any, Final

import msgspec

from online_models import catalogue, pickling
from online_models.chunks import Envelope
from online_models.learner import Learner
from online_models.lineage import Position, Rebuilt
from online_models.progress import LearnerState
from online_models.scorer import Scores
from online_models.signing import Signer, Verifier
from online_models.twin import claim
from schemas.errors import UNREADABLE, SnapshotRefused

_FORMAT: Final = "thalweg-snapshot-3"
_FORMER_FIGURES: Final = frozenset({"roc_auc", "log_loss", "recent_roc_auc", "recent_log_loss"})
"""Those that have fields of their own in a manifest."""
_TOLERANCE: Final = 1e-9
"""Golden scores may differ by the rounding of another machine's `exp`."""


NEVER_REBUILT: Final = Rebuilt()


class Golden(msgspec.Struct, frozen=True, array_like=True):
    """One prediction that the model must still give once it is loaded."""

    features: list[float]
    score: float


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a snapshot says of itself; readable without loading it."""

    format: str
    model: str
    version: int
    n_learned: int
    through: int
    """Offset of the last outcome learned: replay the log from the next one."""
    schema: str
    target: str
    """Hash of the label rule whose outcomes it learned."""
    feature_names: tuple[str, ...]
    river: str
    python: str
    created_at: int
    """Ms since the epoch."""
    roc_auc: float = nan
    """NaN where the task has no such figure; so with the next three."""
    log_loss: float = nan
    recent_roc_auc: float = nan
    recent_log_loss: float = nan
    golden: list[Golden]
    sha256: bytes
    """Of the state."""
    figures: dict[str, float] = {}
    """How good it was, by what its task judges by; empty in what former releases wrote."""
    environment: str = ""
    """Where it was made (`environment_of`); empty where a former release wrote it."""
    lineage: str = ""
    """What it comes from (`online_models.lineage`)."""
    first: int = -1
    """Offset of the first outcome learned."""
    rebuilt: int = -1
    """Of `Rebuilt`, the decision."""
    confirmed: bool | None = None
    """As in `Rebuilt`."""

    @property
    def position(self) -> Position:
        """How far it is."""
        return Position(self.lineage, self.rebuilt, self.through)

    @property
    def was_rebuilt(self) -> Rebuilt:
        """How it was learned anew, if it was."""
        return Rebuilt(self.rebuilt, self.confirmed)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot that was checked and loaded, to go on learning."""

    manifest: Manifest
    learner: Learner


@dataclass(frozen=True, slots=True)
class ServableSnapshot:
    """A snapshot that was checked, and of which only the present model was loaded, to serve it."""

    manifest: Manifest
    scorer: Scores
    pieces: list[object]
    """What the model was read in (`pickling.loads`)."""


def _river() -> str:
    # River's pickles do not cross minor versions: 0.24, 0.25 and 0.26 all broke them.
    return ".".join(version("river").split(".")[:2])


def _python() -> str:
    return ".".join(platform.python_version_tuple()[:2])


def environment_of(topic_prefix: str, use_case: str) -> str:
    """Name an environment: neither part of it holds the bar.

    >>> environment_of("staging-", "purchase-intent")
    'staging-/purchase-intent'
    """
    return f"{topic_prefix}/{use_case}"


def encode(
    learner: Learner,
    signer: Signer,
    *,
    at_ms: int,
    environment: str = "",
    rebuilt: Rebuilt = NEVER_REBUILT,
    version: int | None = None,
) -> bytes:
    """Write a learner as it is now.

    Parameters
    ----------
    environment
        The only one in which the snapshot is to be loaded; empty: any.
    rebuilt
        How it was learned anew, if it was.
    version
        Another one than the learner's own, of a model that was not trained by `learn`.

    Examples
    --------
    >>> signer = Signer.generate()
    >>> learner = Learner("binary_logistic_v1", feature_names=("clicks",), schema="s1")
    >>> blob = encode(learner, signer, at_ms=0)
    >>> ours = {"model": "binary_logistic_v1", "schema": "s1", "target": ""}
    >>> decode(blob, Verifier([signer.public_pem()]), **ours).manifest.version
    0
    >>> decode(blob, Verifier([]), **ours)
    Traceback (most recent call last):
    schemas.errors.SnapshotRefused: signature is by none of the 0 trusted keys
    """
    state = msgspec.msgpack.encode(learner.state())
    figures = learner.prequential.figures()
    samples = learner.progress.samples
    scores = learner.scores(samples)
    manifest = msgspec.msgpack.encode(
        Manifest(
            format=_FORMAT,
            model=learner.model,
            version=learner.version if version is None else version,
            n_learned=learner.n_learned,
            through=learner.through,
            schema=learner.schema,
            target=learner.target,
            feature_names=learner.feature_names,
            river=_river(),
            python=_python(),
            created_at=at_ms,
            **{name: value for name, value in figures.items() if name in _FORMER_FIGURES},
            figures=figures,
            golden=list(map(Golden, samples, scores)),
            sha256=hashlib.sha256(state).digest(),
            environment=environment,
            lineage=learner.progress.lineage,
            first=learner.progress.first,
            rebuilt=rebuilt.decision,
            confirmed=rebuilt.confirmed,
        )
    )
    return msgspec.msgpack.encode(Envelope(signer.sign(manifest), manifest, state))


def decode(
    blob: bytes,
    verifier: Verifier,
    *,
    model: str,
    schema: str,
    target: str,
    environment: str = "",
) -> Snapshot:
    """Check a snapshot and load it.

    Parameters
    ----------
    model
        Whose it should be: what it was published under, `name`, `name@version` or `name@twin`,
        which nobody signed.
    schema
        Hash of the features that the pipeline computes.
    target
        Hash of its label rule.
    environment
        Where we are (`environment_of`).

    Raises
    ------
    SnapshotRefused
        Says in one line which check failed; nothing is unpickled before all the bytes are
        known to be what a trusted key signed.
    """
    ours = {"model": model, "schema": schema, "target": target, "environment": environment}
    manifest, state = _checked(blob, verifier, **ours)
    with _refusing_what_cannot_be_loaded():
        learner = Learner.from_state(
            manifest.model,
            feature_names=manifest.feature_names,
            schema=schema,
            target=target,
            state=_state(state, manifest.model),
        )
        _check_scores(learner.scorer(), manifest)
    return Snapshot(manifest, learner)


def claimed(blob: bytes) -> Manifest:
    """Tell what a snapshot says of itself: nobody has checked it yet, and nothing is unpickled.

    Raises
    ------
    SnapshotRefused
        It is none.

    >>> claimed(b"")
    Traceback (most recent call last):
    schemas.errors.SnapshotRefused: snapshot is no envelope: Input data was truncated
    """
    return _manifest(_envelope(blob).manifest)


def read_manifest(
    blob: bytes,
    verifier: Verifier,
    *,
    model: str,
    schema: str,
    target: str,
    environment: str = "",
) -> Manifest:
    """Check a snapshot as `decode` does, and load nothing: it may turn out to be no model."""
    ours = {"model": model, "schema": schema, "target": target, "environment": environment}
    return _checked(blob, verifier, **ours)[0]


def decode_servable(
    blob: bytes,
    verifier: Verifier,
    *,
    model: str,
    schema: str,
    target: str,
    environment: str = "",
    pause: Callable[[], None] = lambda: None,
) -> ServableSnapshot:
    """Check a snapshot as `decode` does, and load no more of it than what answers events.

    The earlier selves, which only judge outcomes, are two thirds of a snapshot: to unpickle them
    would keep the event loop of a predict worker waiting for the interpreter. `pause` is called now
    and then, and lets it go first.
    """
    ours = {"model": model, "schema": schema, "target": target, "environment": environment}
    manifest, state = _checked(blob, verifier, **ours)
    with _refusing_what_cannot_be_loaded():
        found = _state(state, manifest.model)
        pieces: list[object] = []
        (estimator,) = pickling.loads(found.model, pause=pause, pieces=pieces)
        scorer = found.progress.scorer(estimator)
        pause()
        _check_scores(scorer, manifest)
    return ServableSnapshot(manifest, scorer, pieces)


def _checked(
    blob: bytes, verifier: Verifier, *, model: str, schema: str, target: str, environment: str
) -> tuple[Manifest, bytes]:
    envelope = _envelope(blob)
    verifier.verify(envelope.signature, envelope.manifest)
    manifest = _manifest(envelope.manifest)
    name, version = claim(model)
    _check_is_ours(manifest, name, schema, target)
    _check_version(manifest, version)
    if manifest.environment not in ("", environment):
        raise SnapshotRefused(
            f"snapshot is for environment {manifest.environment}, expected {environment or 'none'}"
        )
    if hashlib.sha256(envelope.state).digest() != manifest.sha256:
        raise SnapshotRefused("state is not the one that was signed: its sha256 differs")
    return manifest, envelope.state


def _state(signed: bytes, model: str) -> LearnerState[Any]:
    state: LearnerState[Any] = msgspec.msgpack.decode(signed, type=catalogue.task(model).state)
    return state


def _envelope(blob: bytes) -> Envelope:
    try:
        return msgspec.msgpack.decode(blob, type=Envelope)
    except (ValueError, *UNREADABLE) as error:
        raise SnapshotRefused(f"snapshot is no envelope: {error}") from error


def _manifest(signed: bytes) -> Manifest:
    try:
        return msgspec.msgpack.decode(signed, type=Manifest)
    except (ValueError, *UNREADABLE) as error:
        raise SnapshotRefused(f"manifest cannot be read: {error}") from error


def _check_is_ours(manifest: Manifest, model: str, schema: str, target: str) -> None:
    for what, found, expected in (
        ("model", manifest.model, model),
        ("format", manifest.format, _FORMAT),
        ("River", manifest.river, _river()),
        ("Python", manifest.python, _python()),
        ("feature schema", manifest.schema, schema),
        ("label rule", manifest.target, target),
    ):
        if found != expected:
            raise SnapshotRefused(f"snapshot is for {what} {found}, expected {expected}")


def _check_version(manifest: Manifest, version: int | None) -> None:
    found = manifest.version
    if version is not None and found != version:
        raise SnapshotRefused(f"snapshot is of version {found}, expected {version}")
    # Who counts outcomes has at most one for each offset. The numbers of versions that were trained
    # apart are times, and far larger: under the model's own name such a one would be gone on from.
    if version is None and found > manifest.through + 1:
        raise SnapshotRefused(
            f"snapshot is of version {found}, which was trained apart from the model that goes on"
            " learning"
        )


@contextmanager
def _refusing_what_cannot_be_loaded() -> Iterator[None]:
    try:
        yield
    except SnapshotRefused:
        raise
    except Exception as error:  # pickles that lack what River's code expects raise anything
        raise SnapshotRefused(f"model cannot be loaded: {error!r}") from error


def _check_scores(scorer: Scores, manifest: Manifest) -> None:
    vectors = [golden.features for golden in manifest.golden]
    found = _scores(scorer, vectors, manifest.feature_names)
    for score, golden in zip(found, manifest.golden, strict=True):
        if not abs(score - golden.score) <= _TOLERANCE * max(1.0, abs(golden.score)):
            raise SnapshotRefused(
                f"loaded model scores {score}, but {golden.score} when it was written"
            )


def _scores(scorer: Scores, vectors: list[list[float]], names: tuple[str, ...]) -> list[float]:
    return [scorer.score(dict(zip(names, vector, strict=True))) for vector in vectors]
