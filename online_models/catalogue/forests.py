"""Ensembles of trees: the most accurate, and the dearest to teach, to ask and to carry."""

from collections.abc import Callable
from typing import Any, Final

from river import base, ensemble, forest, tree

from online_models.catalogue.recipe import Recipe

_N_MODELS: Final = 10
_MAX_DEPTH: Final = 8
"""Bounds memory: a forest that nobody stops grows as long as there are labels."""


class LeveragingBagging(ensemble.LeveragingBaggingClassifier):
    """River's, as bytes that name no function, and gone once nobody uses it.

    It keeps one of its own methods as an attribute. A pickle of that asks for `getattr`, which
    would open every door that the restricted unpickler keeps shut; and it would live until the
    garbage collector comes by, which in a worker may take a quarter of an hour.

    Examples
    --------
    >>> import pickle
    >>> b"getattr" in pickle.dumps(LeveragingBagging(tree.HoeffdingTreeClassifier()))
    False
    """

    @property
    def _bagging_fct(self) -> Callable[..., Any]:
        return self._leveraging_bag  # what River sets it to for the method that we use

    @_bagging_fct.setter
    def _bagging_fct(self, method: Callable[..., Any]) -> None:
        pass


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
