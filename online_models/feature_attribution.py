"""Which features moved with the scores: each of them, before an onset and since."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from online_models.sketch import Sketch
from online_models.sketch_comparison import Comparison, compare, holm

ERROR: Final = 0.01
"""Probability to name any feature at all although none moved."""


class FeatureMove(NamedTuple):
    """A feature that is not what it was."""

    feature: str
    comparison: Comparison
    p: float
    """Corrected for all features that were compared."""
    mean_before: float
    mean_since: float


class Attribution(NamedTuple):
    """What can be said of all features."""

    n_compared: int
    """Features that enough users had, before and since."""
    moves: list[FeatureMove]
    """Largest first: by what of the index is more than chance. None where chance could be meant."""


def attribute(
    before: Mapping[str, Sketch], since: Mapping[str, Sketch], *, error: float = ERROR
) -> Attribution:
    """Hold each feature since an onset against the same before it.

    Parameters
    ----------
    before, since
        By feature, of values (`value_cell`).
    error
        Probability to name any although none moved.

    Examples
    --------
    >>> from online_models.sketch import value_cell
    >>> few, many = value_cell(2.0), value_cell(8.0)
    >>> def of(n_few, n_many):
    ...     return Sketch.of({few: n_few, many: n_many}, squares=n_few + n_many)
    >>> before = {"clicks": of(300, 300), "amount": of(500, 100)}
    >>> found = attribute(before, {"clicks": of(10, 90), "amount": of(80, 20)})
    >>> found.n_compared, [move.feature for move in found.moves]
    (2, ['clicks'])
    >>> [round(each, 1) for each in (found.moves[0].mean_before, found.moves[0].mean_since)]
    [5.0, 7.4]
    """
    compared = {
        feature: comparison
        for feature in sorted(before.keys() & since.keys())
        if (comparison := compare(before[feature], since[feature])) is not None
    }
    moves = [
        FeatureMove(
            *(feature, compared[feature], p),
            *(before[feature].mean_value, since[feature].mean_value),
        )
        for feature, p in holm({name: each.p for name, each in compared.items()}).items()
        if p <= error
    ]
    moves.sort(key=lambda move: (-move.comparison.moved, move.feature))
    return Attribution(len(compared), moves)
