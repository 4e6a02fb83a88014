"""What the catalogue knows of a model."""

from collections.abc import Callable
from dataclasses import dataclass

from river import base

from online_models.estimator import Estimator


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to make a model, and what it can do."""

    make: Callable[[], Estimator]
    """Makes an untrained one; each call shares nothing with the others."""
    takes_weights: bool = False
    """Whether it heeds the weight of an outcome. Some of River's ensembles take the argument and
    forget it, so this is what was tried, not what a signature says."""


def classifier(model: object) -> base.Classifier:
    """Vouch for a pipeline that ends in a classifier: `isinstance` knows it, River's types do not.

    Raises
    ------
    TypeError
        When it is none.

    Examples
    --------
    >>> from river import linear_model, preprocessing
    >>> print(classifier(preprocessing.StandardScaler() | linear_model.LogisticRegression()))
    StandardScaler | LogisticRegression
    """
    if not isinstance(model, base.Classifier):
        raise TypeError(f"{model!r} is no classifier")
    return model


def regressor(model: object) -> base.Regressor:
    """Vouch for what is a regressor, though River's types do not know it.

    Raises
    ------
    TypeError
        When it is none.
    """
    if not isinstance(model, base.Regressor):
        raise TypeError(f"{model!r} is no regressor")
    return model
