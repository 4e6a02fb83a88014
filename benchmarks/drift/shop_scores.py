"""The scores of visits while the shop's history is replayed: the champion's, and its twin's."""

from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Final, NamedTuple
from zlib import crc32

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
    pipeline, events = shop.declared(), shop.history()
    start = datetime.fromtimestamp(events[0].ts / 1_000, UTC)
    driver = PipelineDriver(pipeline, partitions=PARTITIONS, start=start)
    twin, pinned_at_ms = twin_of(pipeline.champion), 0
    for _, some in groupby(events, lambda event: event.ts // _STEP_MS):
        step = list(some)
        driver.now_ms = step[-1].ts
        for event in step:
            driver.append(event.value, key=event.key)
        driver.process()
        if not pinned_at_ms and driver.in_service(twin) is not None:
            pinned_at_ms = driver.now_ms
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


def quiet_days(scores: list[Scored]) -> list[list[Scored]]:
    """Leave out the days of known incidents."""
    return [
        list(day)
        for date, day in groupby(scores, lambda each: each.at_ms // DAY_MS)
        if incident_at(date * DAY_MS) is None
    ]


def incident_at(at_ms: int) -> str | None:
    """Name what is known to have happened then."""
    day = datetime.fromtimestamp(at_ms / 1_000, UTC).date()
    incidents = shop.declared().incidents
    return next((each.name for each in incidents if each.first <= day <= each.last), None)
