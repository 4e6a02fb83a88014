"""What a use case holds itself to: `watch` tells each goal, and alert rules compare with it."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import timedelta

from schemas.errors import InvalidDeclaration


@dataclass(frozen=True, slots=True, kw_only=True)
class Goals:
    """The line beyond which somebody should look; one for each monitored quantity.

    `docs/operations.md` says what to do when one is missed. Alerts about models and drift that
    rest on evidence, such as a model that became worse than it was, need no goal.
    """

    latency_p50: timedelta = timedelta(milliseconds=100)
    """From an event's publication to its prediction at a `read_committed` reader, the median."""
    latency_p99: timedelta = timedelta(milliseconds=500)
    """The same, of 99 of 100 predictions."""
    latency_p99_emergency: timedelta = timedelta(seconds=5)
    """From here on answers come too late for whoever asked: nobody is served."""
    prompt_ratio: float = 0.99
    """Share of predictions within 50 ms, over 30 days. What may be missing is a budget; alerts
    tell when it is used up too fast."""
    error_ratio: float = 0.001
    """Share of events that are set aside because the code raised, or answered without a model."""
    predictions_per_second: float = 1_000.0
    """At least, while events wait; on a quiet night there are as many predictions as events."""
    roc_auc: float = 0.9
    """At least, of the champion over its latest outcomes, where it answers yes or no."""
    accuracy: float = 0.9
    """At least, of the champion over its latest outcomes, where it names a class."""
    features_missing_ratio: float = 0.01
    """Share of predictions for which a feature of the event stood at its default, the worst."""
    model_age: timedelta = timedelta(days=7)
    """Time since the snapshot of the champion that serves was made."""
    quality_score: float = 0.95
    """At least, of the checks of the latest events without a finding."""

    def __post_init__(self) -> None:
        for name, value in self.amounts():
            is_share = name.endswith(("_ratio", "_auc", "_score", "accuracy"))
            if not value > 0 or (is_share and value >= 1):
                allowed = "between 0 and 1" if is_share else "more than 0"
                raise InvalidDeclaration(f"the goal {name} is {allowed}, not {value:g}")
        if self.latency_p99_emergency <= self.latency_p99:
            raise InvalidDeclaration(
                f"latency_p99_emergency is more than latency_p99, {self.latency_p99}, not"
                f" {self.latency_p99_emergency}"
            )

    def amounts(self) -> Iterator[tuple[str, float]]:
        """Give each goal as a number; spans in seconds.

        >>> dict(Goals(latency_p99=timedelta(milliseconds=250)).amounts())["latency_p99"]
        0.25
        """
        for each in fields(self):
            goal = getattr(self, each.name)
            yield each.name, goal.total_seconds() if isinstance(goal, timedelta) else goal
