"""The pipeline's own past, as its drift detectors would have seen it: scores of visits, by day."""

from datetime import date, timedelta
from typing import Final, NamedTuple
from zlib import crc32

import polars as pl

from agents import key_files
from agents.deployments import log, version_snapshots
from agents.kafka.client_settings import KafkaSettings
from agents.offline import tables
from agents.offline.file_system import FileSystem
from agents.offline.reader import scan
from agents.pipeline import Pipeline
from agents.settings import Settings
from online_models.drift.resampling import DAY_MS, Scored
from online_models.ensemble import EnsembleScorer
from online_models.scorer import Scores
from online_models.signing import Verifier
from online_models.snapshot import decode_servable, environment_of
from schemas import topics
from schemas.errors import ThalwegError

LENGTHS: Final = (1, 7)
"""Of the runs that are drawn, in days."""
FEWEST_DAYS: Final = 14
MOST_VISITS: Final = 200_000
"""Of more, those of every so-many-th user are looked at."""


_EPOCH: Final = date(1970, 1, 1)


class TooLittle(ThalwegError, LookupError):
    """There is not enough of a past to say anything."""


class Instrument(NamedTuple):
    """What is watched: a twin, or before there ever was one, the champion's own scores."""

    name: str
    scorer: Scores | EnsembleScorer | None
    after: int
    """Offset of the last outcome it learned; what came before is what it was made of."""


class Past(NamedTuple):
    """Visits, by day, without the days of known incidents."""

    instrument: str
    visits: int
    days: list[list[Scored]]
    incident_days: int
    share: float
    """Part of the users whose visits these are."""


def past(settings: Settings, declared: Pipeline) -> Past:
    """Read the visits that are archived since there is a twin, and score them with it.

    Raises
    ------
    EmptyTable
        Nothing is archived.
    TooLittle
        Fewer than `FEWEST_DAYS` days are.
    SnapshotRefused
        The twin cannot be read here.
    """
    return past_of(
        FileSystem(settings.offline_store),
        declared,
        _instrument(settings, declared),
        settings.partitions,
    )


def past_of(
    files: FileSystem, declared: Pipeline, instrument: Instrument, n_partitions: int
) -> Past:
    """Do so with an instrument; raises likewise."""
    visits = _visits(files, declared, instrument.after)
    share = 1.0
    while visits.height * share > MOST_VISITS:
        share /= 2
    by_day: dict[int, list[Scored]] = {}
    names = declared.compiled().names
    for user, at_ms, score, features in visits.iter_rows():
        hashed = crc32(user.encode())
        if hashed % (1 << 16) >= share * (1 << 16):
            continue
        if instrument.scorer is not None:
            score = instrument.scorer.score(dict(zip(names, features, strict=True)))  # noqa: PLW2901
        by_day.setdefault(at_ms // DAY_MS, []).append(Scored(score, at_ms, hashed % n_partitions))
    quiet = [by_day[day] for day in sorted(by_day) if not _had_incident(declared, day)]
    if len(quiet) < FEWEST_DAYS:
        since = f" that {instrument.name} did not learn" if instrument.after >= 0 else ""
        raise TooLittle(
            f"{files.root} has visits of {len(quiet)} quiet days{since}: at least {FEWEST_DAYS} are"
            " needed"
        )
    return Past(instrument.name, sum(map(len, quiet)), quiet, len(by_day) - len(quiet), share)


def _instrument(settings: Settings, declared: Pipeline) -> Instrument:
    twin = log.read(settings, declared.use_case).registry.roles(declared.models).twin
    kafka = KafkaSettings(bootstrap=settings.kafka_bootstrap, group=f"{settings.topic_prefix}drift")
    blob = version_snapshots.read(kafka, topics.MODELS.named(settings.topic_prefix), twin)
    if blob is None:
        return Instrument(declared.champion, None, -1)
    snapshot = decode_servable(
        blob,
        Verifier(key_files.trusted_keys(settings)),
        model=twin,
        schema=declared.compiled().schema,
        target=declared.label.target,
        environment=environment_of(settings.topic_prefix, declared.use_case),
    )
    return Instrument(twin, snapshot.scorer, snapshot.manifest.through)


def _visits(files: FileSystem, declared: Pipeline, after: int) -> pl.DataFrame:
    """Read the first outcome of each visit, in the order of event time."""
    away = pl.col("event_at").diff().over("user_id")
    outcomes = scan(files, tables.OUTCOMES.name).filter(
        (pl.col("use_case") == declared.use_case)
        & (pl.col("schema") == declared.compiled().schema)
        & (pl.col(tables.OFFSET) > after)
    )
    return (
        outcomes.select("user_id", "event_at", "score", "features")
        .sort("event_at", maintain_order=True)
        .filter(away.is_null() | (away >= pl.lit(declared.drift.visit_gap)))
        .with_columns(pl.col("event_at").dt.epoch("ms"))
        .collect()
    )


def _had_incident(declared: Pipeline, day: int) -> bool:
    date = _EPOCH + timedelta(days=day)
    return any(each.first <= date <= each.last for each in declared.incidents)
