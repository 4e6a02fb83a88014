"""Nearest neighbours: learns by remembering."""

from typing import Final

from river import base, compose, neighbors, preprocessing

from online_models.catalogue.recipe import Recipe, classifier


def _binary_neighbours_v1() -> base.Classifier:
    return classifier(
        compose.Pipeline(
            preprocessing.StandardScaler(),  # or the feature with the largest unit decides
            neighbors.KNNClassifier(
                n_neighbors=10, engine=neighbors.LazySearch(window_size=1000, min_distance_keep=0.0)
            ),
        )
    )


RECIPES: Final = {"binary_neighbours_v1": Recipe(_binary_neighbours_v1)}
