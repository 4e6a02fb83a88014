"""Models that tell how odd something is; they learn without labels."""

from typing import Any, Final

from river import anomaly, base, compose, preprocessing

from online_models.catalogue.recipe import Recipe


def _detector(scaler: base.Transformer, detector: base.AnomalyDetector) -> base.AnomalyDetector:
    pipeline: Any = compose.Pipeline(scaler, detector)
    if not isinstance(pipeline, base.AnomalyDetector):
        raise TypeError(f"{pipeline!r} detects no anomalies")
    return pipeline


def _anomaly_half_space_trees_v1() -> base.AnomalyDetector:
    # Tan, Ting & Liu 2011: how many of the 250 before fell into the same boxes, of features between
    # 0 and 1. Two levels less than River has by default: a quarter of the bytes, and no worse.
    trees = anomaly.HalfSpaceTrees(n_trees=25, height=6, seed=1)
    return _detector(preprocessing.MinMaxScaler(), trees)


def _anomaly_loda_v1() -> base.AnomalyDetector:
    # Pevny 2016: histograms of random projections.
    return _detector(preprocessing.StandardScaler(), anomaly.LODA(n_random_cuts=50, seed=1))


RECIPES: Final = {
    "anomaly_half_space_trees_v1": Recipe(_anomaly_half_space_trees_v1),
    "anomaly_loda_v1": Recipe(_anomaly_loda_v1),
}
