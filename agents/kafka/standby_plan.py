"""Who keeps whose state warm. No I/O: every worker computes the same plan for itself.

The `range` assignor is a function of the members, so what each of them would get without some
others is known beforehand. A worker keeps a copy of what it would be given if any one (or any *n*)
of the others went: whoever fails, nobody restores from the beginning.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import Final

MOST_CASES: Final = 10_000
"""Failures are looked at together only as long as there are no more ways to choose them."""


def shared_out(members: Sequence[str], partitions: Sequence[int]) -> dict[str, frozenset[int]]:
    """Share partitions out as the `range` assignor does: contiguous, the first get one more.

    >>> {member: sorted(given) for member, given in shared_out(["a", "b"], range(5)).items()}
    {'a': [0, 1, 2], 'b': [3, 4]}
    """
    ordered, members = sorted(partitions), sorted(members)
    each, more = divmod(len(ordered), len(members)) if members else (0, 0)
    shares: dict[str, frozenset[int]] = {}
    start = 0
    for index, member in enumerate(members):
        end = start + each + (index < more)
        shares[member] = frozenset(ordered[start:end])
        start = end
    return shares


def warm_partitions(
    me: str, members: Sequence[str], partitions: Sequence[int], *, failures: int
) -> frozenset[int]:
    """Tell which partitions a member should keep a copy of, beside those that are its own.

    Parameters
    ----------
    me
        The member. If it is not among the members yet, it is about to join them, and has to make
        copies of what will be its own as well.
    failures
        How many members may go at once; 0 keeps none warm.

    Examples
    --------
    >>> sorted(warm_partitions("b", ["a", "b", "c"], range(6), failures=1))  # b has 2 and 3
    [0, 1, 4, 5]
    >>> sorted(warm_partitions("c", ["a", "b", "c"], range(6), failures=1))  # c has 4 and 5
    [3]
    >>> sorted(warm_partitions("c", ["a", "b"], range(6), failures=1))  # c will have 4 and 5
    [3, 4, 5]
    """
    others = sorted(set(members) - {me})
    mine = shared_out([*others, me], partitions)[me]
    own = mine if me in members else frozenset()
    warm = set(mine)
    n_cases = 0
    for n_gone in range(1, min(failures, len(others)) + 1):
        for gone in combinations(others, n_gone):
            warm |= shared_out([me, *(each for each in others if each not in gone)], partitions)[me]
            n_cases += 1
            if n_cases >= MOST_CASES:
                return frozenset(warm - own)
    return frozenset(warm - own)
