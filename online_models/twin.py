"""The frozen twin of a champion: a snapshot under a key of its own, to which nothing is taught.

A model that learns moves its own scores. Its twin stays as it was when it was pinned, so that
whatever its scores do, the inputs did.
"""

from dataclasses import dataclass
from typing import Final

from online_models.scorer import Scores
from schemas.deployments import split

_SUFFIX: Final = "@twin"


def twin_of(champion: str) -> str:
    """Name the twin of a champion; a version that was kept is frozen as it is.

    >>> twin_of("binary_ftrl_v1"), twin_of("binary_ftrl_v1@1200")
    ('binary_ftrl_v1@twin', 'binary_ftrl_v1@1200')
    """
    return champion if "@" in champion else champion + _SUFFIX


def original(reference: str) -> str | None:
    """Tell whose twin a reference names; `None`: nobody's.

    >>> original("binary_ftrl_v1@twin"), original("binary_ftrl_v1@1200")
    ('binary_ftrl_v1', None)
    """
    return reference.removesuffix(_SUFFIX) if reference.endswith(_SUFFIX) else None


def claim(key: str) -> tuple[str, int | None]:
    """Tell what a snapshot says that stands under a key: of which model, and of which version.

    A twin may be of any version (`None`), as long as its model counted it by itself.

    Raises
    ------
    ValueError
        No snapshot has such a key.

    >>> claim("binary_ftrl_v1@twin"), claim("binary_ftrl_v1"), claim("binary_ftrl_v1@1200")
    (('binary_ftrl_v1', None), ('binary_ftrl_v1', None), ('binary_ftrl_v1', 1200))
    """
    twin = original(key)
    return split(key) if twin is None else (twin, None)


@dataclass(frozen=True, slots=True)
class FrozenTwin:
    """A twin, to be asked."""

    name: str
    pinned_at: int
    """Ms since the epoch: another one of the same name was pinned at another time."""
    scorer: Scores
