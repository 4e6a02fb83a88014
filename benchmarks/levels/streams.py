"""Labels and scores as a shop has them: one in ten comes true, and visits tell one thing often."""

from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

PER_VISIT: Final = 5
"""Events of a visit share their label, and half of the variance of their score: design effect 3."""
RATE: Final = 0.1
"""Of visits that come true."""


@dataclass(frozen=True)
class Stream:
    """Outcomes in their order."""

    labels: NDArray[np.bool_]
    scores: NDArray[np.float64]

    def then(self, other: "Stream") -> "Stream":
        """Put another one behind it."""
        return Stream(
            np.concatenate([self.labels, other.labels]), np.concatenate([self.scores, other.scores])
        )


def visits(rng: np.random.Generator, n: int, roc_auc: float) -> Stream:
    """Draw n outcomes of a model that is so good."""
    n_visits = n // PER_VISIT
    labels = rng.random(n_visits) < RATE
    shift = 2.0 * NormalDist().inv_cdf(
        roc_auc
    )  # scores have a variance of 2, as their difference has of 4
    scores = rng.normal(size=n_visits) + shift * labels
    each = rng.normal(size=PER_VISIT * n_visits)
    return Stream(np.repeat(labels, PER_VISIT), np.repeat(scores, PER_VISIT) + each)
