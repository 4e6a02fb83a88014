"""Ways to tell that a model became worse: the one that is used, and those that are not."""

from collections.abc import Callable, Iterator
from math import sqrt
from typing import Final

import numpy as np

from benchmarks.levels.streams import Stream
from online_models import accuracy
from online_models.accuracy import DESIGN_EFFECT, DROPS, AccuracyWatch
from online_models.levels import LEVELS
from online_models.standard_error import CONFIDENCE_Z, roc_auc_error

Change = tuple[int, int]
"""Outcomes until then, and the rank of the level that is entered."""
_EVERY: Final = 100
"""Outcomes between two looks at a window."""


def one_by_one(stream: Stream) -> Iterator[Change]:
    """Bet on each positive (`online_models.accuracy`)."""
    watch = AccuracyWatch()
    level = watch.level
    pairs = zip(stream.labels.tolist(), stream.scores.tolist(), strict=True)
    for at, (label, score) in enumerate(pairs):
        watch.update(label, score, at)
        if watch.level != level:
            level = watch.level
            yield at, LEVELS.index(level)


def windowed(window: int) -> Callable[[Stream], Iterator[Change]]:
    """Hold the interval of a window's ROC AUC against the best that a whole window kept up."""
    z, n_looks = CONFIDENCE_Z * sqrt(DESIGN_EFFECT), window // _EVERY

    def follow(stream: Stream) -> Iterator[Change]:
        best, rank, looks = 0.0, 0, list[float]()
        for end in range(window, len(stream.labels) + 1, _EVERY):
            labels = stream.labels[end - window : end]
            positives = int(labels.sum())
            negatives = window - positives
            ranks = np.empty(window)
            ranks[stream.scores[end - window : end].argsort()] = np.arange(1, window + 1)
            won = float(ranks[labels].sum()) - positives * (positives + 1) / 2
            roc_auc = won / (positives * negatives)
            looks.append(roc_auc)
            if len(looks) > n_looks:
                best = max(best, min(looks[-n_looks:]))
            upper = roc_auc + z * roc_auc_error(roc_auc, positives, negatives)
            entered = sum(upper < best * (1 - drop) for drop in DROPS.values())
            not_left = sum(roc_auc < best * (1 - drop / 2) for drop in DROPS.values())
            before, rank = rank, max(entered, min(rank, not_left))
            if rank != before:
                yield end, rank

    return follow


STATISTICS: Final[dict[str, Callable[[Stream], Iterator[Change]]]] = {
    "window of 1,000": windowed(1_000),
    "window of 10,000": windowed(10_000),
    f"one by one, best of {accuracy.BLOCK} positives": one_by_one,
}
