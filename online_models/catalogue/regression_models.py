"""Models that estimate amounts."""

from typing import Any, Final

from river import base, compose, forest, linear_model, neighbors, preprocessing, tree

from online_models.catalogue.recipe import Recipe, regressor

_MAX_DEPTH: Final = 8
"""Bounds memory, as of the trees for yes and no."""


def _splitter() -> tree.splitter.QOSplitter:
    # Mastelini & de Carvalho 2021: by quarters of a deviation. River's own choice keeps a node for
    # each value that it saw.
    return tree.splitter.QOSplitter()


class TargetStandardScaler(preprocessing.TargetStandardScaler):
    """River's, as bytes that name no function: it keeps two of its own methods as attributes.

    Examples
    --------
    >>> import pickle
    >>> b"getattr" in pickle.dumps(TargetStandardScaler(linear_model.LinearRegression()))
    False
    """

    def __getstate__(self) -> dict[str, Any]:
        ours = {"func", "inverse_func"}
        return {name: value for name, value in vars(self).items() if name not in ours}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.func, self.inverse_func = self._scale, self._unscale


def _regression_linear_v1() -> base.Regressor:
    # Labels are scaled, too: else one rate is too small for thousands and ruins what is small.
    scaled = TargetStandardScaler(linear_model.LinearRegression())
    return regressor(compose.Pipeline(preprocessing.StandardScaler(), scaled))


def _regression_hoeffding_adaptive_v1() -> base.Regressor:
    # Its leaves are linear models where those are better than means.
    adaptive = tree.HoeffdingAdaptiveTreeRegressor(
        max_depth=_MAX_DEPTH, splitter=_splitter(), seed=1
    )
    return regressor(compose.Pipeline(preprocessing.StandardScaler(), adaptive))


def _regression_forest_v1() -> base.Regressor:
    # Leaves that are means: what a forest says lies within what it has seen. With linear leaves
    # one feature of another size makes it say a billion.
    grown = forest.ARFRegressor(
        n_models=10, max_depth=_MAX_DEPTH, leaf_prediction="mean", splitter=_splitter(), seed=1
    )
    return regressor(compose.Pipeline(preprocessing.StandardScaler(), grown))


def _regression_neighbours_v1() -> base.Regressor:
    nearest = neighbors.KNNRegressor(
        n_neighbors=10, engine=neighbors.LazySearch(window_size=1000, min_distance_keep=0.0)
    )
    return regressor(compose.Pipeline(preprocessing.StandardScaler(), nearest))


RECIPES: Final = {
    "regression_linear_v1": Recipe(_regression_linear_v1),
    "regression_hoeffding_adaptive_v1": Recipe(_regression_hoeffding_adaptive_v1),
    "regression_forest_v1": Recipe(_regression_forest_v1),
    "regression_neighbours_v1": Recipe(_regression_neighbours_v1),
}
