"""What is to stand in MLflow: snapshots of the registry, in the words that MLflow has for them."""

from collections.abc import Mapping
from math import isfinite
from typing import Final

import msgspec

from agents.admin import published_models
from agents.admin.published_models import PublishedModel
from agents.pipeline import Pipeline
from online_models.registry import Registry, Roles
from online_models.signing import Verifier
from online_models.snapshot import Manifest, read_manifest
from schemas.cloudevents import rfc3339
from schemas.deployments import Deployment, Parameter, State, reference, split
from schemas.errors import SnapshotRefused

PREFIX: Final = "thalweg."
"""Of the tags that are ours; all others are somebody else's, and stay."""
SNAPSHOT: Final = f"{PREFIX}snapshot"
"""The tag that tells what a version of MLflow's is: model, version, and hash of its state."""
STATE: Final = f"{PREFIX}state"
ROLES: Final = f"{PREFIX}roles"
ALIASES: Final = ("champion", "challenger", "previous")
"""Those that follow the registry; all others are somebody else's, and stay."""
_STATES: Final[tuple[State, ...]] = ("archived", "development", "staging", "production")


class ExportedVersion(msgspec.Struct, frozen=True):
    """A model as it was at one moment."""

    snapshot: str
    """What it is, whoever it is called: the value of its tag."""
    reference: str
    """`model@version`, of a model that goes on learning, too."""
    created_at: int
    """Ms since the epoch."""
    parameters: dict[str, Parameter]
    metrics: dict[str, float]
    feature_names: tuple[str, ...]
    tags: dict[str, str]
    aliases: frozenset[str]
    blob: bytes
    """The snapshot as it was signed."""


class Gathered(msgspec.Struct, frozen=True):
    """What there is to export."""

    versions: tuple[ExportedVersion, ...]
    """The oldest first."""
    refused: dict[str, str]
    """Why what would not be loaded is left out, by reference."""


def gather(
    snapshots: Mapping[str, tuple[Manifest, bytes]],
    declared: Pipeline,
    registry: Registry,
    verifier: Verifier,
    environment: str,
) -> Gathered:
    """Find the versions that are kept, and the models that have a role as they are now.

    Each is checked as whoever loads it does, and nothing is unpickled. A version that was kept of
    a model which has learned nothing since is one with it.
    """
    roles = registry.roles(declared.models)
    found: dict[str, ExportedVersion] = {}
    refused: dict[str, str] = {}
    sound = {}
    for name, (told, blob) in snapshots.items():
        if split(name)[1] is None and not roles.aliases(name):
            continue  # of a model that the pipeline names no more
        try:
            of_the_manifest = {"model": name, "schema": told.schema, "target": told.target}
            read_manifest(blob, verifier, **of_the_manifest, environment=environment)
        except SnapshotRefused as reason:
            refused[name] = str(reason)
        else:
            sound[name] = told, blob
    for name, (told, blob) in sound.items():
        said = published_models.described(name, told, blob, declared, registry)
        standing = registry.standings.get(name)
        registered = None if standing is None else standing.registered
        version = _exported(told, blob, said, registered, _aliases(name, roles, sound))
        other = found.get(version.snapshot)
        found[version.snapshot] = version if other is None else _merged(version, other)
    ordered = sorted(found.values(), key=lambda each: (each.created_at, each.snapshot))
    return Gathered(tuple(ordered), refused)


def _aliases(name: str, roles: Roles, sound: Mapping[str, object]) -> frozenset[str]:
    """Tell the aliases of a model or version. MLflow has each once: of many challengers the first.

    All of them have it among their roles.
    """
    first = next((each for each in roles.challengers if each in sound), None)
    holders = {"champion": roles.champion, "challenger": first, "previous": roles.previous}
    return frozenset(alias for alias, holder in holders.items() if holder == name)


def _exported(
    told: Manifest,
    blob: bytes,
    said: PublishedModel,
    registered: Deployment | None,
    aliases: frozenset[str],
) -> ExportedVersion:
    name = reference(told.model, told.version)
    snapshot = f"{name}/{told.sha256.hex()}"
    figures = told.figures or {  # a former release told these four alone
        "roc_auc": told.roc_auc,
        "log_loss": told.log_loss,
        "recent_roc_auc": told.recent_roc_auc,
        "recent_log_loss": told.recent_log_loss,
    }
    tags = {
        "snapshot": snapshot,
        "model": told.model,
        "version": str(told.version),
        "kept": "false" if registered is None else "true",
        "state": said.state,
        "roles": ", ".join(said.aliases),
        "environment": told.environment,
        "learned": str(told.n_learned),
        "first": "" if told.first < 0 else str(told.first),
        "through": str(told.through),
        "lineage": told.lineage,
        "parent": said.parent or "",
        "features": told.schema,
        "label_rule": told.target,
        "river": told.river,
        "python": told.python,
        "created_at": rfc3339(told.created_at).decode(),
        "by": "" if registered is None else registered.by,
        "why": "" if registered is None else registered.why,
    }
    return ExportedVersion(
        snapshot=snapshot,
        reference=name,
        created_at=told.created_at,
        parameters=said.parameters,
        metrics={figure: value for figure, value in figures.items() if isfinite(value)},
        feature_names=told.feature_names,
        tags={f"{PREFIX}{tag}": value for tag, value in tags.items() if value},
        aliases=aliases,
        blob=blob,
    )


def _merged(one: ExportedVersion, other: ExportedVersion) -> ExportedVersion:
    """Put together what is said of one state under two names."""
    kept, moving = sorted((one, other), key=lambda each: each.tags[f"{PREFIX}kept"], reverse=True)
    state = max((each.tags[STATE] for each in (one, other)), key=_STATES.index)
    held = [
        role for each in (moving, kept) for role in each.tags.get(ROLES, "").split(", ") if role
    ]
    roles = {ROLES: ", ".join(dict.fromkeys(held))} if held else {}
    tags = {**kept.tags, STATE: state, **roles}
    return msgspec.structs.replace(kept, tags=tags, aliases=one.aliases | other.aliases)
