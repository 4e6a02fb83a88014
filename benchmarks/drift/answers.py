"""`python -m benchmarks answers`: what watches over scores, answers and actions find in the shop.

Twins are pinned at six moments, users spread over four partitions in eight ways. A minute or two.
"""

import argparse
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import md5
from itertools import groupby
from statistics import mean
from typing import Final

from benchmarks import shop
from benchmarks.drift.detectors import WARMUP_SCORES
from benchmarks.drift.shop_scores import (
    PARTITIONS,
    Visit,
    actions_of_visits,
    incident_at,
    moments,
)
from benchmarks.drift.streams import DAY_MS
from benchmarks.peers.report import table
from online_models.drift import ActionMix, AnswerDrift, RunLength, ScoreDrift, rest_of

PINS: Final = (2_000, 3_000, 4_500, 6_000, 8_000, 10_000)
"""Outcomes that the champion has learned."""
N_SPREADS: Final = 8
BUDGET: Final = shop.declared().drift.run_length()
BUG, PAYMENT = "checkout bug", "payment incident"
AFTERWARDS_MS: Final = 21 * DAY_MS
DRAWN: Final = 10 * int(BUDGET.amount)
"""Visits of one draw."""

Watch = Callable[[Visit], bool]
"""Takes in a visit, and tells whether it raises an alarm."""


