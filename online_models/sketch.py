"""How often values were how large: counts on a grid, that add up.

What many processes counted over many minutes is the sum of what each of them counted, in whatever
order it is added up. The grid is fixed, so that no process has to know what another one saw: for
scores, equal steps of the logit; for other values, equal ratios. Where more than `MAX_CELLS` cells
are in use neighbours are merged by twos, as UDDSketch does (Epicoco et al., IEEE Access 2020): the
result depends on the values alone.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from types import MappingProxyType
from typing import Final

from schemas.errors import ThalwegError

MAX_CELLS: Final = 90
MAX_BYTES: Final = 400
"""What `Sketch.encode` needs at most, of up to two million values."""

_STEPS_OF_LOGIT: Final = 8
_STEPS_OF_DOUBLING: Final = 16
_LARGEST: Final = 1 << 10
"""Cells on either side of 0: absolute values from 2**-32 to 2**32, then those that are larger."""
_MOST_LEVEL: Final = _LARGEST.bit_length()
"""Then all values lie in two cells."""
_MOST_SQUARES: Final = 1 << 63
"""Those of three thousand million values of one user."""
_CERTAIN: Final = 1e-12


class UnreadableSketch(ThalwegError, ValueError):
    """Bytes that are no sketch."""


def score_cell(score: float) -> int:
    """Find the cell of a probability.

    >>> [score_cell(score) for score in (0.0, 0.1, 0.5, 0.52, 0.9, 1.0)]
    [-222, -18, 0, 0, 17, 221]
    """
    score = min(max(score, _CERTAIN), 1.0 - _CERTAIN)
    return math.floor(_STEPS_OF_LOGIT * math.log(score / (1.0 - score)))


def value_cell(value: float) -> int:
    """Find the cell of a finite value: a cell is 4.4 % wide, and 0 has one of its own.

    >>> [value_cell(value) for value in (0.0, 1.0, 1.04, 2.0, -1.0)]
    [0, 513, 513, 529, -513]
    """
    if not value:
        return 0
    # frexp, since log2 of the smallest numbers is exact nowhere.
    mantissa, exponent = math.frexp(abs(value))
    steps = math.floor(_STEPS_OF_DOUBLING * (math.log2(mantissa) + exponent)) + _LARGEST // 2
    cell = min(max(steps, 0), _LARGEST - 1) + 1
    return cell if value > 0.0 else -cell


def score_bounds(cell: int, level: int = 0) -> tuple[float, float]:
    """Tell from which probability to which a cell of `score_cell` reaches.

    >>> low, high = score_bounds(score_cell(0.1))
    >>> low <= 0.1 < high, score_bounds(0, level=3)[0]
    (True, 0.5)
    """
    return _score(cell << level), _score((cell + 1) << level)


def _score(cell: int) -> float:
    # Coarse cells reach further than any score, and than `exp` does.
    return 1.0 / (1.0 + math.exp(min(-cell / _STEPS_OF_LOGIT, 700.0)))


def value_bounds(cell: int, level: int = 0) -> tuple[float, float]:
    """Tell from which value to which a cell of `value_cell` reaches.

    >>> [value_bounds(value_cell(value)) for value in (0.0, 1.0, -2.0)]
    [(0.0, 0.0), (1.0, 1.044...), (-2.088..., -2.0)]
    """
    return _value(cell << level, upper=False), _value(((cell + 1) << level) - 1, upper=True)


def _value(cell: int, *, upper: bool) -> float:
    if cell == 0:
        return 0.0
    away = abs(cell) if upper == (cell > 0) else abs(cell) - 1
    return math.copysign(2.0 ** ((away - _LARGEST // 2) / _STEPS_OF_DOUBLING), cell)


@dataclass(frozen=True, slots=True)
class Sketch:
    """Counts by cell. Sketches add up, and nothing is lost that one of all values would have.

    Parameters
    ----------
    counts
        By cell of `level`.
    squares
        Sum, over those whose values they are, of the square of how many values were theirs.
        Values of one user resemble each other: so many do not say as much as so many users.
    level
        Neighbours were merged so often.

    Examples
    --------
    >>> ada = Sketch.of({value_cell(20.0): 2, value_cell(30.0): 1}, squares=9)
    >>> bob = Sketch.of({value_cell(20.0): 1}, squares=1)
    >>> both = ada + bob
    >>> (both.n, both.squares, both == bob + ada, both + Sketch() == both)
    (4, 10, True, True)
    >>> round(both.effective_n, 1)
    1.6
    >>> Sketch.decode(both.encode()) == both
    True
    """

    counts: Mapping[int, int] = field(default_factory=lambda: MappingProxyType({}))
    squares: int = 0
    level: int = 0

    @classmethod
    def of(cls, counts: Mapping[int, int], squares: int, *, level: int = 0) -> "Sketch":
        """Make a sketch of counts, on the finest grid that they fit on."""
        while len(counts) > MAX_CELLS:
            counts = _coarser(counts, 1)
            level += 1
        return cls(counts, squares, level)

    @property
    def n(self) -> int:
        """How many values were counted."""
        return sum(self.counts.values())

    @property
    def effective_n(self) -> float:
        """How many users with a value each say as much (Kish): at most as many as there are."""
        n = self.n
        return n * n / self.squares if self.squares else 0.0

    @property
    def mean_value(self) -> float:
        """Tell the mean of values (not of scores), cells being taken for their end next to 0.

        So it is exact for 0, 1, 2, 4, 8 ..., and for others up to 4.4 % too close to 0; more on a
        coarser grid.

        >>> Sketch.of({value_cell(0.0): 3, value_cell(1.0): 1}, squares=4).mean_value
        0.25
        """
        n = self.n
        return (
            sum(k * _nearest(cell, self.level) for cell, k in self.counts.items()) / n if n else 0.0
        )

    def at(self, level: int) -> Mapping[int, int]:
        """Give the counts on a grid that is as coarse, or coarser."""
        return _coarser(self.counts, level - self.level) if level > self.level else self.counts

    def __add__(self, other: "Sketch") -> "Sketch":
        """Count what either counted."""
        level = max(self.level, other.level)
        counts = dict(self.at(level))
        for cell, n in other.at(level).items():
            counts[cell] = counts.get(cell, 0) + n
        return Sketch.of(counts, self.squares + other.squares, level=level)

    def encode(self) -> bytes:
        """Write it, in some two to four bytes a cell."""
        cells = sorted(self.counts)
        written = bytearray()
        _write(written, self.level)
        _write(written, self.squares)
        before = 0
        for cell in cells:
            gap = cell - before
            # The first cell alone may be below 0: signs are in the lowest bit.
            _write(written, gap << 1 if gap >= 0 else (-gap << 1) | 1)
            _write(written, self.counts[cell])
            before = cell
        return bytes(written)

    @classmethod
    def decode(cls, encoded: bytes) -> "Sketch":
        r"""Read what `encode` wrote.

        Raises
        ------
        UnreadableSketch
            For what it did not write.

        Examples
        --------
        >>> Sketch.decode(b"\x80")
        Traceback (most recent call last):
            ...
        online_models.sketch.UnreadableSketch: a sketch of 1 bytes ends within a number
        """
        numbers = _numbers(encoded)
        if len(numbers) < 2 or len(numbers) % 2:  # noqa: PLR2004  # a head, then pairs
            raise UnreadableSketch(f"a sketch has pairs of numbers, not {len(numbers)} numbers")
        (level, squares), gaps, values = numbers[:2], numbers[2::2], numbers[3::2]
        signs = [gap & 1 for gap in gaps]
        if any(signs[1:]) or 0 in gaps[1:] or 0 in values:
            raise UnreadableSketch("cells do not ascend, or have no values")
        if any(signs):
            gaps[0] = 1 - gaps[0]
        counts = dict(zip((at >> 1 for at in accumulate(gaps)), values, strict=True))
        found = cls(counts, squares, level)
        if level > _MOST_LEVEL or len(counts) > MAX_CELLS or not found._is_possible():
            raise UnreadableSketch(f"nobody wrote these {len(encoded)} bytes")
        return found

    def _is_possible(self) -> bool:
        lowest, highest = -_LARGEST >> self.level, _LARGEST >> self.level
        cells = self.counts or (0,)
        return (
            lowest <= min(cells) <= max(cells) <= highest and self.n <= self.squares < _MOST_SQUARES
        )


def _coarser(counts: Mapping[int, int], by: int) -> dict[int, int]:
    merged: dict[int, int] = {}
    for cell, n in counts.items():
        merged[cell >> by] = merged.get(cell >> by, 0) + n
    return merged


def _nearest(cell: int, level: int) -> float:
    """Tell the value next to 0 in a cell of values."""
    fine = cell << level if cell >= 0 else ((cell + 1) << level) - 1
    if not fine:
        return 0.0
    size: float = 2.0 ** ((abs(fine) - 1 - _LARGEST // 2) / _STEPS_OF_DOUBLING)
    return math.copysign(size, fine)


def _write(written: bytearray, number: int) -> None:
    """Write a number that is not negative, seven bits a byte."""
    while number > 0x7F:  # noqa: PLR2004  # seven bits
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)


def _numbers(encoded: bytes) -> list[int]:
    numbers = []
    number = shift = 0
    for byte in encoded:
        if byte > 0x7F:  # noqa: PLR2004  # seven bits, and more to come
            number |= (byte & 0x7F) << shift
            shift += 7
        else:
            numbers.append(number | byte << shift)
            number = shift = 0
    if shift:
        raise UnreadableSketch(f"a sketch of {len(encoded)} bytes ends within a number")
    return numbers
