"""Ensembles of trees: the most accurate, and the dearest to teach, to ask and to carry."""

from typing import Any, Final

from river import base, ensemble, forest, tree

from online_models.catalogue.recipe import Recipe

_N_MODELS: Final = 10
_MAX_DEPTH: Final = 8
"""Bounds memory: a forest that nobody stops grows as long as there are labels."""


class LeveragingBagging(ensemble.LeveragingBaggingClassifier):
    """River's, as bytes that name no function.

    It keeps one of its own methods as an attribute, and a pickle of that asks for `getattr`, which
    would open every door that the restricted unpickler keeps shut.

    Examples
    --------
    >>> import pickle
    >>> b"getattr" in pickle.dumps(LeveragingBagging(tree.HoeffdingTreeClassifier()))
    False
    """

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_bagging_fct"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._bagging_fct = self._leveraging_bag


def _binary_forest_v1() -> base.Classifier:
    # Adaptive random forest, Gomes et al. 2017.
    return forest.ARFClassifier(n_models=_N_MODELS, max_depth=_MAX_DEPTH, seed=1)


def _binary_leveraging_bagging_v1() -> base.Classifier:
    # Bifet, Holmes & Pfahringer 2010.
    member = tree.HoeffdingTreeClassifier(max_depth=_MAX_DEPTH)
    return LeveragingBagging(member, n_models=_N_MODELS, seed=1)


def _binary_random_patches_v1() -> base.Classifier:
    # Streaming random patches, Gomes, Read & Bifet 2019; trees of River's own choice for them.
    member = tree.HoeffdingTreeClassifier(grace_period=50, delta=0.01, max_depth=_MAX_DEPTH)
    return ensemble.SRPClassifier(member, n_models=_N_MODELS, seed=1)


RECIPES: Final = {
    "binary_forest_v1": Recipe(_binary_forest_v1),
    "binary_leveraging_bagging_v1": Recipe(_binary_leveraging_bagging_v1, takes_weights=True),
    "binary_random_patches_v1": Recipe(_binary_random_patches_v1),
}
