"""Which decisions people should judge: the uncertain ones, as many as they have time for.

Of those whose confidence is low each is chosen with a probability of its own, the larger the less
the model knows: a verdict on a coin flip teaches most. Who has the probability knows how many
decisions a chosen one stands for, so that what people say of some tells of all of them (Horvitz &
Thompson 1952; Beygelzimer, Dasgupta & Langford 2009).
"""

from dataclasses import dataclass
from hashlib import blake2b
from math import exp, log, sqrt
from typing import Final

import msgspec

from schemas.errors import InvalidDeclaration

_DAY_MS: Final = 86_400_000
_FIRST_LOOK_MS: Final = 3_600_000
"""What a day brings is reckoned from an hour at least."""
_EPSILON: Final = 1e-9
_ALL: Final = 1 << 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """Decisions that go to people.

    Examples
    --------
    >>> Review(confidence=0.3, per_day=200).share_of(0, 3), Review(confidence=0.3, per_day=1)
    (66, Review(confidence=0.3, per_day=1, weighted=False))
    """

    confidence: float
    """Below this a decision may be chosen; 0.3 are scores between .35 and .65."""
    per_day: int
    """So many a day at most, in event time (UTC), all partitions together."""
    weighted: bool = False
    """Whether a verdict teaches as the many decisions that it stands for. For use cases in which
    verdicts alone tell of uncertain decisions; where what is not reported is a label, too, each of
    the others has its own."""

    def __post_init__(self) -> None:
        if not 0 < self.confidence <= 1:
            raise InvalidDeclaration(
                f"confidence of a review is above 0, to 1, not {self.confidence}"
            )
        if self.per_day < 1:
            raise InvalidDeclaration(f"per_day of a review is 1 or more, not {self.per_day}")

    def share_of(self, partition: int, n_partitions: int) -> int:
        """Tell how many a day a partition may choose; all partitions together `per_day`.

        >>> [Review(confidence=0.3, per_day=10).share_of(n, 4) for n in range(4)]
        [2, 2, 3, 3]
        """
        return (self.per_day + partition) // n_partitions


class ReviewState(msgspec.Struct, array_like=True):
    """What a choice depends on."""

    day: int = 0
    """Days since the epoch."""
    chosen: int = 0
    """On that day."""
    eligible: float = 0.0
    """Decisions of low confidence; each counts for less the longer ago it was, by e each day."""
    entropy: float = 0.0
    """Theirs, likewise."""
    at_ms: int = 0
    """Event time of the last one."""
    since_ms: int = 0
    """Event time of the first one."""


class ReviewSampler:
    """Chooses among the decisions of one partition, in their order.

    The same decisions give the same choices: chance is a hash of the prediction's id.

    Parameters
    ----------
    share
        How many a day.
    encoded
        Where another sampler was (`encode`).

    Examples
    --------
    >>> sampler = ReviewSampler(Review(confidence=0.3, per_day=100), share=100)
    >>> sampler.choose("shop:e1", 0.9, at_ms=0) is None  # sure enough
    True
    >>> sampler.choose("shop:e2", 0.5, at_ms=0)  # nobody knows yet how many there will be
    1.0
    >>> minute_ms = 60_000
    >>> chosen = [sampler.choose(f"shop:f{n}", 0.45, at_ms=n * minute_ms) for n in range(2_880)]
    >>> sum(p is not None for p in chosen[1_440:])  # of 1,440 on the second day
    76
    """

    def __init__(self, review: Review, *, share: int, encoded: bytes | None = None) -> None:
        self._confidence = review.confidence
        self._share = share
        # A little less, so that there is nearly always room for what chance adds.
        self._aim = max(share / 2, share - 2 * sqrt(share))
        self._state = ReviewState() if encoded is None else _decode(encoded)
        self.has_changed = False
        """Whether `encode` says something else than it did."""

    def encode(self) -> bytes:
        """Tell where it is."""
        self.has_changed = False
        return _encode(self._state)

    def choose(self, prediction_id: str, score: float, *, at_ms: int) -> float | None:
        """Tell with which probability a decision was chosen; `None`: it was not.

        Parameters
        ----------
        score
            In [0, 1].
        at_ms
            Event time; an earlier one than before counts as that.
        """
        if abs(2.0 * score - 1.0) >= self._confidence:
            return None
        state, entropy = self._state, _entropy(score)
        p = self._take_in(state, entropy, at_ms)
        self.has_changed = True
        if state.chosen >= self._share or _chance(prediction_id) >= p:
            return None
        state.chosen += 1
        return p

    def _take_in(self, state: ReviewState, entropy: float, at_ms: int) -> float:
        """Count a decision, and tell with which probability it is to be chosen."""
        if state.at_ms == 0:
            state.at_ms = state.since_ms = at_ms
        at_ms = max(at_ms, state.at_ms)
        kept = exp((state.at_ms - at_ms) / _DAY_MS)
        state.at_ms = at_ms
        state.eligible *= kept
        state.entropy *= kept
        if (day := at_ms // _DAY_MS) != state.day:
            state.day, state.chosen = day, 0
        p = 1.0
        if state.eligible > 0.0 and state.entropy > 0.0:
            seen_of_a_day = 1.0 - exp(-max(at_ms - state.since_ms, _FIRST_LOOK_MS) / _DAY_MS)
            rate = self._aim * seen_of_a_day / state.eligible
            p = min(1.0, rate * entropy * state.eligible / state.entropy)
        state.eligible += 1.0
        state.entropy += entropy
        return p


def _entropy(score: float) -> float:
    """Give the entropy of a decision, in nats."""
    p = min(max(score, _EPSILON), 1.0 - _EPSILON)
    return -p * log(p) - (1.0 - p) * log(1.0 - p)


def _chance(prediction_id: str) -> float:
    digest = blake2b(prediction_id.encode(), digest_size=8, person=b"review").digest()
    return int.from_bytes(digest) / _ALL


_decode: Final = msgspec.msgpack.Decoder(ReviewState).decode
_encode: Final = msgspec.msgpack.Encoder().encode
