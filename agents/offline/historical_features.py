"""Features as they were at a point in time: for training, without a look into the future."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import polars as pl

from schemas.errors import ThalwegError
from streams.entities import USER_KEY

EVENT_AT: Final = "event_at"
FEATURES_AT: Final = "feature_timestamp"
_ROW: Final = "_row"
_BEFORE: Final = "_before"
_CAME_AT: Final = "_came_at"
_OURS: Final = (FEATURES_AT, _ROW, _BEFORE, _CAME_AT)
"""Columns of the answer, or of the way to it."""


class InvalidRequest(ThalwegError, ValueError):
    """What features are asked for cannot be answered; the message names the column."""


def get_historical_features(
    entities: pl.DataFrame,
    features: pl.LazyFrame,
    *,
    at: str = "event_timestamp",
    by: Sequence[str] = (USER_KEY,),
    max_age: timedelta | None = None,
) -> pl.DataFrame:
    """Join each row with its entity's features as of the latest event before the row's moment.

    An event at that very moment does not count: whoever decides then cannot know of it yet. Nor
    does one of the same unit of time, where the moments of rows are finer than the table's: the
    table, whose times are cut to whole milliseconds, cannot tell which of both came first.
    Features are as of that event, as they are in the online store; `feature_timestamp` tells when
    it was. Who did nothing before has nulls.

    Parameters
    ----------
    entities
        Rows with the entity's key and a moment; further columns, such as labels, are kept, and so
        are the moments. Keys become text.
    features
        A table of features (`agents.offline.backfill`), or the outcomes' as served.
    at
        The column of `entities` with the moment, in UTC unless it says otherwise.
    by
        The columns of both that name the entity: the user, or the key of another one.
    max_age
        Features of a user who did nothing for longer are taken for missing.

    Raises
    ------
    InvalidRequest
        Names a column that is missing, of the wrong type, in both tables, or of a name that is
        taken.

    Examples
    --------
    >>> moments = pl.Series([10, 20]).cast(pl.Datetime("ms", "UTC"))
    >>> features = pl.LazyFrame({"user_id": ["ada"] * 2, "event_at": moments, "clicks": [1, 2]})
    >>> asked = pl.DataFrame(
    ...     {"user_id": ["ada"] * 3, "event_timestamp": pl.Series([10, 20, 21]).cast(moments.dtype)}
    ... )
    >>> get_historical_features(asked, features)["clicks"].to_list()
    [None, 1, 2]
    """
    columns = features.collect_schema()
    asked_at = _moments(entities.schema, "rows", at, by)
    precision = _moments(columns, "features", EVENT_AT, by).time_unit
    both = set(entities.columns) & (columns.keys() - set(by))
    if both:
        raise InvalidRequest(f"`{min(both)}` is a column of the rows and of the features")
    moment = pl.col(at)
    if asked_at.time_zone is None:
        moment = moment.dt.replace_time_zone("UTC")
    joined = (
        entities.lazy()
        .with_columns(
            pl.col(*by).cast(pl.String),
            moment.dt.convert_time_zone("UTC").dt.cast_time_unit(precision).alias(_BEFORE),
        )
        .with_row_index(_ROW)
        .sort(_BEFORE, maintain_order=True)
        .join_asof(
            features.with_columns(pl.col(EVENT_AT).alias(FEATURES_AT))
            .sort(EVENT_AT, maintain_order=True)
            .rename({EVENT_AT: _CAME_AT})
            .cast({_CAME_AT: pl.Datetime(precision, "UTC")}),
            left_on=_BEFORE,
            right_on=_CAME_AT,
            by=list(by),
            strategy="backward",
            tolerance=max_age,
            allow_exact_matches=False,
            # Each side was sorted just now; within a user nothing is left to look at.
            check_sortedness=False,
        )
        .sort(_ROW)
        .drop(_ROW, _BEFORE, _CAME_AT, strict=False)
    )
    return joined.collect()


def _moments(columns: pl.Schema, of: str, at: str, by: Sequence[str]) -> pl.Datetime:
    """Tell how a table keeps its moments; refuse one that cannot be joined."""
    for column in (*by, at):
        if column not in columns:
            raise InvalidRequest(f"the {of} lack the column `{column}`")
    for column in _OURS:
        if column in columns:
            raise InvalidRequest(
                f"the {of} have a column `{column}`, as the answer has: give it another name"
            )
    moments = columns[at]
    if not isinstance(moments, pl.Datetime):
        raise InvalidRequest(f"`{at}` holds {moments}, not moments")
    return moments
