"""Which negatives teach, where there are far more of them than models need."""

from hashlib import blake2b
from typing import Final

_ALL: Final = 1 << 64


def is_kept(prediction_id: str, share: float) -> bool:
    """Tell whether a negative is among the share that is kept.

    A hash of its name decides, so a replay decides alike, wherever batches are cut.

    >>> sum(is_kept(f"shop:e{n}", 0.3) for n in range(10_000))
    3050
    >>> is_kept("shop:e0", 1.0)
    True
    """
    if share >= 1.0:
        return True
    digest = blake2b(prediction_id.encode(), digest_size=8, person=b"negatives").digest()
    return int.from_bytes(digest) < share * _ALL
