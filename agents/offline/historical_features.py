"""Features as they were at a point in time: for training, without a look into the future."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import polars as pl

from schemas.errors import ThalwegError
from streams.entities import USER_KEY

EVENT_AT: Final = "event_at"
_ROW: Final = "_row"
_FINE: Final = pl.Datetime("us", "UTC")
"""Fine enough to tell whether an event came before a moment, whatever either is kept in."""


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

    An event at that very moment does not count: whoever decides then cannot know of it yet.
    Features are as of that event, as they are in the online store; `feature_timestamp` tells when
    it was. Who did nothing before has nulls.

    Parameters
    ----------
    entities
        Rows with the entity's key and a moment; further columns, such as labels, are kept.
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
        Names a column that is missing, of the wrong type, or in both tables.

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
    asked = _checked(entities, features, at, by)
    joined = (
        asked.lazy()
        .with_row_index(_ROW)
        .sort(at, maintain_order=True)
        .join_asof(
            features.with_columns(pl.col(EVENT_AT).alias("feature_timestamp"))
            .sort(EVENT_AT, maintain_order=True)
            .rename({EVENT_AT: _ROW + EVENT_AT})
            .cast({_ROW + EVENT_AT: _FINE}),
            left_on=at,
            right_on=_ROW + EVENT_AT,
            by=list(by),
            strategy="backward",
            tolerance=max_age,
            allow_exact_matches=False,
            # Each side was sorted just now; within a user nothing is left to look at.
            check_sortedness=False,
        )
        .sort(_ROW)
        .drop(_ROW, _ROW + EVENT_AT, strict=False)
    )
    return joined.collect()


def _checked(
    entities: pl.DataFrame, features: pl.LazyFrame, at: str, by: Sequence[str]
) -> pl.DataFrame:
    for column in (*by, at):
        if column not in entities.columns:
            raise InvalidRequest(f"the rows lack the column `{column}`")
    both = set(entities.columns) & (set(features.collect_schema().names()) - set(by))
    if both:
        raise InvalidRequest(f"`{min(both)}` is a column of the rows and of the features")
    moments = entities.schema[at]
    if not isinstance(moments, pl.Datetime):
        raise InvalidRequest(f"`{at}` holds {moments}, not moments")
    in_utc = pl.col(at).dt.replace_time_zone("UTC")
    if moments.time_zone is not None:
        in_utc = pl.col(at).dt.convert_time_zone("UTC")
    return entities.with_columns(pl.col(*by).cast(pl.String), in_utc.cast(_FINE))
