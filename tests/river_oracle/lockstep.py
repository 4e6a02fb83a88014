"""A data set of River's through a whole pipeline, in lockstep, as progressive validation asks for.

Each question is answered by a model that has learned exactly the answers which are due before it:
labels are published first, then what the model made of them is served, then the question comes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
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

STEP = timedelta(minutes=1)
"""Between two questions; longer than models wait to be published."""
NEVER = timedelta(days=10_000)


@dataclass
class Answered:
    """What the pipeline said to each question."""

    predictions: list[Prediction]

    @property
    def scores(self) -> list[float]:
        return [each.score for each in self.predictions]

    @property
    def decisions(self) -> list[bool]:
        return [each.decision for each in self.predictions]

    @property
    def versions(self) -> list[int]:
        return [each.model_version for each in self.predictions]


def field(column: str) -> str:
    """Name a column as a field of a record."""
    return "x_" + "".join(letter if letter.isalnum() else "_" for letter in column).lower()


def pipeline_of(columns: Iterable[str], model: str) -> Pipeline:
    """Declare a pipeline whose features are the columns themselves."""
    fields = [field(column) for column in columns]
    record = msgspec.defstruct(
        "Row", [(name, float | None, None) for name in fields], bases=(UserEvent,), gc=False
    )
    return Pipeline(
        use_case="river-oracle",
        event=cast(type[UserEvent], record),
        actions=frozenset({"ask"}),
        features=tuple(field_value(name) for name in fields),
        label=reported_within(NEVER, says=LABELS[task_name(model)]),
        champion=model,
    )


def ask(rows: Iterable[tuple[Mapping[str, Any], Any]], model: str, *, delay: int) -> Answered:
    """Ask one row after the other; each label becomes known so many rows later."""
    rows = list(rows)
    driver = PipelineDriver(pipeline_of(rows[0][0], model))

    def answer(n: int) -> None:
        label = {"event_id": str(n), "user_id": f"u{n}", "label": rows[n][1], "ts": driver.now_ms}
        driver.label(label)

    for n, (x, _) in enumerate(rows):
        driver.advance(STEP)
        if delay and n >= delay:
            answer(n - delay)
        event = {"event_id": str(n), "user_id": f"u{n}", "action": "ask", "ts": driver.now_ms}
        driver.publish(event | {field(column): float(value) for column, value in x.items()})
        if not delay:
            driver.advance(STEP)
            answer(n)
    return Answered(driver.predictions)
