"""The scores that predict watches while the shop's history is replayed: one per visit."""

from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Final
from zlib import crc32

from agents.observability import metric_list
from agents.testing.pipeline_driver import PipelineDriver
from benchmarks import shop
from benchmarks.drift.streams import DAY_MS, Scored

PARTITIONS: Final = 4
_MS: Final = timedelta(milliseconds=1)
_STEP_MS: Final = 6 * 3_600_000
"""Event time that is published at once: so often models are exchanged."""


def watched() -> list[Scored]:
    """Replay the history through the whole pipeline, learning included; a quarter of a minute."""
    pipeline, events = shop.declared(), shop.history()
    start = datetime.fromtimestamp(events[0].ts / 1_000, UTC)
    driver = PipelineDriver(pipeline, partitions=PARTITIONS, start=start)
    warm_from_ms: int | None = None
    for _, some in groupby(events, lambda event: event.ts // _STEP_MS):
        step = list(some)
        driver.now_ms = step[-1].ts
        for event in step:
            driver.append(event.value, key=event.key)
        driver.process()
        if warm_from_ms is None and _n_outcomes(driver) >= pipeline.drift.model_warmup_outcomes:
            warm_from_ms = driver.now_ms
    if warm_from_ms is None:
        raise SystemExit("the shop's history is too short for its own drift policy")

    gap_ms = pipeline.drift.visit_gap // _MS
    last_ms: dict[str, int] = {}
    found = []
    for each in sorted(driver.predictions, key=lambda each: each.event_at):
        began = each.event_at - last_ms.get(each.user_id, -gap_ms) >= gap_ms
        last_ms[each.user_id] = each.event_at
        if began and each.source == "model" and each.event_at >= warm_from_ms:
            partition = crc32(each.user_id.encode()) % PARTITIONS
            found.append(Scored(each.score, each.event_at, partition))
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


def _n_outcomes(driver: PipelineDriver) -> float:
    counter = driver.metrics.counter
    return sum(
        counter(metric_list.OUTCOMES, label=label).value or 0.0 for label in ("true", "false")
    )
