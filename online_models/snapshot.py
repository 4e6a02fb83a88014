"""A learner as one signed record on `models`.

Whoever can write to the topic must not thereby run code in a worker. So a snapshot is refused
unless, in this order: a trusted key signed the manifest; the model, River, Python and the
feature schema are ours; the state is the one whose hash was signed; its pickles name nothing but
models; and the model gives the scores it gave when it was written.
"""

import hashlib
import platform
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

import msgspec

from online_models.learner import Learner
from online_models.progress import LearnerState
from online_models.signing import Signer, Verifier
from schemas.errors import SnapshotRefused

_FORMAT: Final = "thalweg-snapshot-1"
_TOLERANCE: Final = 1e-9
"""Golden scores may differ by the rounding of another machine's `exp`."""


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
    feature_names: tuple[str, ...]
    river: str
    python: str
    created_at: int
    """Ms since the epoch."""
    roc_auc: float
    log_loss: float
    recent_roc_auc: float
    recent_log_loss: float
    golden: list[Golden]
    sha256: bytes
    """Of the state."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot that was checked and loaded."""

    manifest: Manifest
    learner: Learner


class _Envelope(msgspec.Struct, frozen=True, array_like=True):
    signature: bytes
    manifest: bytes
    state: bytes


def _river() -> str:
    # River's pickles do not cross minor versions: 0.24, 0.25 and 0.26 all broke them.
    return ".".join(version("river").split(".")[:2])


def _python() -> str:
    return ".".join(platform.python_version_tuple()[:2])


def encode(learner: Learner, signer: Signer, *, at_ms: int) -> bytes:
    """Write a learner as it is now.

    Examples
    --------
    >>> signer = Signer.generate()
    >>> learner = Learner("binary_logistic_v1", feature_names=("clicks",), schema="s1")
    >>> blob = encode(learner, signer, at_ms=0)
    >>> ours = {"model": "binary_logistic_v1", "schema": "s1"}
    >>> decode(blob, Verifier([signer.public_pem()]), **ours).manifest.version
    0
    >>> decode(blob, Verifier([]), **ours)
    Traceback (most recent call last):
    schemas.errors.SnapshotRefused: signature is by none of the 0 trusted keys
    """
    state = msgspec.msgpack.encode(learner.state())
    prequential = learner.prequential
    samples = learner.progress.samples
    manifest = msgspec.msgpack.encode(
        Manifest(
            format=_FORMAT,
            model=learner.model,
            version=learner.version,
            n_learned=learner.n_learned,
            through=learner.through,
            schema=learner.schema,
            feature_names=learner.feature_names,
            river=_river(),
            python=_python(),
            created_at=at_ms,
            roc_auc=prequential.roc_auc,
            log_loss=prequential.log_loss,
            recent_roc_auc=prequential.recent_roc_auc,
            recent_log_loss=prequential.recent_log_loss,
            golden=list(map(Golden, samples, _scores(learner, samples))),
            sha256=hashlib.sha256(state).digest(),
        )
    )
    return msgspec.msgpack.encode(_Envelope(signer.sign(manifest), manifest, state))


def decode(blob: bytes, verifier: Verifier, *, model: str, schema: str) -> Snapshot:
    """Check a snapshot and load it.

    Parameters
    ----------
    model
        Whose it should be: the name it was published under, which nobody signed.
    schema
        Hash of the features that the pipeline computes.

    Raises
    ------
    SnapshotRefused
        Says in one line which check failed; nothing is unpickled before all the bytes are
        known to be what a trusted key signed.
    """
    envelope = _envelope(blob)
    verifier.verify(envelope.signature, envelope.manifest)
    manifest = _manifest(envelope.manifest)
    _check_is_ours(manifest, model, schema)
    if hashlib.sha256(envelope.state).digest() != manifest.sha256:
        raise SnapshotRefused("state is not the one that was signed: its sha256 differs")
    return Snapshot(manifest, _load(envelope.state, manifest))


def _envelope(blob: bytes) -> _Envelope:
    try:
        return msgspec.msgpack.decode(blob, type=_Envelope)
    except (msgspec.MsgspecError, ValueError) as error:
        raise SnapshotRefused(f"snapshot is no envelope: {error}") from error


def _manifest(signed: bytes) -> Manifest:
    try:
        return msgspec.msgpack.decode(signed, type=Manifest)
    except (msgspec.MsgspecError, ValueError) as error:
        raise SnapshotRefused(f"manifest cannot be read: {error}") from error


def _check_is_ours(manifest: Manifest, model: str, schema: str) -> None:
    for what, found, expected in (
        ("model", manifest.model, model),
        ("format", manifest.format, _FORMAT),
        ("River", manifest.river, _river()),
        ("Python", manifest.python, _python()),
        ("feature schema", manifest.schema, schema),
    ):
        if found != expected:
            raise SnapshotRefused(f"snapshot is for {what} {found}, expected {expected}")


def _load(state: bytes, manifest: Manifest) -> Learner:
    try:
        learner = Learner.from_state(
            manifest.model,
            feature_names=manifest.feature_names,
            schema=manifest.schema,
            state=msgspec.msgpack.decode(state, type=LearnerState),
        )
        found = _scores(learner, [golden.features for golden in manifest.golden])
    except SnapshotRefused:
        raise
    except Exception as error:  # pickles that lack what River's code expects raise anything
        raise SnapshotRefused(f"model cannot be loaded: {error!r}") from error
    for score, golden in zip(found, manifest.golden, strict=True):
        if not abs(score - golden.score) <= _TOLERANCE:
            raise SnapshotRefused(
                f"loaded model scores {score}, but {golden.score} when it was written"
            )
    return learner


def _scores(learner: Learner, vectors: list[list[float]]) -> list[float]:
    scorer = learner.scorer()
    return [
        scorer.score(dict(zip(learner.feature_names, vector, strict=True))) for vector in vectors
    ]
