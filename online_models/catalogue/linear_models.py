"""Linear models: the fastest to ask, the first to learn."""

from typing import Final

from river import base, compose, linear_model, optim, preprocessing

from online_models.catalogue.buckets import Buckets
from online_models.catalogue.recipe import Recipe, classifier


def _binary_logistic_v1() -> base.Classifier:
    # A constant, small rate. AdaGrad ends 0.01 of ROC AUC higher on the shop's half year, but
    # its rate decays: once features have changed their meaning, 31,000 labels do not give it
    # back what this model regains with 15,000.
    return classifier(
        compose.Pipeline(
            preprocessing.StandardScaler(),
            linear_model.LogisticRegression(
                optimizer=optim.SGD(0.001),
                intercept_lr=0.01,  # the base rate moves first
                l2=1e-3,  # separable streams would let weights grow for ever
            ),
        )
    )


def _binary_logistic_v2() -> base.Classifier:
    # River's own defaults: ten times the rate of v1, which suits a few hundred labels better than
    # tens of thousands, and is what River's published figures are of.
    return classifier(
        compose.Pipeline(preprocessing.StandardScaler(), linear_model.LogisticRegression())
    )


def _binary_ftrl_v1() -> base.Classifier:
    # McMahan et al. 2013: a rate of each weight's own. River's default penalties suit millions of
    # sparse features; on a few dozen dense ones they only hold the model back.
    return classifier(
        compose.Pipeline(
            preprocessing.StandardScaler(),
            linear_model.LogisticRegression(optimizer=optim.FTRLProximal(l1=0.0, l2=0.0)),
        )
    )


def _binary_adpredictor_v1() -> base.Classifier:
    # Graepel et al. 2010. It weighs indicators, not numbers, hence the buckets, one for each
    # standard deviation. A noise of 1 keeps it honest about what it does not know (at River's 0.1
    # its log loss doubles on Phishing), and a small epsilon lets it follow a world that moves.
    return classifier(
        compose.Pipeline(
            preprocessing.StandardScaler(),
            Buckets(),
            linear_model.AdPredictor(beta=1.0, epsilon=0.001),
        )
    )


RECIPES: Final = {
    "binary_logistic_v1": Recipe(_binary_logistic_v1, takes_weights=True),
    "binary_logistic_v2": Recipe(_binary_logistic_v2, takes_weights=True),
    "binary_ftrl_v1": Recipe(_binary_ftrl_v1, takes_weights=True),
    "binary_adpredictor_v1": Recipe(_binary_adpredictor_v1),
}
