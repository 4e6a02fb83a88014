"""What people are asked to judge, on `review-queue`, and what they said, on `review-verdicts`."""

import msgspec


class ReviewItem(msgspec.Struct, frozen=True):
    """A decision that a person should judge, with what it rests on."""

    prediction_id: str
    event_id: str
    user_id: str
    use_case: str
    score: float
    confidence: float
    decision: bool
    """As it was made, and acted on: nobody waits for the verdict."""
    model: str
    model_version: int
    event_at: int
    """Event time, ms since the epoch."""
    queued_at: int
    """When the worker decided, ms since the epoch."""
    probability: float
    """With which it was chosen: it stands for 1 / probability decisions."""
    features: dict[str, float]
    """As served."""


class Verdict(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a person says of a decision: a label, and whose.

    Examples
    --------
    >>> said = Verdict("shop:e1", "ada", label=True, ts=1_704_067_200_000, by="eve@desk")
    >>> msgspec.json.decode(msgspec.json.encode(said), type=Verdict) == said
    True
    """

    prediction_id: str
    user_id: str
    label: bool
    """What is true, whatever was decided."""
    ts: int
    """Event time at which it became known, ms since the epoch."""
    by: str
    """Who."""
    why: str = ""
