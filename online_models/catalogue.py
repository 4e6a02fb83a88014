"""The models one can name: `<task>_v<n>` -> a River pipeline.

A definition that has served is never edited, because its name is the identity of what was
learned under it: a change is a new `v<n>`.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, cast

from river import base, compose, linear_model, optim, preprocessing, tree

from schemas.errors import InvalidDeclaration


def _binary_logistic_v1() -> base.Classifier:
    # A constant, small rate. AdaGrad ends 0.01 of ROC AUC higher on the shop's half year, but
    # its rate decays: once features have changed their meaning, 31,000 labels do not give it
    # back what this model regains with 15,000.
    model = compose.Pipeline(
        preprocessing.StandardScaler(),
        linear_model.LogisticRegression(
            optimizer=optim.SGD(0.001),
            intercept_lr=0.01,  # the base rate moves first
            l2=1e-3,  # separable streams would let weights grow for ever
        ),
    )
    return cast("base.Classifier", model)  # as `isinstance` says; River's types do not


def _binary_logistic_v2() -> base.Classifier:
    # River's own defaults: ten times the rate of v1, which suits a few hundred labels better than
    # tens of thousands, and is what River's published figures are of.
    model = compose.Pipeline(preprocessing.StandardScaler(), linear_model.LogisticRegression())
    return cast("base.Classifier", model)


def _binary_hoeffding_tree_v1() -> base.Classifier:
    # Leaves that count: naive Bayes over features that are windows of one another is sure of
    # everything, which costs half a nat of log loss. The depth bounds memory.
    return tree.HoeffdingTreeClassifier(leaf_prediction="mc", max_depth=8)


_RECIPES: Final[Mapping[str, Callable[[], base.Classifier]]] = MappingProxyType(
    {
        "binary_logistic_v1": _binary_logistic_v1,
        "binary_logistic_v2": _binary_logistic_v2,
        "binary_hoeffding_tree_v1": _binary_hoeffding_tree_v1,
    }
)

NAMES: Final = tuple(_RECIPES)
"""Models a pipeline may declare."""


def make(name: str) -> base.Classifier:
    """Make an untrained model.

    Raises
    ------
    InvalidDeclaration
        When the catalogue has no such model.

    Examples
    --------
    >>> print(make("binary_logistic_v1"))
    StandardScaler | LogisticRegression
    >>> make("oracle_v1")
    Traceback (most recent call last):
    schemas.errors.InvalidDeclaration: no model `oracle_v1` in the catalogue; it has
    binary_logistic_v1, binary_logistic_v2, binary_hoeffding_tree_v1
    """
    try:
        recipe = _RECIPES[name]
    except KeyError:
        raise InvalidDeclaration(
            f"no model `{name}` in the catalogue; it has {', '.join(NAMES)}"
        ) from None
    return recipe()
