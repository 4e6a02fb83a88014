"""What we expect: the prediction that downstream services read from `predictions`."""

from typing import Literal

import msgspec

Source = Literal["model", "ensemble", "rules", "default", "cache"]


class ShadowPrediction(msgspec.Struct, gc=False):
    """What a challenger would have said about an event, on `shadow-predictions`."""

    prediction_id: str
    event_id: str
    use_case: str
    score: float
    model: str
    model_version: int
    prediction: str | None = None
    """As in `Prediction`."""


class Prediction(msgspec.Struct, gc=False):
    """One decision about one event.

    The hot path writes this record field by field (`agents.prediction.encode`); this class is its
    contract, and what readers decode with.
    """

    prediction_id: str
    event_id: str
    user_id: str
    use_case: str
    score: float
    """Estimated probability, 0 to 1; where models tell classes apart, that of `prediction`; where
    they estimate amounts, the amount; where they tell how odd something is, the share that is less
    odd; where they choose an arm, the reward that is expected of it."""
    confidence: float
    """How far from a coin flip, 0 to 1; of classes, from a die that has as many sides; of amounts
    and rewards 0, since nobody knows."""
    decision: bool
    source: Source
    model: str
    model_version: int
    variant: str
    event_at: int
    """The event's own time, ms since the epoch."""
    published_at: int
    """When the event was published to Kafka (its record timestamp), ms since the epoch."""
    predicted_at: int
    """When the worker predicted, ms since the epoch."""
    degraded: list[str] = []
    """Why this answer is less than the best; empty when healthy."""
    prediction: str | None = None
    """The most probable class, where models tell classes apart; `None`: none is known yet."""
    scores: dict[str, float] | None = None
    """The probability of each class, likewise; of many, of the most probable hundred."""
    arm: str | None = None
    """What was chosen among the pipeline's arms, where a bandit chooses."""
    propensity: float | None = None
    """The probability with which it was chosen, over all ids that a prediction could have."""
