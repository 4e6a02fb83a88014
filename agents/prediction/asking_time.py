"""How long a model takes to answer: measured as it is loaded, before anybody waits for it."""

import time
from collections.abc import Callable, Sequence
from itertools import cycle, islice
from math import ceil
from statistics import median
from typing import Final

from online_models.scorer import Scores

BUDGET_S: Final = 0.002
"""What the 99th percentile of a model that serves may be; a slower one may only shadow."""
RUNS: Final = 3
ASKED: Final = 100
"""Times in a run."""
LONGEST_S: Final = 0.02
"""A run ends then, however often the model was asked: others wait for the interpreter."""


def asking_p99_s(
    scorer: Scores,
    vectors: Sequence[dict[str, float]],
    *,
    stopwatch: Callable[[], float] = time.thread_time,
) -> float:
    """Ask a model and tell the 99th percentile of the seconds it took, the median of three runs.

    Parameters
    ----------
    vectors
        What to ask it; with none it is not asked, and 0 is told.
    stopwatch
        Seconds of this thread's work: that others had the interpreter meanwhile is not the
        model's doing.

    Examples
    --------
    >>> from online_models import catalogue
    >>> from online_models.scorer import Scorer
    >>> scorer = Scorer(catalogue.make("binary_logistic_v1"), n_learned=0)
    >>> asking_p99_s(scorer, [{"clicks": 3.0}]) < BUDGET_S
    True
    """
    if not vectors:
        return 0.0
    return median(_p99_s(scorer, vectors, stopwatch) for _ in range(RUNS))


def _p99_s(
    scorer: Scores, vectors: Sequence[dict[str, float]], stopwatch: Callable[[], float]
) -> float:
    took_s: list[float] = []
    began_at_s = then_s = stopwatch()
    for features in islice(cycle(vectors), ASKED):
        scorer.score(features)
        now_s = stopwatch()
        took_s.append(now_s - then_s)
        if now_s - began_at_s > LONGEST_S:
            break
        then_s = now_s
    return sorted(took_s)[ceil(0.99 * len(took_s)) - 1]
