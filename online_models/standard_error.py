"""How far a ROC AUC may be off by chance."""

from math import sqrt
from typing import Final

CONFIDENCE_Z: Final = 3.0
"""Standard errors. Every reading is a chance to be wrong."""
MIN_PER_LABEL: Final = 30
"""Fewer positives or negatives say nothing; the interval is asymptotic."""


def roc_auc_error(roc_auc: float, positives: int, negatives: int) -> float:
    """Estimate the standard error of a ROC AUC of independent outcomes (Hanley and McNeil, 1982).

    >>> roc_auc_error(0.75, positives=100, negatives=900)
    0.0290...
    >>> roc_auc_error(0.75, positives=5, negatives=45)
    0.131...
    """
    a = roc_auc
    one_positive_two_negatives = a / (2 - a) - a * a
    two_positives_one_negative = 2 * a * a / (1 + a) - a * a
    variance = a * (1 - a)
    variance += (positives - 1) * one_positive_two_negatives
    variance += (negatives - 1) * two_positives_one_negative
    return sqrt(variance / (positives * negatives))
