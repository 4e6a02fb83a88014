"""Drifts that are injected: each makes other rows of the rows that there are.

After Cerqueira, Gomes, Heyden, Pfahringer and Bifet, A Framework for Evaluating and Benchmarking
Concept Drift Detection Methods, KDD 2026 (arXiv 2606.07789).
"""

import random
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from types import MappingProxyType
from typing import Final

from benchmarks.drift.datasets import Label, Row

Injection = Callable[[Sequence[Row], random.Random], list[Row]]

_KEPT: Final = 0.25
"""Share of a class that is left where its prior drifts."""
_LEAST_FILTERED: Final = 0.1
"""Share of the rows that a filter has to take, or there would be no drift."""


def class_prior(rows: Sequence[Row], rng: random.Random) -> list[Row]:
    """Leave a quarter of one class."""
    scarce = rng.choice(_labels(rows))
    return [row for row in rows if row.label != scarce or rng.random() < _KEPT]


def label_swap(rows: Sequence[Row], rng: random.Random) -> list[Row]:
    """Call one class another."""
    was, becomes = rng.sample(_labels(rows), 2)
    return [row._replace(label=becomes) if row.label == was else row for row in rows]


def feature_permutation(rows: Sequence[Row], rng: random.Random) -> list[Row]:
    """Exchange the values of features, in all rows alike."""
    names = list(rows[0].features)
    taken = list(names)
    while taken == names:
        rng.shuffle(taken)
    return [
        row._replace(
            features={name: row.features[of] for name, of in zip(names, taken, strict=True)}
        )
        for row in rows
    ]


def feature_filter(rows: Sequence[Row], rng: random.Random) -> list[Row]:
    """Leave the rows of which one feature is not above its median."""
    names = list(rows[0].features)
    rng.shuffle(names)
    for name in names:
        middle = median(row.features[name] for row in rows)
        left = [row for row in rows if row.features[name] <= middle]
        if len(left) <= (1 - _LEAST_FILTERED) * len(rows):
            return left
    raise ValueError("no feature varies enough to be filtered by")


INJECTIONS: Final[Mapping[str, Injection]] = MappingProxyType(
    {
        "class prior": class_prior,
        "label swap": label_swap,
        "feature permutation": feature_permutation,
        "feature filter": feature_filter,
    }
)


def _labels(rows: Sequence[Row]) -> list[Label]:
    return sorted({row.label for row in rows}, key=str)
