"""What we learn from: a prediction's features as served, together with its label."""

import msgspec

from schemas.labels import LabelValue


class Outcome(msgspec.Struct, gc=False, array_like=True):
    """One row of the training log on `outcomes` (MessagePack, in this order).

    `features` are the values the model saw when it predicted, in the order of the pipeline's
    feature names; `schema` is the hash of those names, so a learner never mixes two orders.
    `target` is the hash of the label rule, so that it never mixes two questions either.
    """

    prediction_id: str
    use_case: str
    user_id: str
    event_at: int
    """Event time of the prediction, ms."""
    labelled_at: int
    """Event time at which the label became known, ms."""
    label: LabelValue | None
    """True or false, a class, or an amount; `None`: nobody said, and models that need no label
    learn it all the same."""
    score: float
    """The score as served."""
    model: str
    model_version: int
    schema: str
    features: list[float]
    target: str = ""
    """Which label it is; empty if the rule changed while it waited, and in what was written before
    there was this field."""
    weight: float = 1.0
    """How much it teaches: it stands for so many outcomes like it; 0: nothing."""
    judged: float = 1.0
    """How much it counts where models are judged; 0: not at all."""
    revises: bool = False
    """Whether its prediction had an outcome of the other label before. It is not judged again, and
    its weight takes back what that one taught, as far as learning can be taken back."""
    by: str = ""
    """Who judged it, if a person did."""
    arm: str = ""
    """What was chosen, where a bandit chooses; its label is the reward."""
    propensity: float = 0.0
    """The probability with which it was chosen."""
    arms: list[str] = []
    """What it was chosen among."""
    begins_visit: bool = False
    """Whether its event was the first of a visit (`DriftPolicy.visit_gap`)."""
