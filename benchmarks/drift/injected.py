"""Detectors through episodes with injected drifts: as they come, and all at the same rate."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.drift.datasets import Dataset
from benchmarks.drift.episodes import Drift, Episode, episodes
from benchmarks.drift.equal_rate import AtRate, at_rate, false_per_1000
from benchmarks.drift.families import BY_INPUT, Family
from benchmarks.drift.replay import Alarms, Counts, alarms, counted


@dataclass(frozen=True, slots=True)
class Measured:
    """One detector, by dataset where not said otherwise."""

    family: Family
    as_it_comes: Mapping[str, Sequence[Alarms]]
    at_rate: Mapping[str, AtRate]
    elsewhere_per_1000: Mapping[str, float]
    """False alarms with the parameter that the other datasets suggest."""

    def counts(self) -> dict[Drift, Counts]:
        """Count alarms as it comes, over all datasets."""
        return counted(each for some in self.as_it_comes.values() for each in some)

    def counts_at_rate(self) -> dict[Drift, Counts]:
        """Count alarms at the rate, over all datasets."""
        every = [each.counts() for each in self.at_rate.values()]
        return {drift: total(counts[drift] for counts in every) for drift in every[0]}

    def by_episode(self) -> list[Counts]:
        """Count alarms at the rate, over all drifts of an episode."""
        return [counts for each in self.at_rate.values() for counts in each.by_episode()]


def ahead(first: Measured, second: Measured) -> tuple[float, float]:
    """Tell by how much the F1 of one is above that of another, and its standard error.

    Both met the same episodes: the jackknife leaves out one after the other, of both.
    """
    ones, others = first.by_episode(), second.by_episode()
    one, other = total(ones), total(others)
    without = [
        (one + a.times(-1)).f1 - (other + b.times(-1)).f1 for a, b in zip(ones, others, strict=True)
    ]
    n, mean = len(without), sum(without) / len(without)
    error = math.sqrt((n - 1) / n * sum((each - mean) ** 2 for each in without))
    return one.f1 - other.f1, error


def measure(
    datasets: Iterable[Dataset], n_episodes: int, tell: Callable[[str], None]
) -> dict[str, list[Measured]]:
    """Run all detectors, by what they are told."""
    drawn = {}
    for dataset in datasets:
        tell(f"{dataset.name}: {n_episodes} episodes with {dataset.model}")
        drawn[dataset.name] = episodes(dataset, n_episodes)
    measured: dict[str, list[Measured]] = {}
    for told, families in BY_INPUT.items():
        for family in families:
            tell(f"{told}: {family.name}")
            measured.setdefault(told, []).append(_measured(family, drawn, told))
    return measured


def total(some: Iterable[Counts]) -> Counts:
    """Sum counts up."""
    return sum(some, Counts())


def _measured(family: Family, drawn: Mapping[str, Sequence[Episode]], told: str) -> Measured:
    make = family.of(family.default)
    at = {name: at_rate(family, some, told) for name, some in drawn.items()}
    return Measured(
        family,
        {name: [alarms(make, each, told) for each in some] for name, some in drawn.items()},
        at,
        {
            name: false_per_1000(family, _suggested(at, name), some, told)
            for name, some in drawn.items()
        },
    )


def _suggested(at: Mapping[str, AtRate], but: str) -> float:
    logarithms = [math.log(each.bracket.parameter) for name, each in at.items() if name != but]
    return math.exp(sum(logarithms) / len(logarithms))
