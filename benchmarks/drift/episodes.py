"""Episodes: a model goes on learning, then a drift is injected; and what a detector could be told.

Rows are drawn with replacement: nothing but what is injected changes.
"""

import random
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from river import base

from benchmarks.drift.datasets import Dataset, Row
from benchmarks.drift.injection import INJECTIONS
from online_models import catalogue

MAX_DELAY: Final = 500
"""Rows after a drift is complete within which an alarm finds it."""
WIDTHS: Final[Mapping[str, int]] = {"abrupt": 0, "gradual": 500}
"""Rows over which the share of changed ones rises from nothing to all."""
_BEFORE: Final = (1_500, 2_500)
"""From how many to how many rows there are before the drift."""
_LEARNED: Final = 3_000
"""Rows that a model learned before any detector is told anything."""


class Told(NamedTuple):
    """What the answers of models to rows come to, each by row."""

    errors: "array[float]"
    """1 where the model that learns named another class."""
    scores: "array[float]"
    """Of a frozen twin: the probability of yes; or of the class named, of more than two."""


class Drift(NamedTuple):
    """What is injected, and how fast."""

    kind: str
    pace: str

    @property
    def width(self) -> int:
        """Rows from its start until it is complete."""
        return WIDTHS[self.pace]


DRIFTS: Final = tuple(Drift(kind, pace) for pace in WIDTHS for kind in INJECTIONS)


@dataclass(frozen=True, slots=True)
class Episode:
    """What there was before a drift, and what came after its start if it was this or that."""

    before: Told
    after: Mapping[Drift, Told]


class _Twin:
    """A frozen model, which knows what it says of the rows there are."""

    def __init__(self, model: base.Classifier, rows: Iterable[Row]) -> None:
        self._model = model
        self._known = {id(row.features): self._asked(row.features) for row in rows}

    def score(self, features: dict[Any, float]) -> float:
        """Answer; the rows live as long as the twin, so no other features have their identity."""
        known = self._known.get(id(features))
        return self._asked(features) if known is None else known

    def _asked(self, features: dict[Any, float]) -> float:
        said = self._model.predict_proba_one(features)
        return said[True] if True in said else max(said.values())


def episodes(dataset: Dataset, n: int) -> list[Episode]:
    """Draw so many; the model that learns begins all of them in the same state."""
    rng = random.Random(dataset.name)
    learned = catalogue.make(dataset.model)
    for row in _drawn(dataset.rows, rng, _LEARNED):
        learned.learn_one(row.features, row.label)
    twin = _Twin(learned, dataset.rows)
    return [
        _episode(dataset, deepcopy(learned), twin, random.Random(f"{dataset.name} {at}"))
        for at in range(n)
    ]


def _episode(
    dataset: Dataset, learning: base.Classifier, twin: _Twin, rng: random.Random
) -> Episode:
    before = _told(learning, twin, _drawn(dataset.rows, rng, rng.randint(*_BEFORE)))
    after = {}
    for kind, inject in INJECTIONS.items():
        changed = inject(dataset.rows, rng)
        for pace, width in WIDTHS.items():
            rows = _drifting(dataset.rows, changed, width, rng)
            after[Drift(kind, pace)] = _told(deepcopy(learning), twin, rows)
    return Episode(before, after)


def _drawn(rows: Sequence[Row], rng: random.Random, n: int) -> Iterator[Row]:
    return (rng.choice(rows) for _ in range(n))


def _drifting(
    was: Sequence[Row], becomes: Sequence[Row], width: int, rng: random.Random
) -> Iterator[Row]:
    for at in range(width + MAX_DELAY):
        yield rng.choice(becomes if at >= width or rng.random() * width < at else was)


def _told(learning: base.Classifier, twin: _Twin, rows: Iterable[Row]) -> Told:
    told = Told(array("d"), array("d"))
    for features, label in rows:
        said = learning.predict_proba_one(features)
        told.errors.append(float(max(said, key=said.__getitem__) != label))
        told.scores.append(twin.score(features))
        learning.learn_one(features, label)
    return told
