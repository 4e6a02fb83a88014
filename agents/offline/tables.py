"""The tables of the offline store: their columns, and how a record becomes a row."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import msgspec
import polars as pl

from schemas import topics
from schemas.labels import LabelValue
from schemas.outcomes import Outcome
from schemas.predictions import Prediction
from schemas.sketches import SketchMinute
from schemas.topics import Topic

PARTITION: Final = "_partition"
OFFSET: Final = "_offset"

_MOMENT: Final = pl.Datetime("ms", "UTC")
_TYPES: Final[Mapping[object, pl.DataType | type[pl.DataType]]] = {
    str: pl.String,
    int: pl.Int64,
    float: pl.Float64,
    bool: pl.Boolean,
    float | None: pl.Float64,
    LabelValue | None: pl.Boolean,
    list[str]: pl.List(pl.String),
    list[float]: pl.List(pl.Float64),
    list[bytes]: pl.List(pl.Binary),
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


def _table(
    topic: Topic,
    record: type[msgspec.Struct],
    row: Callable[[bytes], Row],
    *,
    more: Mapping[str, Any] = MappingProxyType({}),
) -> Table:
    """Make a table of a column for each field; `more` are columns that a row has behind those."""
    schema: dict[str, Any] = {
        field.name: _MOMENT if field.name in _MOMENTS else _column(field.type)
        for field in msgspec.structs.fields(record)
    }
    return Table(topic.name, topic, {**schema, **more, PARTITION: pl.Int32, OFFSET: pl.Int64}, row)


def _column(type_: object) -> pl.DataType | type[pl.DataType]:
    # Of the types of fields, those that are not listed are literals, words, and told as JSON.
    return _TYPES.get(type_, pl.String)


_decode_prediction: Final = msgspec.json.Decoder(Prediction).decode
_decode_sketches: Final = msgspec.json.Decoder(SketchMinute).decode
_decode_outcome: Final = msgspec.msgpack.Decoder(Outcome).decode


def _prediction(value: bytes) -> Row:
    prediction = _decode_prediction(value)
    row = msgspec.structs.astuple(prediction)
    scores = None if row[_SCORES] is None else msgspec.json.encode(row[_SCORES]).decode()
    return (*row[:_SCORES], scores, *row[_SCORES + 1 :])


def _sketches(value: bytes) -> Row:
    return msgspec.structs.astuple(_decode_sketches(value))


def _outcome(value: bytes) -> Row:
    """Give a label the column of its type: a table has one type in each.

    >>> outcome = Outcome("p", "garden", "ada", 0, 1, "rose", 0.5, "m_v1", 1, "s1", [1.0])
    >>> row = OUTCOMES.row(msgspec.msgpack.encode(outcome))
    >>> told = dict(zip(OUTCOMES.schema, row))
    >>> told["label"], told["label_class"], told["label_amount"]
    (None, 'rose', None)
    """
    row = msgspec.structs.astuple(_decode_outcome(value))
    label = row[_LABEL]
    return (
        *(*row[:_LABEL], label if isinstance(label, bool) else None, *row[_LABEL + 1 :]),
        label if isinstance(label, str) else None,
        label if isinstance(label, float) else None,
    )


_SCORES: Final = Prediction.__struct_fields__.index("scores")
_LABEL: Final = Outcome.__struct_fields__.index("label")
PREDICTIONS: Final = _table(topics.PREDICTIONS, Prediction, _prediction)
"""Of classes, `scores` is JSON: which classes there are differs from row to row."""
OUTCOMES: Final = _table(
    *(topics.OUTCOMES, Outcome, _outcome),
    more={"label_class": pl.String, "label_amount": pl.Float64},
)
"""Features as served, with what came of it: what models learn from."""
SKETCHES: Final = _table(topics.SKETCHES, SketchMinute, _sketches)
"""`online_models.sketch` reads `sketches`, one for each of `signals`."""

ALL: Final = (PREDICTIONS, OUTCOMES, SKETCHES)
