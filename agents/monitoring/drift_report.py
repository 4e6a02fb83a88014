"""A page of drift, by Evidently, from the outcomes of the offline store."""

import importlib
import logging
import os
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
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

logger = logging.getLogger(__name__)

INSTALL: Final = "pip install -e '.[evidently]'"
MOST_ROWS: Final = 50_000
"""Of either side: every so many-th row is taken, so that they are no more."""
FEWEST_ROWS: Final = 30
WEEKS: Final = 4
"""How far back pages are written that are missing."""
_WEEK: Final = timedelta(days=7)
_MS: Final = timedelta(milliseconds=1)


class NoReport(ThalwegError, RuntimeError):
    """There is nothing to report with, or of."""


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


def gather(
    files: FileSystem, declared: Pipeline, span: timedelta, *, end: datetime | None = None
) -> Gathered:
    """Read the outcomes of some days, and those of as many before.

    Parameters
    ----------
    end
        Of the days; by default, when the newest outcome's event was.

    Raises
    ------
    EmptyTable
        There are no outcomes.
    NoReport
        There are too few of the pipeline's features, in one of the spans.
    """
    outcomes = _outcomes(files, declared)
    newest = _newest(files, outcomes) if end is None else end
    begin = newest - span
    names = declared.compiled().names
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
        f"{newest - _MS:%Y-%m-%d}",
    )


def weeks_over(newest: datetime) -> list[datetime]:
    """Tell the ends of the last weeks that are over, Mondays at 0:00 UTC, oldest first.

    >>> [each.isoformat()[:10] for each in weeks_over(datetime(2024, 4, 10, 12, tzinfo=UTC))]
    ['2024-03-18', '2024-03-25', '2024-04-01', '2024-04-08']
    """
    midnight = newest.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    monday = midnight - timedelta(days=midnight.weekday())
    return [monday - n * _WEEK for n in reversed(range(WEEKS))]


def page_of(end: datetime) -> str:
    """Name the page of the week that ends then.

    >>> page_of(datetime(2024, 4, 8, tzinfo=UTC))
    'drift-2024-W14.html'
    """
    return f"drift-{end - timedelta(days=1):%G-W%V}.html"


def missing_weeks(
    files: FileSystem, declared: Pipeline, directory: Path
) -> Iterator[tuple[Gathered, Path]]:
    """Read the last weeks that are over and have no page in a directory; raises as `gather` does.

    A week is over when its labels are known: before their horizon ends, only what came true has
    outcomes. One with too few, or with too few in the week before, has no page.
    """
    known_until = _newest(files, _outcomes(files, declared)) - declared.label.horizon
    for end in weeks_over(known_until):
        path = directory / page_of(end)
        if path.exists():
            continue
        try:
            yield gather(files, declared, _WEEK, end=end), path
        except NoReport as error:
            logger.info("%s is not written: %s", path, error)


def write(evidently: ModuleType, found: Gathered, path: Path) -> Written:
    """Let Evidently write its page of how much each column moved."""
    pandas = importlib.import_module("pandas")
    presets = importlib.import_module("evidently.presets")
    recent, reference = (
        pandas.DataFrame(frame.to_dict(as_series=False))
        for frame in (found.recent, found.reference)
    )
    with warnings.catch_warnings():
        # A column that is always the same has no correlation with others; numpy says so each time.
        warnings.simplefilter("ignore", RuntimeWarning)
        page = evidently.Report([presets.DataDriftPreset()]).run(recent, reference)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}")
    page.save_html(str(unfinished))
    unfinished.replace(path)
    return Written(str(path), found.first, found.last, len(recent), len(reference), found.left_out)


def _outcomes(files: FileSystem, declared: Pipeline) -> pl.LazyFrame:
    return scan(files, tables.OUTCOMES.name).filter(
        (pl.col("use_case") == declared.use_case) & (pl.col("schema") == declared.compiled().schema)
    )


def _newest(files: FileSystem, outcomes: pl.LazyFrame) -> datetime:
    newest = outcomes.select(pl.col("event_at").max()).collect().item()
    if not isinstance(newest, datetime):
        raise EmptyTable(f"no outcome in {files.root} has the features that are declared now")
    return newest
