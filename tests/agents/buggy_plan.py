"""A plan of predict with a bug that some events meet."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from agents.observability.metrics import Metrics
from agents.pipeline import Pipeline
from agents.prediction.predict_plan import PredictPlan
from examples.shop.pipeline import PIPELINE
from schemas.events import UserEvent
from streams.fold_state import UserState

if TYPE_CHECKING:
    from agents.observability.spans import Tracer

STAGES = ("reading", "features", "prediction", "feature update")
"""Where a record makes the code raise; the last is found out when its batch ends."""


class Bug(Exception):
    """What nobody thought of."""


class BuggyPlan(PredictPlan):
    """A plan with code that some events make raise.

    Parameters
    ----------
    stage_of
        Tells where, from the event's id; for the last stage, from the user of all such events.
    """

    def __init__(
        self,
        stage_of: Callable[[str], str | None],
        *,
        pipeline: Pipeline = PIPELINE,
        dead_letter_limit: float = 1.0,
        metrics: Metrics | None = None,
        tracer: "Tracer | None" = None,
    ) -> None:
        super().__init__(
            pipeline,
            metrics or Metrics(),
            lambda topic: topic.name,
            dead_letter_limit=dead_letter_limit,
            tracer=tracer,
        )
        self._stage_of = stage_of
        plan: Any = self
        clean, update = plan.events.clean, plan.fold.update
        prediction, feature = plan.prediction_envelope, plan.feature_envelope
        plan.events.clean = lambda *args, **names: self._read(clean(*args, **names))
        plan.fold.update = lambda state, event: self._updated(update(state, event), state, event)
        prediction.headers = self._before(
            prediction.headers, lambda args: args[0].partition(":")[2], "prediction"
        )
        feature.headers = self._before(
            feature.headers, lambda args: args[0].split("-", 2)[2], "feature update"
        )

    def _raise_at(self, name: str, stage: str) -> None:
        if self._stage_of(name) == stage:
            raise Bug(f"no luck with {name}")

    def _read(self, event: UserEvent) -> UserEvent:
        self._raise_at(event.event_id or "", "reading")
        return event

    def _updated(
        self, features: dict[str, float], state: UserState, event: UserEvent
    ) -> dict[str, float]:
        # The state is changed already, in place.
        self._raise_at(event.event_id or "", "features")
        return features

    def _before(
        self, call: Callable[..., Any], name: Callable[[tuple[Any, ...]], str], stage: str
    ) -> Callable[..., Any]:
        def guarded(*args: Any) -> Any:
            self._raise_at(name(args), stage)
            return call(*args)

        return guarded
