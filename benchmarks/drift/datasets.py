"""Rows to draw from, and the model of the catalogue that learns them: River's, and the shop's."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from river import datasets
from river.datasets import base as base_dataset

from schemas.outcomes import Outcome

Label = bool | str


class Row(NamedTuple):
    """What is known of one, and what it is."""

    features: dict[Any, float]
    label: Label


@dataclass(frozen=True, slots=True)
class Dataset:
    """Rows, in whatever order."""

    name: str
    model: str
    """Of the catalogue."""
    rows: Sequence[Row]


_BUNDLED: Final[Sequence[tuple[type[base_dataset.Dataset], str]]] = (
    (datasets.Phishing, "binary_logistic_v2"),
    (datasets.Bananas, "binary_neighbours_v1"),
    (datasets.ImageSegments, "multiclass_logistic_v1"),
    (datasets.Shuttle, "binary_logistic_v2"),
)
"""All that River brings along to tell classes apart; of bananas a linear model learns nothing."""


_MOST_ROWS: Final = 5_000
"""Of larger ones so many are drawn."""


def bundled() -> list[Dataset]:
    """Read River's.

    >>> [(each.name, len(each.rows)) for each in bundled()]
    [('Phishing', 1250), ('Bananas', 5000), ('ImageSegments', 2310), ('Shuttle', 5000)]
    """
    return [
        Dataset(
            make.__name__,
            model,
            _some(Row(features, _told(label)) for features, label in make()),  # type: ignore[call-arg]
        )
        for make, model in _BUNDLED
    ]


def of_shop(champion: str, names: Sequence[str], outcomes: Iterable[Outcome]) -> Dataset:
    """Take the features of a shop's predictions as they were served, and what came of them."""
    return Dataset(
        "shop",
        champion,
        _some(
            Row(dict(zip(names, outcome.features, strict=True)), bool(outcome.label))
            for outcome in outcomes
        ),
    )


def _some(rows: Iterable[Row]) -> list[Row]:
    every = list(rows)
    return random.Random(1).sample(every, min(len(every), _MOST_ROWS))


def _told(label: int | str) -> Label:
    return bool(label) if isinstance(label, int) else label
