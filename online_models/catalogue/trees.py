"""Single trees."""

from typing import Final

from river import base, tree

from online_models.catalogue.recipe import Recipe


def _binary_hoeffding_tree_v1() -> base.Classifier:
    # Leaves that count: naive Bayes over features that are windows of one another is sure of
    # everything, which costs half a nat of log loss. The depth bounds memory.
    return tree.HoeffdingTreeClassifier(leaf_prediction="mc", max_depth=8)


def _binary_hoeffding_adaptive_v1() -> base.Classifier:
    # Bifet & Gavalda 2009: branches that have become worse are grown anew beside themselves. It
    # splits so late that counting leaves would say little; naive Bayes where it is the better one.
    return tree.HoeffdingAdaptiveTreeClassifier(max_depth=8, seed=1)


RECIPES: Final = {
    "binary_hoeffding_tree_v1": Recipe(_binary_hoeffding_tree_v1, takes_weights=True),
    "binary_hoeffding_adaptive_v1": Recipe(_binary_hoeffding_adaptive_v1, takes_weights=True),
}
