"""A data set of River's through a whole pipeline, in lockstep, as progressive validation asks for.

Each question is answered by a model that has learned exactly the answers which are due before it:
labels are published first, then what the model made of them is served, then the question comes.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, cast

import msgspec

from agents.pipeline import Pipeline
from agents.testing import PipelineDriver
from schemas.events import UserEvent
from schemas.predictions import Prediction
from schemas.tasks import LABELS, task_name
from streams.features import field_value
from streams.label_rule import reported_within
from tests.river_oracle.by_river import Row

STEP = timedelta(minutes=1)
"""Between two questions; longer than models wait to be published."""
NEVER = timedelta(days=10_000)


def field(column: str) -> str:
    """Name a column as a field of a record."""
    return "x_" + "".join(letter if letter.isalnum() else "_" for letter in column).lower()


def pipeline_of(columns: Iterable[Hashable], model: str) -> Pipeline:
    """Declare a pipeline whose features are the columns themselves."""
    fields = [field(str(column)) for column in columns]
    record = msgspec.defstruct(
        "Row", [(name, float | None, None) for name in fields], bases=(UserEvent,), gc=False
    )
    return Pipeline(
        use_case="river-oracle",
        event=cast(type[UserEvent], record),
        actions=frozenset({"ask"}),
        features=tuple(field_value(name) for name in fields),
        label=reported_within(NEVER, says=LABELS[task_name(model)][0]),
        champion=model,
    )


def event(n: int, x: Mapping[Hashable, Any], now_ms: int) -> dict[str, Any]:
    """Ask what a row's label is; each row is a user of its own."""
    asked = {"event_id": str(n), "user_id": f"u{n}", "action": "ask", "ts": now_ms}
    return asked | {field(str(column)): float(value) for column, value in x.items()}


def label(n: int, y: Any, now_ms: int) -> dict[str, Any]:
    """Tell a row's label."""
    return {"event_id": str(n), "user_id": f"u{n}", "label": y, "ts": now_ms}


def ask(rows: Sequence[Row], model: str, *, delay: int) -> list[Prediction]:
    """Ask one row after the other; each label becomes known so many rows later."""
    driver = PipelineDriver(pipeline_of(rows[0][0], model))
    for n, (x, y) in enumerate(rows):
        driver.advance(STEP)
        if delay and n >= delay:
            driver.label(label(n - delay, rows[n - delay][1], driver.now_ms))
        driver.publish(event(n, x, driver.now_ms))
        if not delay:
            driver.advance(STEP)
            driver.label(label(n, y, driver.now_ms))
    return driver.predictions
