"""Models over models."""

from typing import Final

from river import base, compose, ensemble, linear_model, preprocessing

from online_models.catalogue import linear_models, trees
from online_models.catalogue.recipe import Recipe, classifier


def _binary_stacking_v1() -> base.Classifier:
    # Wolpert 1992. Three that err in different ways; what they say is scaled before it is weighed.
    return ensemble.StackingClassifier(
        [
            classifier(linear_models.RECIPES["binary_logistic_v2"].make()),
            classifier(linear_models.RECIPES["binary_adpredictor_v1"].make()),
            classifier(trees.RECIPES["binary_hoeffding_tree_v1"].make()),
        ],
        meta_classifier=classifier(
            compose.Pipeline(preprocessing.StandardScaler(), linear_model.LogisticRegression())
        ),
        include_features=False,
    )


RECIPES: Final = {"binary_stacking_v1": Recipe(_binary_stacking_v1)}
