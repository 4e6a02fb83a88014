"""A pipeline that tells classes apart."""

from datetime import timedelta

from agents.pipeline import Pipeline
from schemas.events import UserEvent
from streams.features import field_value
from streams.label_rule import reported_within

PIPELINE = Pipeline(
    use_case="garden",
    event=UserEvent,
    actions=frozenset({"see"}),
    features=(field_value("amount"),),
    label=reported_within(timedelta(hours=1), says=str),
    champion="multiclass_softmax_v1",
)
