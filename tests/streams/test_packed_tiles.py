"""Tiles as bytes say what tiles as lists of numbers said."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from streams.packed_tiles import TilePacking

COUNTS = st.integers(-3, 3) | st.integers() | st.sampled_from([63, 64, -64, -65, 1 << 70])


@st.composite
def tiles(draw):
    """Draw a packing, ends that ascend, and what each tile counts: something."""
    n = draw(st.integers(1, 20))
    bases = [draw(st.sampled_from([*range(column), column])) for column in range(n)]
    bases = [base if bases[base] == base else column for column, base in enumerate(bases)]
    gaps = draw(st.lists(st.integers(1, 3) | st.integers(1, 1_000_000), max_size=12))
    ends = [sum(gaps[: i + 1]) for i in range(len(gaps))]
    some = st.lists(COUNTS, min_size=n, max_size=n).filter(any)
    return TilePacking(bases), ends, [draw(some) for _ in ends]


def packed(packing: TilePacking, ends: list[int], sums: list[list[int]]) -> bytes:
    skipped = [0, *(b - a - 1 for a, b in pairwise(ends))]
    return b"".join(map(packing.tile, map(tuple, sums), skipped))


@given(tiles())
def test_what_was_packed_is_read_back(drawn):
    packing, ends, sums = drawn

    blob = packed(packing, ends, sums)

    assert packing.tiles(blob, ends[0] if ends else 0) == (ends, sums)


@given(tiles(), st.data())
def test_what_leaves_is_added_and_the_rest_stays(drawn, data):
    packing, ends, sums = drawn
    if not ends:
        return
    blob = packed(packing, ends, sums)
    first = data.draw(st.integers(ends[0], ends[-1] + 2), label="first that stays")
    counts = [7] * len(packing.bases)

    at, end = packing.leave(blob, 0, ends[0], first, counts)

    left = [i for i, each in enumerate(ends) if each < first]
    assert counts == [7 + sum(sums[i][column] for i in left) for column in range(len(counts))]
    assert packing.tiles(blob[at:], end) == (ends[len(left) :], sums[len(left) :])


@given(st.integers(1, 20))
def test_a_tile_that_counts_nothing_takes_no_room(n):
    assert TilePacking(range(n)).tile((0,) * n, n_skipped=3) == b""


def test_a_tile_with_a_few_counts_takes_a_byte_for_each_and_one_more():
    """So a week of hours stays below a kilobyte."""
    packing = TilePacking([0, 1, 0, 3, 4, 5, 6])

    assert len(packing.tile((60, 0, 60, 0, 0, 2, 0), n_skipped=0)) == 3
