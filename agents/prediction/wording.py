"""How answers are written: what the record of a prediction holds differs by task."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from agents.prediction import encode
from online_models.bandit_scorer import ArmChoice
from online_models.class_scorer import ClassScorer

PRIOR: Final = 0.5
"""The score of yes and no, or of what is ordinary, while no model was ever published."""

Write = Callable[..., bytes]
"""Writes the fields of a prediction, given by name."""


def _as_probability(_: object) -> Write:
    return encode.prediction


def _as_class(scorer: object) -> Write:
    if not isinstance(scorer, ClassScorer):  # nobody is there to ask
        return _no_class

    def write(**fields: Any) -> bytes:  # noqa: ANN401  # as `encode.prediction` has them
        return encode.class_prediction(prediction=scorer.prediction, scores=scorer.scores, **fields)

    return write


def _no_class(**fields: Any) -> bytes:  # noqa: ANN401  # likewise
    return encode.class_prediction(prediction=None, scores={}, **fields)


def _as_arm(choice: object) -> Write:
    if not isinstance(choice, ArmChoice):
        raise TypeError(f"{choice!r} chooses no arm")

    def write(**fields: Any) -> bytes:  # noqa: ANN401  # likewise
        return encode.arm_prediction(arm=choice.arm, propensity=choice.propensity, **fields)

    return write


def _as_amount(_: object) -> Write:
    return encode.amount_prediction


@dataclass(frozen=True, slots=True)
class Wording:
    """What a task's answers look like."""

    prior: float
    """The score while no model was ever published."""
    writes: Callable[[object], Write]
    """Makes what writes down the last answer of a scorer, or of who chooses an arm by it; without
    one, that there is none."""
    is_probability: bool = True
    """Whether scores are between 0 and 1, so that they can be counted by size."""


WORDINGS: Final[Mapping[str, Wording]] = MappingProxyType(
    {
        "binary": Wording(PRIOR, _as_probability),
        "multiclass": Wording(0.0, _as_class),
        "regression": Wording(0.0, _as_amount, is_probability=False),
        "anomaly": Wording(PRIOR, _as_probability),
        "bandit": Wording(0.0, _as_arm, is_probability=False),
    }
)
"""By task."""
