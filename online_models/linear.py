"""A linear model as one dot product: StandardScaler | LogisticRegression, folded."""

import math
from collections.abc import Callable, Mapping
from operator import itemgetter, mul
from typing import Final

from river import compose, linear_model, optim, preprocessing

from online_models.estimator import Estimator

_LARGEST_OFFSET: Final = 1_000.0
"""Above this, `w·x - w·mean` loses digits that `w·(x - mean)` keeps."""

_SATURATED: Final = 30.0
"""Logit from which River's sigmoid is exactly 0 or 1."""


def fold(model: Estimator) -> Callable[[Mapping[str, float]], float] | None:
    """Fold scaler and weights of a trained model into one function to P(True).

    The result equals `model.predict_proba_one(x)[True]` up to rounding and raises `KeyError`
    when a feature is missing. It does not follow the model when that learns on.

    Returns
    -------
    The function, or `None` when the model has another shape or is too badly conditioned.

    Examples
    --------
    >>> model = preprocessing.StandardScaler() | linear_model.LogisticRegression()
    >>> for clicks, minutes in [(1.0, 3.0), (4.0, 2.0), (7.0, 9.0)]:
    ...     model.learn_one({"clicks": clicks, "minutes": minutes}, clicks > 3)
    >>> x = {"clicks": 5.0, "minutes": 1.0}
    >>> folded = fold(model)
    >>> abs(folded(x) - model.predict_proba_one(x)[True]) < 1e-12
    True
    """
    match model:
        case compose.Pipeline(
            steps={
                "StandardScaler": preprocessing.StandardScaler(with_std=True, window_size=None),
                "LogisticRegression": linear_model.LogisticRegression(loss=optim.losses.Log()),
            }
        ) if len(model.steps) == 2:  # noqa: PLR2004  # the two just named
            scaler, regression = model.steps.values()
        case _:
            return None

    # River scales a feature without variance to 0, whatever its value.
    names = tuple(name for name, variance in scaler.vars.items() if variance > 0)
    if len(names) < 2:  # noqa: PLR2004  # itemgetter gives no tuple
        return None
    learned = regression.weights
    weights = tuple(learned.get(name, 0.0) / math.sqrt(scaler.vars[name]) for name in names)
    offsets = tuple(map(mul, weights, (scaler.means[name] for name in names)))
    if not math.fsum(map(abs, offsets)) < _LARGEST_OFFSET:
        return None
    intercept = regression.intercept - math.fsum(offsets)
    values_of = itemgetter(*names)
    exp = math.exp

    def p_true(features: Mapping[str, float]) -> float:
        logit = sum(map(mul, weights, values_of(features)), intercept)
        if logit < -_SATURATED:
            return 0.0
        if logit > _SATURATED:
            return 1.0
        return 1.0 / (1.0 + exp(-logit))

    return p_true
