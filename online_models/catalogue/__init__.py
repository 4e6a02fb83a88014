"""The models one can name: `<task>_v<n>` -> a River pipeline.

A definition that has served is never edited, because its name is the identity of what was
learned under it: a change is a new `v<n>`. `docs/catalogue.md` holds what each of them costs and
how good it is.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from river import base

from online_models.catalogue import (
    anomaly_models,
    bandit_models,
    forests,
    linear_models,
    multiclass_models,
    neighbours,
    regression_models,
    stacking,
    trees,
)
from online_models.catalogue.recipe import Recipe, classifier
from online_models.tasks import Task, task_of
from schemas.errors import InvalidDeclaration

_RECIPES: Final[Mapping[str, Recipe]] = MappingProxyType(
    linear_models.RECIPES
    | trees.RECIPES
    | forests.RECIPES
    | neighbours.RECIPES
    | stacking.RECIPES
    | multiclass_models.RECIPES
    | regression_models.RECIPES
    | anomaly_models.RECIPES
    | bandit_models.RECIPES
)

NAMES: Final = tuple(_RECIPES)
"""Models a pipeline may declare."""


def names(task: str) -> tuple[str, ...]:
    """Tell the models of one task.

    >>> names("multiclass")[:2]
    ('multiclass_softmax_v1', 'multiclass_logistic_v1')
    """
    return tuple(name for name in NAMES if task_of(name).name == task)


def recipe(name: str) -> Recipe:
    """Look a model up.

    Raises
    ------
    InvalidDeclaration
        When the catalogue has no such model.

    Examples
    --------
    >>> recipe("binary_logistic_v1").takes_weights
    True
    >>> recipe("oracle_v1")
    Traceback (most recent call last):
    schemas.errors.InvalidDeclaration: no model `oracle_v1` in the catalogue; it has
    binary_logistic_v1, binary_logistic_v2, binary_ftrl_v1, binary_adpredictor_v1,
    binary_hoeffding_tree_v1, binary_hoeffding_adaptive_v1, binary_forest_v1,
    binary_leveraging_bagging_v1, binary_random_patches_v1, binary_neighbours_v1,
    binary_stacking_v1, multiclass_softmax_v1, ...
    """
    try:
        return _RECIPES[name]
    except KeyError:
        raise InvalidDeclaration(
            f"no model `{name}` in the catalogue; it has {', '.join(NAMES)}"
        ) from None


def task(name: str) -> Task:
    """Tell what a model is asked; raises likewise.

    Examples
    --------
    >>> task("binary_logistic_v1").name
    'binary'
    """
    recipe(name)
    return task_of(name)


def make(name: str) -> base.Classifier:
    """Make an untrained classifier.

    Raises
    ------
    InvalidDeclaration
        When the catalogue has no such model.
    TypeError
        When that is no classifier.

    Examples
    --------
    >>> print(make("binary_logistic_v1"))
    StandardScaler | LogisticRegression
    """
    return classifier(recipe(name).make())
