"""Test, then train, of amounts: mean absolute error, root mean squared error, R2."""

import math

import msgspec

from online_models.prequential import WINDOW


class AmountEvaluation(msgspec.Struct):
    """Errors of estimates over the lifetime of a model and over its latest outcomes.

    R2 tells what share of the labels' variance the estimates explain: 1 is all of it, 0 as much as
    the mean of all labels does in hindsight, less than 0 is worse. NaN until labels differ; the
    others before the first outcome.

    Examples
    --------
    >>> evaluation = AmountEvaluation()
    >>> for label, estimate in [(1.0, 2.0), (3.0, 3.0), (5.0, 3.0)]:
    ...     evaluation.update(label, estimate)
    >>> evaluation.mae, round(evaluation.rmse, 4), evaluation.r2
    (1.0, 1.291, 0.375)
    """

    n: int = 0
    total_error: float = 0.0
    total_squared_error: float = 0.0
    mean: float = 0.0
    """Of the labels; and the sum of their squared distances from it."""
    total_squares: float = 0.0
    ring: list[float] = []
    """Errors of the latest outcomes; the oldest is the next to be overwritten."""

    def update(self, label: float, estimate: float) -> None:
        """Count one outcome and what was estimated beforehand."""
        error = estimate - label
        self.total_error += abs(error)
        self.total_squared_error += error * error
        if len(self.ring) < WINDOW:
            self.ring.append(error)
        else:
            self.ring[self.n % WINDOW] = error
        self.n += 1
        before = label - self.mean
        self.mean += before / self.n
        self.total_squares += before * (label - self.mean)

    @property
    def mae(self) -> float:
        """Mean absolute error."""
        return self.total_error / self.n if self.n else math.nan

    @property
    def rmse(self) -> float:
        """Root of the mean squared error."""
        return math.sqrt(self.total_squared_error / self.n) if self.n else math.nan

    @property
    def r2(self) -> float:
        """Share of the variance that is explained."""
        if self.total_squares <= 0.0:
            return math.nan
        return 1.0 - self.total_squared_error / self.total_squares

    def figures(self) -> dict[str, float]:
        """Tell all of it by name."""
        n = len(self.ring)
        squares = math.fsum(error * error for error in self.ring)
        return {
            "mae": self.mae,
            "rmse": self.rmse,
            "r2": self.r2,
            "recent_mae": math.fsum(map(abs, self.ring)) / n if n else math.nan,
            "recent_rmse": math.sqrt(squares / n) if n else math.nan,
        }
