"""The tables of the offline store: their columns, and how a record becomes a row."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import polars as pl

from schemas import topics
from schemas.outcomes import Outcome
from schemas.predictions import Prediction
from schemas.topics import Topic

PARTITION: Final = "_partition"
OFFSET: Final = "_offset"

_MOMENT: Final = pl.Datetime("ms", "UTC")
_TYPES: Final[Mapping[object, pl.DataType | type[pl.DataType]]] = {
    str: pl.String,
    int: pl.Int64,
    float: pl.Float64,
    bool: pl.Boolean,
    list[str]: pl.List(pl.String),
    list[float]: pl.List(pl.Float64),
}
_MOMENTS: Final = frozenset({"event_at", "published_at", "predicted_at", "labelled_at"})

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """One table.

    Parameters
    ----------
    name
        What it is called in the store: its topic's name, whatever the environment's prefix.
    topic
        What it is made of.
    schema
        Its columns; the last two tell which record a row was.
    row
        Turns a record's value into the columns before those; raises `msgspec.MsgspecError`.
    """

    name: str
    topic: Topic
    schema: Mapping[str, Any]
    row: Callable[[bytes], Row]

    @property
    def event_at(self) -> int:
        """Which column tells the event time, in ms: the date that a row is filed under."""
        return list(self.schema).index("event_at")


def _table(topic: Topic, record: type[msgspec.Struct], decode: Callable[[bytes], Any]) -> Table:
    schema: dict[str, Any] = {
        field.name: _MOMENT if field.name in _MOMENTS else _column(field.type)
        for field in msgspec.structs.fields(record)
    }
    return Table(
        topic.name,
        topic,
        schema | {PARTITION: pl.Int32, OFFSET: pl.Int64},
        lambda value: msgspec.structs.astuple(decode(value)),
    )


def _column(type_: object) -> pl.DataType | type[pl.DataType]:
    # Of the types of fields, only literals are not listed: words.
    return _TYPES.get(type_, pl.String)


PREDICTIONS: Final = _table(topics.PREDICTIONS, Prediction, msgspec.json.Decoder(Prediction).decode)
OUTCOMES: Final = _table(topics.OUTCOMES, Outcome, msgspec.msgpack.Decoder(Outcome).decode)
"""Features as served, with what came of it: what models learn from."""

ALL: Final = (PREDICTIONS, OUTCOMES)
