"""The newest snapshot of each model, as it stands on `models`, without loading any."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from agents.admin import asking_times, topic_reader
from agents.admin.asking_times import AskingTime
from agents.pipeline import Pipeline
from agents.settings import Settings
from online_models import catalogue
from online_models.catalogue.parameters import parameters_of
from online_models.chunks import SnapshotParts
from online_models.registry import Registry
from online_models.snapshot import Manifest, claimed
from schemas import topics
from schemas.deployments import Deployment, Parameter, State, split
from schemas.errors import SnapshotRefused, ThalwegError

T = TypeVar("T")
_ROLES: Final = ("champion", "challenger", "previous", "retired")


class PublishedModel(msgspec.Struct, frozen=True):
    """What a snapshot says of itself. Its signature is the concern of who loads it."""

    model: str
    """Name, or `name@version` of one that was kept as it was."""
    role: str
    """`champion`, `challenger`, `previous`, or `retired` when the pipeline has no use for it."""
    version: int
    learned: int
    """Outcomes."""
    roc_auc: float
    log_loss: float
    recent_roc_auc: float
    recent_log_loss: float
    """These four are NaN, in JSON null, where the task has no such figure."""
    bytes: int
    created_at: int
    """Ms since the epoch."""
    state: State
    aliases: tuple[str, ...]
    """All its roles: who was replaced is `challenger` and `previous`."""
    through: int
    """Offset of the last outcome it learned."""
    schema: str
    target: str
    river: str
    python: str
    asking_p99_s: float | None = None
    """How long it takes to answer where `predict` has it loaded (99th percentile)."""
    figures: dict[str, float] = {}
    """All that its task judges by, these four among them."""
    may_serve: bool | None = None
    """Whether that is within the budget; `None`: no worker has told of it."""
    first: int = -1
    """Offset of the first outcome it learned; -1: it tells none."""
    lineage: str = ""
    environment: str = ""
    parent: str | None = None
    """What it was before: of a version the one that was kept before it, of a model that was resumed
    the version that it goes on from."""
    rebuilt: int = -1
    """Offset of the decision to learn it anew, or to resume it, that it obeys; -1: none."""
    parameters: dict[str, Parameter] = {}
    """What it is made with: of a version as it was registered, else as this release makes it."""


def read(settings: Settings, declared: Pipeline, registry: Registry) -> list[PublishedModel]:
    """Read the newest snapshot of each model: who serves first, the retired last.

    Raises
    ------
    DeliveryFailed
        The broker cannot be reached.
    """
    asking = asking_times.read(settings)
    found = [
        described(reference, told, blob, declared, registry, asked=asking.get(reference))
        for reference, (told, blob) in snapshots(settings).items()
    ]
    return sorted(found, key=lambda each: (_ROLES.index(each.role), each.model))


def described(
    reference: str,
    told: Manifest,
    blob: bytes,
    declared: Pipeline,
    registry: Registry,
    *,
    asked: AskingTime | None = None,
) -> PublishedModel:
    """Put together what a snapshot says of itself, and what was decided about it."""
    aliases = registry.roles(declared.models).aliases(reference)
    standing = registry.standings.get(reference)
    registered = None if standing is None else standing.registered
    return PublishedModel(
        model=reference,
        role=aliases[0] if aliases else "retired",
        version=told.version,
        learned=told.n_learned,
        roc_auc=told.roc_auc,
        log_loss=told.log_loss,
        recent_roc_auc=told.recent_roc_auc,
        recent_log_loss=told.recent_log_loss,
        bytes=len(blob),
        created_at=told.created_at,
        state=registry.state(reference, declared.models),
        aliases=aliases,
        through=told.through,
        schema=told.schema,
        target=told.target,
        river=told.river,
        python=told.python,
        asking_p99_s=None if asked is None else asked.p99_s,
        figures=told.figures,
        may_serve=None if asked is None else asked.may_serve,
        first=told.first,
        lineage=told.lineage,
        environment=told.environment,
        rebuilt=told.rebuilt,
        parent=_origin(told, registry) if registered is None else registered.parent or None,
        parameters=_parameters(told.model, registered),
    )


def _origin(told: Manifest, registry: Registry) -> str | None:
    """Tell which version a model goes on from; one that it is to go on from has to be reached."""
    change = registry.origins.get(told.model)
    if change is None or change.event.version is None or told.rebuilt < change.offset:
        return None
    standing = registry.standings.get(change.event.reference)
    registered = None if standing is None else standing.registered
    # Where the version was refused with the model's own snapshot, that began anew.
    is_of_it = registered is not None and registered.lineage in ("", told.lineage)
    return change.event.reference if is_of_it else None


def _parameters(model: str, registered: Deployment | None) -> dict[str, Parameter]:
    if registered is not None and registered.parameters:
        return registered.parameters
    return parameters_of(model) if model in catalogue.NAMES else {}


def snapshots(settings: Settings) -> dict[str, tuple[Manifest, bytes]]:
    """Read the newest snapshots, by `name` or `name@version`; raises likewise.

    What is none is passed over: predict refuses it too, and says so.
    """
    topic = topics.MODELS.named(settings.topic_prefix)
    newest: dict[str, tuple[Manifest, bytes]] = {}
    parts = SnapshotParts()
    for message in topic_reader.read_to_end(settings, topic):
        whole = parts.add(message.key() or b"", message.value())
        if whole is None:
            continue
        reference, blob = whole.model, whole.blob
        if blob is None:
            newest.pop(reference, None)
            continue
        try:
            told = claimed(blob)
            model, version = split(reference)
        except (SnapshotRefused, ValueError):
            continue
        if told.model == model and version in (None, told.version):
            newest[reference] = told, blob
    return newest


def find(published: Mapping[str, T], reference: str) -> T:
    """Find a snapshot.

    Raises
    ------
    ThalwegError
        There is none; says what there is.

    >>> find({"a": 1, "a@7": 2}, "b")
    Traceback (most recent call last):
    schemas.errors.ThalwegError: no snapshot of `b` on `models`: there are a, a@7
    """
    if reference not in published:
        there_are = ", ".join(published) or "none yet"
        raise ThalwegError(f"no snapshot of `{reference}` on `models`: there are {there_are}")
    return published[reference]


def export(settings: Settings, reference: str, directory: Path) -> Path:
    """Write a snapshot to a file, and its manifest beside it; tell the file.

    Raises
    ------
    ThalwegError
        There is no such snapshot, or the file cannot be written or is there already.
    DeliveryFailed
        The broker cannot be reached.
    """
    told, blob = find(snapshots(settings), reference)
    path = directory / f"{told.model}@{told.version}.snapshot"
    manifest = msgspec.json.format(msgspec.json.encode(told), indent=2)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for file, content in ((path.with_suffix(".json"), manifest), (path, blob)):
            with file.open("xb") as written:
                written.write(content)
    except OSError as error:
        raise ThalwegError(f"cannot write {error.filename}: {error.strerror}") from error
    return path
