"""What came of it: labels that other systems publish to `labels`."""

from typing import Final

import msgspec

LabelValue = bool | str | float
"""What is said of a prediction: whether it came true, which class it was, or how much."""
LabelType = type[bool] | type[str] | type[float]
LABEL_TYPES: Final[tuple[LabelType, ...]] = (bool, str, float)
MAX_CLASS_LENGTH: Final = 256
"""Of the name of a class, in characters."""
LARGEST_AMOUNT: Final = 1e12
"""Beyond lie infinity and what some unit made of a number; one of them would ruin a model."""


class Label(msgspec.Struct, gc=False):
    """The truth about one prediction, named by its own id or by its event's.

    >>> raw = b'{"event_id": "e1", "user_id": "u", "label": true, "ts": 0}'
    >>> msgspec.json.decode(raw, type=Label)
    Label(user_id='u', label=True, ts=0, event_id='e1', prediction_id=None, by='', arm='')
    """

    user_id: str | int
    label: bool | int | float | str
    """Whether it came true, also as 1 or 0; which class it was; or how much: what the pipeline's
    label rule says."""
    ts: int | str
    event_id: str | None = None
    prediction_id: str | None = None
    by: str = ""
    """Who judged it, if a person did."""
    arm: str = ""
    """Which arm it is the reward of, where one is chosen: of another one it tells nothing."""
