"""The closed tiles of one user as bytes: what a state mostly consists of, and seldom looks into.

A user who is there every hour of a week has hundreds of tiles. As lists of numbers they would be
read and written with each event, and be objects that the garbage collector walks over; as bytes
they are copied. Only what leaves a window is looked at, in the order in which it was written.

A tile is written as

- a bit for each column that counts something, behind a bit that is set where tiles were skipped;
- how many were skipped, if that bit is set;
- the counts of those columns.

Numbers are those of Protocol Buffers: seven bits a byte, the sign in the lowest. A column that
looks at the same counter as an earlier one is written as the difference to it, which is nothing
unless they began at different times.
"""

from collections.abc import Sequence
from typing import Final

_MORE: Final = 0x80
"""Set in every byte of a number but its last."""


_KNOWN: Final = 4_096
"""Tiles that are not written anew each time."""

Written = tuple[tuple[int, tuple[int, ...]], ...]
"""Columns that a tile has a number for, each with those that are differences to it."""


class TilePacking:
    """Writes and reads the tiles of one width.

    Parameters
    ----------
    bases
        For each column, the first one that looks at the same counter: itself, most often.

    Examples
    --------
    >>> packing = TilePacking([0, 1, 0])
    >>> packed = packing.tile((3, 0, 3), n_skipped=0) + packing.tile((1, 2, 1), n_skipped=5)
    >>> packed.hex(" ")
    '02 06 07 05 02 04'
    >>> packing.tiles(packed, first_end=10)
    ([10, 16], [[3, 0, 3], [1, 2, 1]])
    """

    def __init__(self, bases: Sequence[int]) -> None:
        self.bases: Final = tuple(bases)
        self._n_mask_bytes = (len(bases) + 8) // 8  # one bit more than there are columns
        self._bits = tuple(2 << column for column in range(len(bases)))
        self._differences = [(column, base) for column, base in enumerate(bases) if base != column]
        self._written: dict[int, Written] = {}
        # Most tiles count a few events: of one user they look like those of the other.
        self._known: dict[tuple[int, ...], bytes] = {}

    def tile(self, counts: tuple[int, ...], n_skipped: int) -> bytes:
        """Write a tile; one that counts nothing is nothing.

        Parameters
        ----------
        n_skipped
            Tiles between the one written before and this.
        """
        tile = self._known.get(counts)
        if tile is None:
            tile = self._write(counts)
        if n_skipped and tile:
            n = self._n_mask_bytes
            return bytes((tile[0] | 1,)) + tile[1:n] + _varint(n_skipped) + tile[n:]
        return tile

    def leave(
        self, packed: bytes, at: int, end: int, first: int, counts: list[int]
    ) -> tuple[int, int]:
        """Add the tiles that end before `first` to `counts`.

        Parameters
        ----------
        at, end
            Where the first tile that did not leave earlier stands in `packed`, and its end; that
            there is one, the caller knows.

        Returns
        -------
        The same of the first tile that stays; its end is meaningless if there is none.
        """
        written, n_mask_bytes, size = self._written, self._n_mask_bytes, len(packed)
        while end < first:
            if n_mask_bytes == 1:
                mask = packed[at]
            else:
                mask = int.from_bytes(packed[at : at + n_mask_bytes], "little")
            at += n_mask_bytes
            if mask & 1:
                while packed[at] >= _MORE:  # how many were skipped was read before
                    at += 1
                at += 1
            for column, others in written.get(mask) or self._written_under(mask):
                number = packed[at]
                at += 1
                if number >= _MORE:
                    number, at = _read_on(packed, at, number)
                count = number >> 1 ^ -(number & 1)
                counts[column] += count
                for other in others:
                    counts[other] += count
            if at == size:
                break
            end += 1
            if packed[at] & 1:
                skipped, _ = _read(packed, at + n_mask_bytes)
                end += skipped
        return at, end

    def tiles(self, packed: bytes, first_end: int) -> tuple[list[int], list[list[int]]]:
        """Read all tiles: their ends, and what each of them counts."""
        ends: list[int] = []
        sums: list[list[int]] = []
        at, end = 0, first_end
        while at < len(packed):
            counts = [0] * len(self.bases)
            ends.append(end)
            at, end = self.leave(packed, at, end, end + 1, counts)
            sums.append(counts)
        return ends, sums

    def _write(self, counts: tuple[int, ...]) -> bytes:
        written = list(counts)
        for column, base in self._differences:
            written[column] -= written[base]
        mask = 0
        numbers = bytearray()
        for bit, count in zip(self._bits, written, strict=True):
            if count:
                mask |= bit
                numbers += _varint(count << 1 if count > 0 else (-count << 1) - 1)
        tile = mask.to_bytes(self._n_mask_bytes, "little") + numbers if mask else b""
        if len(self._known) == _KNOWN:
            self._known.clear()
        self._known[counts] = tile
        return tile

    def _written_under(self, mask: int) -> Written:
        written = tuple(
            (column, tuple(other for other, base in self._differences if base == column))
            for column, bit in enumerate(self._bits)
            if mask & bit
        )
        self._written[mask] = written
        return written


def _varint(number: int) -> bytes:
    """Write a number that is not negative.

    >>> _varint(5).hex(), _varint(300).hex()
    ('05', 'ac02')
    """
    if number < _MORE:
        return bytes((number,))
    written = bytearray()
    while number >= _MORE:
        written.append(number % _MORE | _MORE)
        number >>= 7
    written.append(number)
    return bytes(written)


def _read(packed: bytes, at: int) -> tuple[int, int]:
    r"""Read a number back, and tell what stands behind it.

    >>> _read(b"\xac\x02", 0)
    (300, 2)
    """
    number = packed[at]
    return (number, at + 1) if number < _MORE else _read_on(packed, at + 1, number)


def _read_on(packed: bytes, at: int, number: int) -> tuple[int, int]:
    number %= _MORE
    shift = 7
    while True:
        byte = packed[at]
        at += 1
        number |= byte % _MORE << shift
        if byte < _MORE:
            return number, at
        shift += 7
