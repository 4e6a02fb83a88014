"""Whether users were shuffled as they should be: a test that may be looked at any time.

A sequential multinomial test (Lindon & Malek, NeurIPS 2022): evidence against the planned shares is
a martingale, so that however often one looks, it exceeds 1/a with a probability of at most a.
"""

from collections.abc import Sequence
from math import fsum, lgamma, log
from typing import Final

CONCENTRATION: Final = 100.0
"""Of the prior around the planned shares: finds shares that are off by a tenth soonest."""


def evidence(counts: Sequence[int], shares: Sequence[float]) -> float:
    """Give the logarithm (base 10) of the evidence that counts do not follow the shares.

    Parameters
    ----------
    counts
        Users by variant.
    shares
        What was planned; adds up to 1.

    Examples
    --------
    >>> evidence([500, 500], [0.5, 0.5]) < 0
    True
    >>> round(evidence([5_000, 5_700], [0.5, 0.5]), 1)
    8.8
    """
    n = sum(counts)
    prior = [CONCENTRATION * share for share in shares]
    posterior = [a + count for a, count in zip(prior, counts, strict=True)]
    mixture = lgamma(CONCENTRATION) - lgamma(CONCENTRATION + n)
    mixture += fsum(lgamma(b) - lgamma(a) for a, b in zip(prior, posterior, strict=True))
    planned = fsum(count * log(share) for count, share in zip(counts, shares, strict=True))
    return (mixture - planned) / log(10.0)
