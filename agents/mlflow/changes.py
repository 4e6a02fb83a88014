"""What has to change in MLflow so that it says what the registry says, and nothing else."""

from collections.abc import Mapping, Sequence

import msgspec

from agents.mlflow.exported_versions import (
    ALIASES,
    PREFIX,
    ROLES,
    SNAPSHOT,
    STATE,
    ExportedVersion,
)


class Present(msgspec.Struct, frozen=True):
    """What MLflow says now of one registered model."""

    versions: Mapping[str, Mapping[str, str]] = {}
    """Tags of each version, by MLflow's number."""
    aliases: Mapping[str, str] = {}
    """Number of the version that each alias names."""


class TagChange(msgspec.Struct, frozen=True):
    """One tag of one version."""

    number: str
    tag: str
    value: str | None
    """`None`: it is to go."""


class Changes(msgspec.Struct, frozen=True):
    """What to do, in this order."""

    missing: tuple[ExportedVersion, ...]
    tags: tuple[TagChange, ...]
    """Of versions that are there."""
    aliases: Mapping[str, str | None]
    """The snapshot that each alias is to name from now on; `None`: it is to go."""

    def __bool__(self) -> bool:
        return bool(self.missing or self.tags or self.aliases)


def numbers(present: Present) -> dict[str, str]:
    """Tell the number of each snapshot, the lowest if two exported it at once.

    >>> numbers(Present({"10": {SNAPSHOT: "a@7/ff"}, "9": {SNAPSHOT: "a@7/ff"}, "1": {}}))
    {'a@7/ff': '9'}
    """
    found: dict[str, str] = {}
    for number in sorted(present.versions, key=int):
        snapshot = present.versions[number].get(SNAPSHOT)
        if snapshot is not None:
            found.setdefault(snapshot, number)
    return found


def changes(wanted: Sequence[ExportedVersion], present: Present) -> Changes:
    """Compare what is to stand in MLflow with what does.

    A version of ours that is wanted no more stays, and is `archived`: its snapshot has left the
    registry, or its model has learned on.
    """
    number_of = numbers(present)
    by_number = {number_of[each.snapshot]: each for each in wanted if each.snapshot in number_of}
    tags = []
    for number, said in present.versions.items():
        if SNAPSHOT in said:
            version = by_number.get(number)
            ours = {tag: value for tag, value in said.items() if tag.startswith(PREFIX)}
            right = _retired(ours) if version is None else version.tags
            tags += _tag_changes(number, ours, right)
    aliases: dict[str, str | None] = {}
    holders = {alias: each.snapshot for each in wanted for alias in each.aliases}
    for alias in ALIASES:
        now, holder = present.aliases.get(alias), holders.get(alias)
        if holder is None and now is not None:
            aliases[alias] = None
        elif holder is not None and (now is None or number_of.get(holder) != now):
            aliases[alias] = holder
    missing = tuple(each for each in wanted if each.snapshot not in number_of)
    return Changes(missing, tuple(tags), aliases)


def _retired(tags: Mapping[str, str]) -> dict[str, str]:
    return {tag: value for tag, value in tags.items() if tag != ROLES} | {STATE: "archived"}


def _tag_changes(number: str, now: Mapping[str, str], right: Mapping[str, str]) -> list[TagChange]:
    names = dict.fromkeys((*right, *now))
    return [
        TagChange(number, tag, right.get(tag)) for tag in names if now.get(tag) != right.get(tag)
    ]
