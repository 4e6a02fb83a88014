"""How many different values there were, in bounded memory: HyperLogLog, kept sparse.

A value's hash chooses a register and a rank; a register remembers the largest rank. Registers
that are empty are not kept, so that few values cost few bytes. Few values are counted by the
registers that are empty (linear counting), which has the smaller error.

References
----------
Flajolet, Fusy, Gandouet, Meunier, HyperLogLog, AofA (2007).
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Final

Sketch = dict[int, int]
"""Register -> largest rank; empty registers are left out."""

_BITS: Final = 8
N_REGISTERS: Final = 1 << _BITS
STANDARD_ERROR: Final = 1.04 / math.sqrt(N_REGISTERS)
"""Relative, of large counts."""
_ALPHA: Final = 0.7213 / (1 + 1.079 / N_REGISTERS)
_HASH_BITS: Final = 64
_RANK_BITS: Final = _HASH_BITS - _BITS
_HALVES: Final = tuple(0.5**rank for rank in range(_RANK_BITS + 2))
_FEW: Final = 2.5 * N_REGISTERS
"""Up to this estimate empty registers tell more than ranks do."""
_LINEAR: Final = tuple(
    N_REGISTERS * math.log(N_REGISTERS / (N_REGISTERS - n)) for n in range(N_REGISTERS)
)
"""Linear counting, by the number of registers that are not empty."""
_SURELY_FEW: Final = N_REGISTERS - math.ceil(_ALPHA * N_REGISTERS**2 / _FEW)
"""With no more registers than that, whatever their ranks, the estimate is of few."""
_KNOWN: Final = 1 << 14
"""So many short values are not hashed anew each time."""
_SHORT: Final = 64
"""Characters: what is remembered has a bounded size."""


def sketch_of(value: object) -> Sketch:
    """Sketch a set of one value: a text, or anything that reads differently. Not to be changed.

    >>> sketch_of("a") == sketch_of("a"), sketch_of("a") == sketch_of("b")
    (True, False)
    """
    text = str(value)
    return _known_sketch(text) if len(text) <= _SHORT else _sketch_of(text)


def _sketch_of(text: str) -> Sketch:
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_HASH_BITS // 8)
    hashed = int.from_bytes(digest.digest(), "big")
    rest = hashed & ((1 << _RANK_BITS) - 1)
    return {hashed >> _RANK_BITS: _RANK_BITS - rest.bit_length() + 1}


_known_sketch: Final = lru_cache(_KNOWN)(_sketch_of)


def union(one: Sketch, other: Sketch) -> Sketch:
    """Sketch the union of two sets; it is `one` itself where the other adds nothing.

    >>> union({1: 3, 2: 1}, {2: 4}) == {1: 3, 2: 4}
    True
    """
    more = {register: rank for register, rank in other.items() if rank > one.get(register, 0)}
    return one | more if more else one


def cardinality_of_union(one: Sketch, other: Sketch) -> float:
    """Estimate how many values two sets have together, which are mostly few.

    >>> one, other = sketch_of("a"), union(sketch_of("a"), sketch_of("b"))
    >>> cardinality_of_union(one, other) == cardinality(union(one, other))
    True
    """
    n = len(one)
    for register in other:
        if register not in one:
            n += 1
    return _LINEAR[n] if n <= _SURELY_FEW else cardinality(union(one, other))


def evict(merged: Sketch, left: Sequence[Sketch], inside: Sequence[Sketch]) -> Sketch:
    """Sketch the union of what stays, from that of all: what left is looked for in what stays.

    >>> merged = {1: 3, 2: 4, 7: 1}
    >>> evict(merged, [{1: 3, 2: 4}], [{1: 3, 7: 1}, {2: 2}])
    {1: 3, 2: 2, 7: 1}
    """
    kept = merged
    for sketch in left:
        for register, rank in sketch.items():
            if kept.get(register, 0) != rank:
                continue  # another one is larger
            largest = 0
            for other in reversed(inside):
                found = other.get(register, 0)
                if found == rank:
                    break
                largest = max(largest, found)
            else:
                if kept is merged:
                    kept = merged.copy()
                if largest:
                    kept[register] = largest
                else:
                    del kept[register]
    return kept


def cardinality(sketch: Sketch) -> float:
    """Estimate how many values a sketched set has.

    >>> from functools import reduce
    >>> few = reduce(union, map(sketch_of, "river"), {})
    >>> round(cardinality(few))
    4
    """
    n = len(sketch)
    if n <= _SURELY_FEW:
        return _LINEAR[n]
    total = N_REGISTERS - n + sum([_HALVES[rank] for rank in sketch.values()])
    estimate = _ALPHA * N_REGISTERS**2 / total
    return _LINEAR[n] if estimate <= _FEW and n < N_REGISTERS else estimate
