"""Numbers as indicators, for models that weigh nothing else."""

from collections.abc import Hashable
from typing import Any

from river import base


class Buckets(base.Transformer):
    """Say of each scaled feature in which bucket it lies.

    Parameters
    ----------
    per_deviation
        Buckets for each standard deviation.
    limit
        Standard deviations beyond which a value falls into the last bucket.

    Examples
    --------
    >>> Buckets().transform_one({"clicks": 0.3, "carts": -2.2, "spend": 1e9})
    {('clicks', 0): 1, ('carts', -2): 1, ('spend', 4): 1}
    """

    def __init__(self, per_deviation: int = 1, limit: int = 4) -> None:
        self.per_deviation = per_deviation
        self.limit = limit

    def transform_one(self, x: dict[Any, Any]) -> dict[Hashable, int]:
        """Give one indicator for each feature."""
        last = self.per_deviation * self.limit
        return {
            (name, round(max(-last, min(last, value * self.per_deviation)))): 1
            for name, value in x.items()
        }
