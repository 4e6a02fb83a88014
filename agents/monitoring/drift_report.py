"""A page of drift, by Evidently, from the outcomes of the offline store."""

import importlib
import os
import re
from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Final, NamedTuple

import msgspec
import polars as pl

from agents.offline import tables
from agents.offline.file_system import FileSystem
from agents.offline.reader import EmptyTable, scan
from agents.pipeline import Pipeline
from schemas.errors import ThalwegError
from schemas.sketches import SCORE

INSTALL: Final = "pip install -e '.[evidently]'"
MOST_ROWS: Final = 50_000
"""Of either side: every so many-th row is taken, so that they are no more."""
FEWEST_ROWS: Final = 30


class NoReport(ThalwegError, RuntimeError):
    """There is nothing to report with, or of."""


class InvalidSpan(ThalwegError, ValueError):
    """A span of time that is none."""


class Written(msgspec.Struct, frozen=True):
    """What was compared."""

    path: str
    first: str
    """Date of the oldest outcome of those that are held against the ones before."""
    last: str
    rows: int
    reference_rows: int
    left_out: list[str]
    """Features without a value on either side."""


class Gathered(NamedTuple):
    """Two samples with the same columns: the score and each feature."""

    reference: pl.DataFrame
    recent: pl.DataFrame
    left_out: list[str]
    first: str
    last: str


def days(text: str) -> timedelta:
    """Read a span of whole days.

    >>> days("7d").days
    7
    >>> days("a week")
    Traceback (most recent call last):
        ...
    agents.monitoring.drift_report.InvalidSpan: --since: `a week` is no number of days such as 7d
    """
    if (found := re.fullmatch(r"([1-9][0-9]{0,3})d", text)) is None:
        raise InvalidSpan(f"--since: `{text}` is no number of days such as 7d")
    return timedelta(days=int(found[1]))


def load() -> ModuleType:
    """Import Evidently.

    Raises
    ------
    NoReport
        It is not installed; says how it is.
    """
    os.environ.setdefault("DO_NOT_TRACK", "1")
    try:
        return importlib.import_module("evidently")
    except ModuleNotFoundError as error:
        raise NoReport(f"the report takes Evidently, the extra `evidently`: {INSTALL}") from error


def gather(files: FileSystem, declared: Pipeline, span: timedelta) -> Gathered:
    """Read the outcomes of the last days, and those of as many before.

    Raises
    ------
    EmptyTable
        There are no outcomes.
    NoReport
        There are too few of the pipeline's features, in one of the spans.
    """
    compiled = declared.compiled()
    outcomes = scan(files, tables.OUTCOMES.name).filter(
        (pl.col("use_case") == declared.use_case) & (pl.col("schema") == compiled.schema)
    )
    newest = outcomes.select(pl.col("event_at").max()).collect().item()
    if newest is None:
        raise EmptyTable(f"no outcome in {files.root} has the features that are declared now")
    begin = newest - span
    names = compiled.names
    columns = [pl.col("score").alias(SCORE)] + [
        pl.col("features").list.get(index).alias(name) for index, name in enumerate(names)
    ]

    def between(first: datetime, last: datetime) -> pl.DataFrame:
        at = pl.col("event_at")
        rows = outcomes.filter((at > first) & (at <= last)).sort(tables.PARTITION, tables.OFFSET)
        found = rows.select(columns).collect()
        if found.height < FEWEST_ROWS:
            raise NoReport(
                f"{found.height} outcomes after {first:%Y-%m-%d %H:%M} until {last:%Y-%m-%d %H:%M}"
                f" are too few to compare: choose a longer --since"
            )
        return found.gather_every(-(-found.height // MOST_ROWS)).fill_nan(None)

    recent, reference = between(begin, newest), between(begin - span, begin)
    left_out = [
        name
        for name in names
        if any(each[name].null_count() == each.height for each in (recent, reference))
    ]
    return Gathered(
        reference.drop(left_out),
        recent.drop(left_out),
        left_out,
        f"{begin:%Y-%m-%d}",
        f"{newest:%Y-%m-%d}",
    )


def write(evidently: ModuleType, found: Gathered, path: Path) -> Written:
    """Let Evidently write its page of how much each column moved."""
    pandas = importlib.import_module("pandas")
    presets = importlib.import_module("evidently.presets")
    recent, reference = (
        pandas.DataFrame(frame.to_dict(as_series=False))
        for frame in (found.recent, found.reference)
    )
    page = evidently.Report([presets.DataDriftPreset()]).run(recent, reference)
    page.save_html(str(path))
    return Written(str(path), found.first, found.last, len(recent), len(reference), found.left_out)
