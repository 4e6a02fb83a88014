"""Streams of scores to try detectors on."""

import math
import random
from collections.abc import Callable, Iterable, Iterator

from online_models.drift import DriftAlarm, ScoreDrift

Draw = Callable[[random.Random], float]

MS_A_SCORE = 216_000
"""From one score to the next: 400 a day."""


def beta(mean: float, concentration: float = 7) -> Draw:
    return lambda rng: rng.betavariate(mean * concentration, (1 - mean) * concentration)


def independent(draw: Draw, rng: random.Random) -> Iterator[float]:
    while True:
        yield draw(rng)


def resembling(rho: float, rng: random.Random) -> Iterator[float]:
    """AR(1) in the logit: each resembles the one before."""
    z = rng.gauss(0, 1)
    while True:
        yield 1 / (1 + math.exp(1 - z))
        z = rho * z + math.sqrt(1 - rho**2) * rng.gauss(0, 1)


def daily(by: float, rng: random.Random) -> Iterator[float]:
    """The mean goes up and down by so much in a day."""
    n = 0
    while True:
        phase = math.sin(2 * math.pi * n * MS_A_SCORE / 86_400_000)
        yield min(max(rng.betavariate(2, 5) + by * phase, 1e-6), 1 - 1e-6)
        n += 1


def alarms(
    drift: ScoreDrift, scores: Iterable[float], first: int = 0
) -> list[tuple[int, DriftAlarm]]:
    """Tell which scores raise an alarm, counted from 1."""
    found = (
        (i, drift.update(score, (first + i) * MS_A_SCORE)) for i, score in enumerate(scores, 1)
    )
    return [(i, alarm) for i, alarm in found if alarm is not None]
