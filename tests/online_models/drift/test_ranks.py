from bisect import bisect_left, bisect_right
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from online_models.drift.bets import N_BETS, factors
from online_models.drift.ranks import Counts, no_counts, normal_score, reference

scores = st.floats(0, 1)


@given(cuts=st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_no_bet_pays_on_average_over_any_partition_of_the_ranks(cuts):
    bounds = sorted({0.0, 1.0, *cuts})
    parts = [(a, b) for a, b in pairwise(bounds) if b - a > 1e-9]
    covered = sum(b - a for a, b in parts)
    for bet in range(N_BETS):
        mean = sum((b - a) * factors(a, b)[bet] for a, b in parts)

        assert abs(mean - covered) < 1e-6
        assert all(factors(a, b)[bet] > 0 for a, b in parts)


@given(values=st.lists(st.floats(-9, 9), max_size=200))
def test_counts_tell_where_a_value_lies_among_all_so_far(values):
    counts = Counts(no_counts())
    bins = []
    for value in values:
        first, end = counts.add(value)
        bin_ = min(max(int((value + 4.5) * 128 / 9), 0), 127)
        bins.append(bin_)

        assert first == sum(other < bin_ for other in bins) / len(bins)
        assert end == sum(other <= bin_ for other in bins) / len(bins)
    assert Counts(counts.by_bin).by_bin == counts.by_bin


@given(first=st.lists(scores, min_size=1, max_size=300), then=st.lists(scores, max_size=300))
def test_a_score_keeps_its_normal_score_and_higher_scores_have_no_lower_ones(first, then):
    edges, normal = reference(first)
    seen: dict[float, float] = {}
    for n, score in enumerate(then, start=len(first) + 1):
        found = normal_score(edges, normal, score, n)

        assert seen.setdefault(score, found) == found or len(edges) == 128
    ordered = [seen[score] for score in sorted(seen)]

    assert ordered == sorted(ordered)
    assert normal == sorted(set(normal))
    assert edges == sorted(set(edges))
    assert len(edges) <= 128


@given(first=st.lists(scores, min_size=1, max_size=60))
def test_normal_scores_are_those_of_the_middle_ranks(first):
    edges, normal = reference(first)
    ordered = sorted(first)
    middles = [
        (bisect_left(ordered, edge) + bisect_right(ordered, edge)) / 2 / len(first)
        for edge in edges
    ]

    assert edges == sorted(set(first))
    assert all((a < 0.5) == (b < 0) for a, b in zip(middles, normal, strict=True) if a != 0.5)
