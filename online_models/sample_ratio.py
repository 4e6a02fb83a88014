"""Whether users are shuffled as they should be: a test that may be looked at any time.

A sequential multinomial test (Lindon & Malek, NeurIPS 2022): evidence against the planned shares is
a martingale, so that however often one looks, it exceeds 1/a with a probability of at most a.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum, lgamma, log, log10
from typing import Final, Literal

from online_models.assignment import Rollout

CONCENTRATION: Final = 100.0
"""Of the prior around the planned shares: finds shares that are off by a tenth soonest."""

FALSE_ALARMS: Final = 1e-4
"""Probability that an experiment is ever suspected without a reason."""
MOST_USERS: Final = 100_000
"""Users of an experiment that are remembered, some 10 MB; then all are counted anew."""

SETTLING: Final = 5_000
"""Predictions in a group that is not the user's: more are not left over from another rollout."""

Group = Literal["control", "candidate"]


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Users are not in the groups as planned."""

    control: int
    candidate: int
    evidence: float
    """Power of ten."""
    threshold: float
    """What it had to exceed."""
    turn: int
    """How often users were counted anew before."""

    @property
    def share(self) -> float:
        """Part of the users who have the candidate's answers."""
        return self.candidate / (self.control + self.candidate)


class SampleRatio:
    """Counts the users of a rollout as they come, each once, and tells when a group lacks some.

    Memory is bounded: after `most_users` it counts anew, and asks for more evidence, so that all
    turns together raise a false alarm with a probability of at most `FALSE_ALARMS`. A turn raises
    one alarm.

    Examples
    --------
    >>> rollout = Rollout(name="tree-2026", candidate="m", exposure=1.0)
    >>> ratio = SampleRatio(rollout)
    >>> for n in range(10_000):
    ...     user = f"user-{n}"
    ...     variant = rollout.variant(user)
    ...     if variant == "control" or n % 5:  # a fifth of the other group crashes
    ...         ratio.add(user, variant)
    >>> ratio.counts
    {'control': 5100, 'candidate': 3928}
    >>> found = ratio.mismatch()
    >>> round(found.share, 3), round(found.evidence), round(found.threshold, 1)
    (0.435, 32, 4.3)
    >>> ratio.mismatch() is None  # told once
    True
    """

    def __init__(self, rollout: Rollout, *, most_users: int = MOST_USERS) -> None:
        self._split = rollout.split
        self._most_users = most_users
        self._variant = Rollout(
            name=rollout.name, candidate=rollout.candidate, exposure=1.0, split=rollout.split
        ).variant
        self._turn = 0
        self._n_elsewhere = 0
        self._begin()

    def _begin(self) -> None:
        self.counts: dict[Group, int] = {"control": 0, "candidate": 0}
        self._seen: set[int] = set()
        self._is_told = False

    def add(self, user_id: str, variant: Group) -> None:
        """Count a user; begin anew with one whom another rollout put where they are.

        Its predictions may still come, and its shares may be others. Where they go on coming, they
        are counted in the group whose answers they get: then it is the assignment that is wrong.
        """
        who = hash(user_id)
        if who in self._seen:
            return
        if self._variant(user_id) != variant:
            self._n_elsewhere += 1
            if self._n_elsewhere <= SETTLING:
                self._begin()
                return
        if len(self._seen) >= self._most_users:
            self._turn += 1
            self._begin()
        self._seen.add(who)
        self.counts[variant] += 1

    @property
    def evidence(self) -> float:
        """Power of ten of the evidence of this turn."""
        return evidence([*self.counts.values()], [1.0 - self._split, self._split])

    def mismatch(self) -> Mismatch | None:
        """Tell whether the counts are not as planned; once in a turn."""
        threshold = -log10(FALSE_ALARMS) + log10((self._turn + 1) * (self._turn + 2))
        found = self.evidence
        if self._is_told or found < threshold:
            return None
        self._is_told = True
        return Mismatch(
            self.counts["control"], self.counts["candidate"], found, threshold, self._turn
        )


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