def of_scores(run_length: RunLength, block: int = 1) -> Watch:
    """Watch what the twin says, by means of some visits."""
    drift = ScoreDrift(run_length.times(1 / block), warmup_scores=max(2, WARMUP_SCORES // block))
    scores: list[float] = []

    def watch(visit: Visit) -> bool:
        scores.append(visit.score)
        if len(scores) < block:
            return False
        mean_score = mean(scores)
        scores.clear()
        return drift.update(mean_score, visit.at_ms) is not None

    return watch


def of_answers(run_length: RunLength) -> Watch:
    """Watch what comes beside what the twin says."""
    drift = AnswerDrift(run_length, warmup=WARMUP_SCORES)

    def watch(visit: Visit) -> bool:
        rest = rest_of(visit.label, visit.score)
        return rest is not None and drift.update(rest, visit.at_ms) is not None

    return watch


def of_actions(run_length: RunLength) -> Watch:
    """Watch what users do."""
    mix = ActionMix(run_length, warmup=WARMUP_SCORES)

    def watch(visit: Visit) -> bool:
        alarms = [
            mix.update(action, visit.user_id, visit.at_ms, begins_visit=place == 0)
            for place, action in enumerate(visit.actions)
        ]
        return any(alarms)

    return watch


@dataclass(frozen=True, slots=True)
class Combination:
    """Detectors that share the budget: those of each partition, and those of all."""

    name: str
    of_each: tuple[Callable[[], Watch], ...] = ()
    of_all: tuple[Callable[[], Watch], ...] = ()

    def alarms(self, visits: Iterable[Visit], spread: int = 0) -> Iterator[int]:
        """Yield the event time of each alarm."""
        everywhere = [make() for make in self.of_all]
        by_partition: defaultdict[int, list[Watch]] = defaultdict(
            lambda: [make() for make in self.of_each]
        )
        for visit in visits:
            told = [watch(visit) for watch in everywhere]
            if self.of_each:
                partition = md5(f"{spread}/{visit.user_id}".encode()).digest()[0] % PARTITIONS
                told += [watch(visit) for watch in by_partition[partition]]
            yield from [visit.at_ms] * sum(told)


HALF: Final = BUDGET.times(2)
COMBINATIONS: Final = (
    Combination("scores by partition", (lambda: of_scores(BUDGET),)),
    Combination("scores of all, by means of ten", (), (lambda: of_scores(BUDGET, 10),)),
    Combination("answers", (), (lambda: of_answers(BUDGET),)),
    Combination(
        "scores by partition, and answers",
        (lambda: of_scores(HALF),),
        (lambda: of_answers(HALF),),
    ),
    Combination(
        "scores of all by means of ten, and answers",
        (),
        (lambda: of_scores(HALF, 10), lambda: of_answers(HALF)),
    ),
)


ACTIONS: Final = (
    Combination("actions", (lambda: of_actions(BUDGET),)),
    Combination(
        "actions, two fifths of the budget",
        (lambda: of_actions(shop.declared().drift.of_actions(PARTITIONS)),),
    ),
)
"""No twin has a part in these: they are watched since the history begins."""


def run(argv: Sequence[str]) -> int:
    """Measure, and print a table."""
    argparse.ArgumentParser(prog="python -m benchmarks answers", description=__doc__).parse_args(
        argv
    )
    visits = moments(PINS)
    rows = [row(each, list(visits.values())) for each in COMBINATIONS]
    did = [actions_of_visits()] * len(PINS)
    rows += [row(each, did) for each in ACTIONS]
    print(table_of(rows))
    return 0


def row(combination: Combination, by_pin: Sequence[Sequence[Visit]]) -> dict[str, str]:
    """Tell what a combination finds, and how often it cries wolf."""
    spreads = range(N_SPREADS if combination.of_each else 1)
    replays = [list(combination.alarms(visits, n)) for visits in by_pin for n in spreads]
    found = [{incident_at(at_ms) for at_ms in alarms} for alarms in replays]
    others = [[at for at in alarms if incident_at(at) not in (BUG, PAYMENT)] for alarms in replays]
    end_ms = max(at for at in (each.at_ms for each in by_pin[0]) if incident_at(at) == PAYMENT)
    n_others = mean(map(len, others))
    after = [[at for at in each if 0 < at - end_ms < AFTERWARDS_MS] for each in others]
    by_chance = [
        BUG in {incident_at(at) for at in combination.alarms(without_bug(visits, n), n)}
        for visits in by_pin[:4]
        for n in range(N_SPREADS)
    ]
    drawn = {
        length: mean(
            sum(1 for _ in combination.alarms(in_runs(visits, length, random.Random(seed))))
            / (DRAWN / BUDGET.amount)
            for visits in (by_pin[0], by_pin[3])
            for seed in (1, 2)
        )
        for length in (1, 7)
    }
    return {
        "watched": combination.name,
        BUG: f"{mean(BUG in each for each in found):.0%}",
        "had there been none": f"{mean(by_chance):.0%}",
        PAYMENT: f"{mean(PAYMENT in each for each in found):.0%}",
        "its end": f"{mean(bool(each) for each in after):.0%}",
        "at other times": f"{n_others - mean(map(len, after)):.1f}",
        "by days, of 1": f"{drawn[1]:.1f}",
        "by weeks, of 1": f"{drawn[7]:.1f}",
    }


def in_runs(visits: Sequence[Visit], length: int, rng: random.Random) -> Iterator[Visit]:
    """Draw runs of so many quiet days, and put them one after the other."""
    days = quiet_days(visits)
    today = n = 0
    while n < DRAWN:
        first = rng.randrange(len(days) - length + 1)
        for day in days[first : first + length]:
            for visit in day:
                n += 1
                yield visit._replace(at_ms=today * DAY_MS + visit.at_ms % DAY_MS)
            today += 1


def without_bug(visits: Sequence[Visit], seed: int) -> Iterator[Visit]:
    """Replace the days of the bug by weeks of quiet days."""
    rng, days = random.Random(seed), quiet_days(visits)
    week: list[list[Visit]] = []
    for date, day in groupby(visits, lambda each: each.at_ms // DAY_MS):
        some: Iterable[Visit] = day
        if incident_at(date * DAY_MS) == BUG:
            if not week:
                first = rng.randrange(len(days) - 6)
                week = days[first : first + 7]
            some = week.pop(0)
        for visit in some:
            yield visit._replace(at_ms=date * DAY_MS + visit.at_ms % DAY_MS)


def quiet_days(visits: Sequence[Visit]) -> list[list[Visit]]:
    """Leave out the days of known incidents."""
    return [
        list(day)
        for date, day in groupby(visits, lambda each: each.at_ms // DAY_MS)
        if incident_at(date * DAY_MS) is None
    ]


def table_of(rows: Sequence[dict[str, str]]) -> str:
    """Write a table."""
    return table({name: name for name in rows[0]}, rows)
