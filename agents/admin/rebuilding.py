"""Follow how a model is learned anew, and hold what came of it against the snapshot before."""

import time
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

import msgspec

from agents import key_files
from agents.admin import newest_telemetry, published_models
from agents.deployments import log
from agents.observability import metric_list
from agents.observability.instruments import sample_name
from agents.pipeline import Pipeline
from agents.serving.samples import parse
from agents.settings import Settings
from online_models.signing import Verifier
from online_models.snapshot import Manifest, Snapshot, decode, environment_of
from schemas.deployments import split
from schemas.errors import SnapshotRefused, ThalwegError
from schemas.telemetry import Telemetry

EVERY_S: Final = 1.0
_LEARNERS: Final = "learn-"


class Rebuild(msgspec.Struct, frozen=True):
    """What came of a decision to learn a model anew."""

    model: str
    decision: int
    """Its offset on `deployments`."""
    version: int
    learned: int
    """Outcomes."""
    through: int
    """Offset of the last of them."""
    confirmed: bool | None
    """Whether the model that had learned all along was the same to the last bit when this one took
    its place; `None`: there was none to compare it with."""
    before_refused: str | None
    """Why the snapshot that stood there before is not to be loaded, if so."""
    same_as_before: bool | None
    """Whether the snapshot before is the same to the last bit; `None`: it was refused, there was
    none, or it had learned up to another outcome."""


class Before(NamedTuple):
    """How things were before it was decided."""

    blob: bytes | None
    """The newest snapshot of the model, as it stands on `models`."""
    origin: str | None
    """Version that the model is to go on from."""
    refusals: int
    """How often `learn` had refused that."""


def before(settings: Settings, pipeline: Pipeline, model: str) -> Before:
    """Look at a model that is to be learned anew.

    Raises
    ------
    DeliveryFailed
        The broker cannot be reached.
    InvalidSetting
        There are no keys to check snapshots with.
    """
    key_files.trusted_keys(settings)  # before anything is decided
    registry = log.read(settings, pipeline.use_case).registry
    origin = next((each for each in registry.resumed if split(each)[0] == model), None)
    return _before(settings, published_models.snapshots(settings).get(model), origin)


def before_resuming(settings: Settings, pipeline: Pipeline, reference: str) -> Before:
    """Look at a model that is to go on from a version, and at the version.

    Raises
    ------
    ThalwegError
        It is not to be gone on from, or there is none; says why.
    """
    found = published_models.snapshots(settings)
    if "@" not in reference:
        return _before(settings, found.get(reference), None)
    _, blob = published_models.find(found, reference)
    model, _ = split(reference)
    try:
        _loader(settings, pipeline, reference)(blob)
    except SnapshotRefused as refusal:
        raise ThalwegError(f"{reference} is nothing to go on from: {refusal}") from refusal
    return _before(settings, found.get(model), reference)


def follow(
    settings: Settings,
    pipeline: Pipeline,
    model: str,
    decision: int,
    *,
    former: Before,
    tell: Callable[[str], None],
) -> Rebuild:
    """Wait until a decision is obeyed; tell what there is to know meanwhile, a line at a time.

    Raises
    ------
    ThalwegError
        `learn` refused the version that the model should go on from; the present one goes on.
    DeliveryFailed
        The broker cannot be reached.
    """
    load = _loader(settings, pipeline, model)
    said = ""
    while True:
        told = newest_telemetry.read(settings)
        refused = ""
        left = lag((each for name, each in told.items() if name.startswith(_LEARNERS)), model)
        if not left:  # it has caught up, or has not begun
            found = published_models.snapshots(settings).get(model)
            if found is not None and found[0].rebuilt >= decision:
                try:
                    learned_anew = load(found[1])
                except SnapshotRefused as refusal:  # anybody may have written that it obeys
                    refused = str(refusal)
                else:
                    return _held_against(decision, learned_anew, former=former.blob, load=load)
        if former.origin is not None and refusals(told.values(), former.origin) > former.refusals:
            raise ThalwegError(
                f"`learn` cannot go on from {former.origin}, its log says why; {model} goes on as"
                " before"
            )
        line = "no `learn` worker tells of it yet" if left is None else f"{left:,} offsets to go"
        if refused:
            line = f"{line}; what stands on `models` is refused: {refused}"
        if line != said:
            tell(line)
            said = line
        time.sleep(EVERY_S)


def lag(told: Iterable[Telemetry], model: str) -> int | None:
    """Tell how far a model is behind the others; `None`: nobody teaches it.

    Examples
    --------
    >>> samples = {'thalweg_model_lag{model="binary_forest_v1"}': 1_200.0}
    >>> lag([Telemetry("learn-0", pid=7, at=0, samples=samples)], "binary_forest_v1")
    1200
    """
    found = None
    for telemetry in told:
        for sample, value in telemetry.samples.items():
            name, labels = parse(sample)
            if name == metric_list.MODEL_LAG.name and labels["model"] == model:
                found = max(found or 0, int(value))
    return found


def refusals(told: Iterable[Telemetry], reference: str) -> int:
    """Tell how often the snapshot of a version was refused.

    Examples
    --------
    >>> samples = {'thalweg_snapshots_total{model="binary_ftrl_v1@7",result="refused"}': 1.0}
    >>> refusals([Telemetry("learn-0", pid=7, at=0, samples=samples)], "binary_ftrl_v1@7")
    1
    """
    labels = (("model", reference), ("result", "refused"))
    sample = sample_name(metric_list.SNAPSHOTS.name, labels)
    return int(sum(telemetry.samples.get(sample, 0) for telemetry in told))


def _before(settings: Settings, found: tuple[Manifest, bytes] | None, origin: str | None) -> Before:
    told = newest_telemetry.read(settings) if origin is not None else {}
    n_refused = 0 if origin is None else refusals(told.values(), origin)
    return Before(None if found is None else found[1], origin, n_refused)


def _loader(settings: Settings, pipeline: Pipeline, model: str) -> Callable[[bytes], Snapshot]:
    verifier = Verifier(key_files.trusted_keys(settings))
    schema = pipeline.compiled().schema
    environment = environment_of(settings.topic_prefix, pipeline.use_case)

    def load(blob: bytes) -> Snapshot:
        return decode(
            blob,
            verifier,
            model=model,
            schema=schema,
            target=pipeline.label.target,
            environment=environment,
        )

    return load


def _held_against(
    decision: int,
    learned_anew: Snapshot,
    *,
    former: bytes | None,
    load: Callable[[bytes], Snapshot],
) -> Rebuild:
    manifest = learned_anew.manifest
    refused, same = None, None
    if former is not None:
        try:
            found = load(former)
        except SnapshotRefused as refusal:
            refused = str(refusal)
        else:
            if found.manifest.through == manifest.through:
                same = found.learner.fingerprint() == learned_anew.learner.fingerprint()
    return Rebuild(
        model=manifest.model,
        decision=decision,
        version=manifest.version,
        learned=manifest.n_learned,
        through=manifest.through,
        confirmed=manifest.confirmed,
        before_refused=refused,
        same_as_before=same,
    )
