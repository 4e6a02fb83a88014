"""The training log out of the offline store: outcomes as `learn` was given them, in their order."""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Final

import msgspec
import polars as pl
from msgspec import NODEFAULT
from msgspec.structs import FieldInfo

from agents.offline.file_system import FileSystem
from agents.offline.manifests import Manifests, Range
from agents.offline.reader import EmptyTable, date_of, frames_of
from agents.offline.tables import OFFSET, OUTCOMES
from online_models.late_learners import At
from schemas.errors import ThalwegError
from schemas.outcomes import Outcome

_FIELDS: Final = msgspec.structs.fields(Outcome)
_LABEL: Final = Outcome.__struct_fields__.index("label")
_LABELS: Final = ("label", "label_class", "label_amount")


class TrainingLog:
    """What is archived of the log now; what is archived later is not looked at.

    Read file after file, so that it need not fit into memory. Where the topic was created anew, the
    store has several logs, whose offsets have nothing to do with each other: it is the one whose
    events reach furthest.

    Raises
    ------
    EmptyTable
        Nothing of it is in the store.
    """

    def __init__(self, files: FileSystem) -> None:
        self._files = files
        self._manifests = Manifests(files, OUTCOMES.name)
        logs = self._manifests.ranges()
        if not logs:
            raise EmptyTable(f"there are no `{OUTCOMES.name}` in {files.root}: does `archive` run?")
        newest = (
            next(iter(logs))
            if len(logs) == 1
            else max(logs, key=lambda each: self._last(logs[each]))
        )
        self._ranges = logs[newest]
        self.end: Final = self._ranges[-1].end
        """Offset after the last record."""

    @property
    def last_date(self) -> date | None:
        """Tell the last date of an event (UTC); `None`: there is none."""
        last = self._last(self._ranges)
        return date.fromisoformat(last) if last else None

    @property
    def n_missing(self) -> int:
        """Count the offsets before the end that nobody archived."""
        at = missing = 0
        for each in self._ranges:
            missing += max(0, each.start - at)
            at = max(at, each.end)
        return missing

    def _last(self, ranges: Sequence[Range]) -> str:
        manifests = self._manifests.read(ranges)
        return max((date_of(path) for each in manifests for path in each.files), default="")

    def __iter__(self) -> Iterator[At]:
        """Yield offset and outcome of each record, once.

        Raises
        ------
        ThalwegError
            A file cannot be read.
        """
        at = 0
        for each in self._ranges:
            try:
                for frame in frames_of(self._files, OUTCOMES.name, self._manifests.read([each])):
                    yield from outcomes(frame.filter(pl.col(OFFSET) >= at))
            except (OSError, pl.exceptions.PolarsError) as error:
                told = str(error).partition("\n")[0]
                raise ThalwegError(f"the archive cannot be read: {each.name}: {told}") from error
            at = max(at, each.end)


def outcomes(frame: pl.LazyFrame) -> Iterator[At]:
    """Make outcomes of rows again, in the order of their offsets.

    Columns that former releases did not write have the values that those meant.
    """
    columns = frame.collect_schema()
    chosen = [_column(field, columns) for field in _FIELDS if field.name != "label"]
    labels = [pl.col(name) if name in columns else pl.lit(None).alias(name) for name in _LABELS]
    rows = frame.sort(OFFSET).select(OFFSET, *labels, *chosen).collect()
    for offset, true_or_false, class_, amount, *others in rows.iter_rows():
        label = next((each for each in (true_or_false, class_, amount) if each is not None), None)
        others.insert(_LABEL, label)
        yield offset, Outcome(*others)


def _column(field: FieldInfo, columns: pl.Schema) -> pl.Expr:
    name = field.name
    default = None
    if not field.required:
        value = field.default if field.default_factory is NODEFAULT else field.default_factory()
        default = pl.lit(value, dtype=OUTCOMES.schema[name])
    if name not in columns and default is not None:
        return default.alias(name)
    column = pl.col(name)
    if columns[name] == OUTCOMES.schema["event_at"]:
        column = column.dt.epoch("ms")
    return column if default is None else column.fill_null(default)
