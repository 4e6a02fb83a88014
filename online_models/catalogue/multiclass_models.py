"""Models that tell classes apart."""

from collections import defaultdict
from copy import deepcopy
from functools import partial
from typing import Any, Final

from river import base, compose, forest, linear_model, multiclass, neighbors, preprocessing, tree

from online_models.catalogue.recipe import Recipe, classifier

_MAX_DEPTH: Final = 8
"""Bounds memory, as of the trees for yes and no."""


class SoftmaxRegression(linear_model.SoftmaxRegression):
    """River's, as bytes that name no function: it keeps one that copies whatever it is given.

    Examples
    --------
    >>> import pickle
    >>> b"deepcopy" in pickle.dumps(SoftmaxRegression())
    False
    """

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"optimizers": dict(self.optimizers)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.optimizers = defaultdict(partial(deepcopy, self.optimizer), state["optimizers"])


class Classes(dict[Any, None]):
    """Classes in the order in which they were learned.

    River keeps them in sets, and goes through them as it sums up: in an order, hence with a
    rounding, that differs from process to process, since that is how texts are hashed.

    Examples
    --------
    >>> classes = Classes()
    >>> for each in ("rose", "iris", "rose"):
    ...     classes.add(each)
    >>> list(classes)
    ['rose', 'iris']
    """

    def add(self, label: Any) -> None:  # noqa: ANN401  # as a set has it
        """Know a class from now on."""
        self[label] = None


class HoeffdingAdaptiveTree(tree.HoeffdingAdaptiveTreeClassifier):
    """River's, with the same rounding everywhere."""

    def learn_one(self, x: dict[Any, Any], y: Any, *, w: float = 1.0) -> None:  # noqa: ANN401
        """Learn an outcome."""
        if not self.classes:
            self.classes = Classes()  # type: ignore[assignment]
        super().learn_one(x, y, w=w)  # type: ignore[no-untyped-call]


class NearestNeighbours(neighbors.KNNClassifier):
    """River's, with the same order of classes everywhere."""

    def learn_one(self, x: dict[Any, Any], y: Any) -> None:  # noqa: ANN401  # as River has it
        """Learn an outcome."""
        if not self.classes:
            self.classes = Classes()  # type: ignore[assignment]
        super().learn_one(x, y)  # type: ignore[no-untyped-call]


def _multiclass_softmax_v1() -> base.Classifier:
    return classifier(compose.Pipeline(preprocessing.StandardScaler(), SoftmaxRegression()))


def _multiclass_logistic_v1() -> base.Classifier:
    # One against the rest: a logistic regression for each class.
    one_against_rest = multiclass.OneVsRestClassifier(linear_model.LogisticRegression())
    return classifier(compose.Pipeline(preprocessing.StandardScaler(), one_against_rest))


def _multiclass_hoeffding_adaptive_v1() -> base.Classifier:
    return HoeffdingAdaptiveTree(max_depth=_MAX_DEPTH, seed=1)


def _multiclass_forest_v1() -> base.Classifier:
    return forest.ARFClassifier(n_models=10, max_depth=_MAX_DEPTH, seed=1)


def _multiclass_neighbours_v1() -> base.Classifier:
    nearest = NearestNeighbours(
        n_neighbors=10, engine=neighbors.LazySearch(window_size=1000, min_distance_keep=0.0)
    )
    return classifier(compose.Pipeline(preprocessing.StandardScaler(), nearest))


RECIPES: Final = {
    "multiclass_softmax_v1": Recipe(_multiclass_softmax_v1),
    "multiclass_logistic_v1": Recipe(_multiclass_logistic_v1),
    "multiclass_hoeffding_adaptive_v1": Recipe(_multiclass_hoeffding_adaptive_v1),
    "multiclass_forest_v1": Recipe(_multiclass_forest_v1),
    "multiclass_neighbours_v1": Recipe(_multiclass_neighbours_v1),
}
