"""False alarms where nothing changes, and delays where something does."""

import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import median
from typing import Final

from benchmarks.drift.detectors import Candidate, Detector
from benchmarks.drift.shop_scores import incident_at
from benchmarks.drift.streams import STEADY, Draw, Scored, Stream, independent

BEFORE_CHANGE: Final = 5_000
MAX_DELAY: Final = 2_000


@dataclass(frozen=True, slots=True)
class Effort:
    """How much a detector is given to do."""

    n_seeds: int
    n_stable: int
    """Scores of each stable stream, over all seeds."""
    n_episodes: int = 0
    """Of each dataset into which drifts are injected."""


def false_alarms(candidate: Candidate, stream: Stream, effort: Effort) -> int:
    """Count alarms while nothing changes; each partition has a detector of its own."""
    by_partition: defaultdict[int, Detector] = defaultdict(candidate.make)
    scores = islice(stream(random.Random(1)), effort.n_stable)
    return sum(by_partition[each.partition](each.score, each.at_ms) for each in scores)


@dataclass(frozen=True, slots=True)
class Delays:
    """How soon changes were seen, and how many were not."""

    found: Sequence[int]
    n_missed: int

    def __str__(self) -> str:
        """Tell the median, where a miss is longer than all.

        >>> str(Delays([10, 30], 1)), str(Delays([10], 2)), str(Delays([5, 6, 7], 0))
        ('30 (1 missed)', 'missed 2 of 3', '6')
        """
        n = len(self.found) + self.n_missed
        if self.n_missed * 2 >= n:
            return f"missed {self.n_missed} of {n}"
        middle = round(median([*self.found, *[MAX_DELAY] * self.n_missed]))
        return f"{middle} ({self.n_missed} missed)" if self.n_missed else str(middle)


def delays(candidate: Candidate, after: Draw, effort: Effort) -> Delays:
    """Change the scores after 5,000 steady ones, once per seed; look at the first alarm after it.

    An alarm before the change is a false one, and the detector goes on.
    """
    found: list[int] = []
    for seed in range(effort.n_seeds):
        rng = random.Random(seed)
        detector = candidate.make()
        steady = islice(independent(STEADY)(rng), BEFORE_CHANGE)
        changed = islice(independent(after)(rng), MAX_DELAY)
        last_ms = 0
        for each in steady:
            detector(each.score, each.at_ms)
            last_ms = each.at_ms
        delay = next(
            (n for n, each in enumerate(changed, 1) if detector(each.score, last_ms + each.at_ms)),
            None,
        )
        if delay is not None:
            found.append(delay)
    return Delays(found, effort.n_seeds - len(found))


def alarms_by_incident(candidate: Candidate, scores: Sequence[Scored]) -> Counter[str]:
    """Replay scores, each partition with a detector of its own; count alarms by what they fell in.

    Those of no known incident are under the empty name.
    """
    by_partition = {each.partition: candidate.make() for each in scores}
    return Counter(
        incident_at(each.at_ms) or ""
        for each in scores
        if by_partition[each.partition](each.score, each.at_ms)
    )
