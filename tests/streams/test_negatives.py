"""Subsampling of negatives: a fair share, by name alone."""

import math

import pytest

from streams.negatives import is_kept

N = 20_000


@pytest.mark.parametrize("share", [0.001, 0.01, 0.1, 0.3, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("name", ["shop:e{}", "shop:user-events-3-{}", "0:{:08x}"])
def test_what_is_kept_weighs_as_much_as_all(share, name):
    n_kept = sum(is_kept(name.format(n), share) for n in range(N))
    deviation = math.sqrt(N * share * (1 - share))

    assert abs(n_kept - N * share) < 4 * deviation


def test_a_larger_share_keeps_what_a_smaller_one_does():
    shares = (0.1, 0.4, 0.8, 1.0)
    kept = [{n for n in range(2_000) if is_kept(f"e{n}", share)} for share in shares]

    assert kept[0] < kept[1] < kept[2] < kept[3] == set(range(2_000))
