"""How much a value resembles the one before it, beyond what the hour explains."""

import math
from typing import Final

import msgspec

CLASSES: Final = 6
"""Of the hours of a day: four hours each."""
_DAY_MS: Final = 86_400_000
_SURE: Final = 3.0
"""Standard errors from which on there is dependence at all."""
_LEAST: Final = 0.05
"""Less than that is left alone."""
_CLOSE: Final = 1.0
"""Standard errors that the estimate may then be away from what is held for true."""
_FEW: Final = 20
"""Values that estimates are drawn to zero by: among rare values two in a row are chance."""


def hour_class(at_ms: int) -> int:
    """Tell which hours of the day (UTC) a time belongs to.

    >>> [hour_class(hour * 3_600_000) for hour in (0, 3, 4, 23, 24)]
    [0, 0, 1, 5, 0]
    """
    return at_ms % _DAY_MS * CLASSES // _DAY_MS


class Dependence(msgspec.Struct, array_like=True):
    """Learns from normal scores, in their order.

    >>> dependence = Dependence()
    >>> value = 1.0
    >>> for n in range(200):
    ...     value = 0.7 * value + (1.0 if n % 3 else -2.0)
    ...     dependence.learn(value, hour_class(0))
    >>> dependence.settle(), round(dependence.held, 2), round(dependence.last, 2)
    (True, -0.45, 0.14)
    """

    n: int = 0
    n_by_class: list[int] = msgspec.field(default_factory=lambda: [0] * CLASSES)
    total_by_class: list[float] = msgspec.field(default_factory=lambda: [0.0] * CLASSES)
    squares: float = 0.0
    """Of deviations from the mean of the class."""
    products: float = 0.0
    """Of each deviation with the one before."""
    last: float = 0.0
    last_deviation: float = 0.0
    held: float = 0.0
    """The autocorrelation that is held for true."""
    next_look: int = 0
    """Values after which it is compared with the estimate again."""

    def expected(self) -> float:
        """Tell what is known of the next value from the last one.

        No mean is taken off: it is not known well at first, and as it becomes known all that is
        derived from it would drift. Whoever ranks the rest in its class needs none.
        """
        return self.held * self.last

    def learn(self, value: float, class_: int) -> None:
        """Take in a value of a class of hours."""
        self.n += 1
        n = self.n_by_class[class_] = self.n_by_class[class_] + 1
        total = self.total_by_class[class_] = self.total_by_class[class_] + value
        deviation = value - total / (n + _FEW)
        self.squares += deviation * deviation
        self.products += deviation * self.last_deviation
        self.last, self.last_deviation = value, deviation

    def settle(self) -> bool:
        """Hold the estimate for true if it is surely another than the one held; tell if it was.

        To be called when the values have doubled. If what is held followed each value, equal
        values would slide against each other.
        """
        self.next_look = 2 * self.n
        estimate = self.products / (self.squares + _FEW)
        error = math.sqrt((1 - min(estimate * estimate, 1.0)) / self.n)
        tolerance = _CLOSE * error if self.held else max(_LEAST, _SURE * error)
        if abs(estimate - self.held) <= tolerance:
            return False
        self.held = estimate
        return True
