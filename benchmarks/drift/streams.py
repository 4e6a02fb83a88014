"""Streams of scores with their event times, drawn at random."""

import random
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from math import exp, pi, sin, sqrt
from typing import Final, NamedTuple

DAY_MS: Final = 86_400_000
A_DAY: Final = 400
"""Scores of the streams that are drawn."""


class Scored(NamedTuple):
    """A score that is watched."""

    score: float
    at_ms: int
    partition: int = 0


Draw = Callable[[random.Random], float]
Stream = Callable[[random.Random], Iterator[Scored]]


def beta(mean: float, concentration: float = 7.0) -> Draw:
    """Draw from a Beta distribution; mean 2/7 and concentration 7 is Beta(2, 5)."""
    a, b = mean * concentration, (1 - mean) * concentration
    return lambda rng: rng.betavariate(a, b)


STEADY: Final = beta(2 / 7)


def _jumping(rng: random.Random) -> float:
    return 0.97 if rng.random() < 0.05 else STEADY(rng)


CHANGES: Final[dict[str, Draw]] = {
    "mean +.05": beta(2 / 7 + 0.05),
    "mean +.15": beta(2 / 7 + 0.15),
    "wider": beta(2 / 7, 2),
    "narrower": beta(2 / 7, 18),
    "5 % to .97": _jumping,
}
"""What comes after Beta(2, 5)."""


def independent(draw: Draw) -> Stream:
    """Draw each score for itself."""
    return lambda rng: (_at(n, draw(rng)) for n in count())


def resembling(rho: float) -> Stream:
    """Let each score resemble the one before: AR(1) in the logit."""

    def stream(rng: random.Random) -> Iterator[Scored]:
        z = rng.gauss(0, 1)
        for n in count():
            yield _at(n, 1 / (1 + exp(1 - z)))
            z = rho * z + sqrt(1 - rho * rho) * rng.gauss(0, 1)

    return stream


def daily(by: float) -> Stream:
    """Let the mean of Beta(2, 5) go up and down by so much in a day."""

    def stream(rng: random.Random) -> Iterator[Scored]:
        for n in count():
            score = STEADY(rng) + by * sin(2 * pi * n / A_DAY)
            yield _at(n, min(max(score, 1e-6), 1 - 1e-6))

    return stream


def in_blocks(days: Sequence[Sequence[Scored]], length: int) -> Stream:
    """Draw runs of so many days of a history, and put them one after the other.

    Within a run scores depend on each other as they did; from run to run on nothing.
    """

    def stream(rng: random.Random) -> Iterator[Scored]:
        today = 0
        while True:
            first = rng.randrange(len(days) - length + 1)
            for day in days[first : first + length]:
                for scored in day:
                    yield scored._replace(at_ms=today * DAY_MS + scored.at_ms % DAY_MS)
                today += 1

    return stream


STABLE: Final[dict[str, Stream]] = {
    "Beta(2, 5)": independent(STEADY),
    "AR(1), .3": resembling(0.3),
    "AR(1), .6": resembling(0.6),
    "daily cycle +-.03": daily(0.03),
    "daily cycle +-.06": daily(0.06),
}


def _at(n: int, score: float) -> Scored:
    return Scored(score, n * DAY_MS // A_DAY)
