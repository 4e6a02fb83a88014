"""How good predictions are whose labels are not known yet, if scores are worth what they were.

Confidence-based performance estimation (CBPE; NannyML): each prediction counts as a positive with
its calibrated probability. That follows who is asked about, and it is blind to a world that
answers differently: under concept drift scores are no longer worth what they were.
"""

from collections.abc import Callable, Iterable
from itertools import groupby
from math import log, log1p, nan
from typing import Final, NamedTuple

_EPSILON: Final = 1e-15


class EstimatedQuality(NamedTuple):
    """What the outcomes of some predictions are expected to say."""

    roc_auc: float
    """NaN where no positive or no negative is expected."""
    log_loss: float
    positives: float
    """Expected number of them."""
    negatives: float


def estimate(scores: Iterable[float], calibrated: Callable[[float], float]) -> EstimatedQuality:
    """Estimate the quality of predictions from their scores.

    Examples
    --------
    Scores that are worth what they say:

    >>> found = estimate([0.1, 0.1, 0.9], lambda score: score)
    >>> round(found.positives, 2), round(found.roc_auc, 3), round(found.log_loss, 3)
    (1.1, 0.94, 0.325)
    """
    positives = negatives = won = with_itself = loss = 0.0
    n = 0
    for score, ties in groupby(sorted(scores)):
        size = sum(1 for _ in ties)
        share = calibrated(score)
        of_these, others = size * share, size * (1.0 - share)
        alone = of_these * (1.0 - share)  # a prediction makes no pair with itself
        won += of_these * negatives + (of_these * others - alone) / 2
        with_itself += alone
        p = min(max(score, _EPSILON), 1.0 - _EPSILON)
        loss -= of_these * log(p) + others * log1p(-p)
        positives += of_these
        negatives += others
        n += size
    pairs = positives * negatives - with_itself
    return EstimatedQuality(
        roc_auc=won / pairs if pairs > _EPSILON else nan,
        log_loss=loss / n if n else nan,
        positives=positives,
        negatives=negatives,
    )
