"""The scores of visits while the shop's history is replayed: the champion's, and its twin's."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Final, NamedTuple
from zlib import crc32

import msgspec

from agents.prediction.served_models import Served
from agents.testing.pipeline_driver import PipelineDriver
from benchmarks import shop
from benchmarks.drift.datasets import Dataset, of_shop
from benchmarks.drift.streams import DAY_MS, Scored
from online_models.twin import twin_of
from schemas.alerts import Alert

PARTITIONS: Final = 4
_MS: Final = timedelta(milliseconds=1)
_STEP_MS: Final = 6 * 3_600_000
"""Event time that is published at once: so often models are exchanged."""


class Visit(NamedTuple):
    """The first event of a visit, once its label is known."""

    at_ms: int
    user_id: str
    score: float
    """Of the twin."""
    label: bool
    actions: tuple[str, ...] = ()
    """All of the visit, each once; told by `actions_of_visits` alone."""


class Visits(NamedTuple):
    """The first score of each visit since there is a twin, whose scores are watched."""

    champion: list[Scored]
    twin: list[Scored]
    alerts: list[Alert]
    """That `predict` raised."""
    outcomes: Dataset
    """All that was learned from, since the history begins."""


def watched() -> Visits:
    """Replay the history through the whole pipeline, learning included; half a minute."""
    pipeline, driver = shop.declared(), _driver()
    twin, pinned_at_ms = twin_of(pipeline.champion), 0
    for now_ms in _steps(driver):
        if not pinned_at_ms and driver.in_service(twin) is not None:
            pinned_at_ms = now_ms
    if (pinned := driver.in_service(twin)) is None:
        raise SystemExit("the shop's history is too short for its own drift policy")
    names = pipeline.compiled().names
    served = {each.prediction_id: each.features for each in driver.outcomes}

    gap_ms = pipeline.drift.visit_gap // _MS
    last_ms: dict[str, int] = {}
    found = Visits(
        *([], []),
        [each for each in driver.alerts if each.kind == "drift"],
        of_shop(pipeline.champion, names, driver.outcomes),
    )
    for each in sorted(driver.predictions, key=lambda each: each.event_at):
        began = each.event_at - last_ms.get(each.user_id, -gap_ms) >= gap_ms
        last_ms[each.user_id] = each.event_at
        features = served.get(each.prediction_id)  # none: its label is not known in the end
        if began and each.event_at > pinned_at_ms and features is not None:
            partition = crc32(each.user_id.encode()) % PARTITIONS
            of_twin = pinned.scorer.score(dict(zip(names, features, strict=True)))
            found.champion.append(Scored(each.score, each.event_at, partition))
            found.twin.append(Scored(of_twin, each.event_at, partition))
    return found


def moments(pins: Sequence[int]) -> dict[int, list[Visit]]:
    """Replay the history, and tell of each moment of pinning what its twin says of later visits.

    In the order of their events; labels become known half an hour later at most.

    Parameters
    ----------
    pins
        Outcomes that the champion has learned by then.
    """
    pipeline, driver = shop.declared(), _driver()
    pinned: dict[int, tuple[int, Served]] = {}
    for now_ms in _steps(driver):
        champion = driver.in_service(pipeline.champion)
        for n in pins:
            if n not in pinned and champion is not None and champion.scorer.n_learned >= n:
                pinned[n] = now_ms, champion
    names = pipeline.compiled().names
    begun = [each for each in driver.outcomes if each.begins_visit]
    begun.sort(key=lambda each: each.event_at)
    return {
        n: [
            Visit(
                *(each.event_at, each.user_id),
                twin.scorer.score(dict(zip(names, each.features, strict=True))),
                bool(each.label),
            )
            for each in begun
            if each.event_at > pinned_at_ms
        ]
        for n, (pinned_at_ms, twin) in pinned.items()
    }


def quiet_days(scores: list[Scored]) -> list[list[Scored]]:
    """Leave out the days of known incidents."""
    return [
        list(day)
        for date, day in groupby(scores, lambda each: each.at_ms // DAY_MS)
        if incident_at(date * DAY_MS) is None
    ]


def actions_of_visits() -> list[Visit]:
    """List all visits of the history, by what was done in them; nothing is scored."""
    gap_ms = shop.declared().drift.visit_gap // _MS
    last_ms: dict[str, int] = {}
    began_ms: dict[str, int] = {}
    actions: dict[tuple[int, str], dict[str, None]] = {}
    for each in shop.history():
        event = msgspec.json.decode(each.value)
        user_id = str(event["user_id"])
        if each.ts - last_ms.get(user_id, -gap_ms) >= gap_ms:
            began_ms[user_id] = each.ts
        last_ms[user_id] = each.ts
        actions.setdefault((began_ms[user_id], user_id), {})[event["action"]] = None
    return [Visit(*visit, 0.0, False, tuple(each)) for visit, each in sorted(actions.items())]


def _driver() -> PipelineDriver:
    start = datetime.fromtimestamp(shop.history()[0].ts / 1_000, UTC)
    return PipelineDriver(shop.declared(), partitions=PARTITIONS, start=start)


def _steps(driver: PipelineDriver) -> Iterator[int]:
    """Publish the history step by step; yield the time by then."""
    for _, some in groupby(shop.history(), lambda event: event.ts // _STEP_MS):
        step = list(some)
        driver.now_ms = step[-1].ts
        for event in step:
            driver.append(event.value, key=event.key)
        driver.process()
        yield driver.now_ms


def incident_at(at_ms: int) -> str | None:
    """Name what is known to have happened then."""
    day = datetime.fromtimestamp(at_ms / 1_000, UTC).date()
    incidents = shop.declared().incidents
    return next((each.name for each in incidents if each.first <= day <= each.last), None)
