"""The mean of bounded numbers, with an interval that holds however often one looks.

Numbers from -1 to 1 come one after the other, each from whatever distribution its past decides on.
What is estimated is the mean of what was to be expected of each. For every slope l in (0, 1)

    exp(l * sum(x - expected) + (log(1 - l) + l) * sum(x^2))

is a supermartingale (Fan, Grama & Liu 2015; Howard, Ramdas, McAuliffe & Sekhon 2021, theorem 4,
with a guess of 0), and so is the mean of such over a few slopes. It exceeds 1/a at any time with a
probability of at most a. Exact for any number of numbers, no matter how they depend on each other;
memory and time do not grow.
"""

import math
from typing import Final

import msgspec

_SLOPES: Final[tuple[float, ...]] = tuple(2.0 ** (-k / 2) for k in range(1, 25))
"""Of sums of squares from ten to a hundred million the best one is among them, or nearly."""
_COSTS: Final = tuple(-math.log1p(-slope) - slope for slope in _SLOPES)
_HALVINGS: Final = 40


class ConfidenceSequence(msgspec.Struct, array_like=True):
    """What is known of the mean.

    Examples
    --------
    >>> sequence = ConfidenceSequence()
    >>> for n in range(4_000):
    ...     sequence.update(-0.1 if n % 4 else 0.1)
    >>> low, high = sequence.interval(error=0.05)
    >>> round(low, 3), round(sequence.mean, 3), round(high, 3)
    (-0.057, -0.05, -0.043)
    >>> sequence.is_below(0.0, error=0.025), sequence.is_above(-0.05, error=0.025)
    (True, False)
    """

    n: int = 0
    total: float = 0.0
    squares: float = 0.0

    def update(self, x: float) -> None:
        """Take in a number from -1 to 1."""
        self.n += 1
        self.total += x
        self.squares += x * x

    @property
    def mean(self) -> float:
        """Mean of the numbers; NaN without any."""
        return self.total / self.n if self.n else math.nan

    def is_below(self, bound: float, *, error: float) -> bool:
        """Tell whether the mean to be expected is below a bound for sure.

        `error` is the probability that this is ever said and not so, over all looks.
        """
        return self._evidence(self.n * bound - self.total) >= -math.log(error)

    def is_above(self, bound: float, *, error: float) -> bool:
        """Tell whether it is above for sure."""
        return self._evidence(self.total - self.n * bound) >= -math.log(error)

    def interval(self, *, error: float) -> tuple[float, float]:
        """Tell where it lies; `error` is the probability that either end is ever wrong."""
        if not self.n:
            return -1.0, 1.0
        enough = -math.log(error / 2)
        near, far = 0.0, float(2 * self.n)
        for _ in range(_HALVINGS):
            middle = (near + far) / 2
            near, far = (near, middle) if self._evidence(middle) >= enough else (middle, far)
        half = far / self.n
        return max(-1.0, self.mean - half), min(1.0, self.mean + half)

    def _evidence(self, excess: float) -> float:
        """Give the logarithm of the evidence that the sum is not off by so much by chance."""
        terms = [
            slope * excess - cost * self.squares
            for slope, cost in zip(_SLOPES, _COSTS, strict=True)
        ]
        most = max(terms)
        return most + math.log(math.fsum(math.exp(each - most) for each in terms) / len(terms))
