"""Estimators as bytes: small on the way out, suspicious on the way in."""

import copyreg
import hashlib
import io
import pickle  # only `_RestrictedUnpickler` reads, and only what was signed
import random
from typing import Any, Final, TypeVar

from river import proba
from river.tree.splitter import qo_splitter

from online_models.estimator import Estimator
from schemas.errors import SnapshotRefused

E = TypeVar("E", bound=Estimator)

_ALLOWED: Final = frozenset(
    {
        ("builtins", "float"),  # default of a defaultdict
        ("builtins", "int"),  # likewise
        ("builtins", "tuple"),  # likewise, of limits
        ("collections", "Counter"),
        ("collections", "OrderedDict"),
        ("collections", "defaultdict"),
        ("collections", "deque"),
        ("functools", "partial"),  # of what is named here: a default that is a defaultdict itself
        ("online_models.catalogue.buckets", "Buckets"),
        ("online_models.catalogue.forests", "LeveragingBagging"),
        ("online_models.catalogue.multiclass_models", "Classes"),
        ("online_models.catalogue.multiclass_models", "HoeffdingAdaptiveTree"),
        ("online_models.catalogue.multiclass_models", "NearestNeighbours"),
        ("online_models.catalogue.multiclass_models", "SoftmaxRegression"),
        ("online_models.catalogue.regression_models", "TargetStandardScaler"),
        ("online_models.pickling", "slot"),
        ("random", "Random"),
        ("river._river_rust.drift", "AdaptiveWindowing"),
        ("river._river_rust.vectordict", "VectorDict"),
        ("river._river_rust.vectordict", "euclidean_distance_tuple"),
        ("river.anomaly.hst", "HalfSpaceTrees"),
        ("river.anomaly.loda", "LODA"),
        ("river.compose.pipeline", "Pipeline"),
        ("river.drift.adwin", "ADWIN"),
        ("river.ensemble.stacking", "StackingClassifier"),
        ("river.ensemble.streaming_random_patches", "BaseSRPClassifier"),
        ("river.ensemble.streaming_random_patches", "SRPClassifier"),
        ("river.forest.adaptive_random_forest", "ARFClassifier"),
        ("river.forest.adaptive_random_forest", "ARFRegressor"),
        ("river.forest.adaptive_random_forest", "BaseTreeClassifier"),
        ("river.forest.adaptive_random_forest", "BaseTreeRegressor"),
        ("river.linear_model.ad_predictor", "AdPredictor"),
        ("river.linear_model.lin_reg", "LinearRegression"),
        ("river.linear_model.log_reg", "LogisticRegression"),
        ("river.metrics.accuracy", "Accuracy"),
        ("river.metrics.confusion", "ConfusionMatrix"),
        ("river.metrics.mse", "MSE"),
        ("river.multiclass.ovr", "OneVsRestClassifier"),
        ("river.neighbors.knn_classifier", "KNNClassifier"),
        ("river.neighbors.knn_regressor", "KNNRegressor"),
        ("river.neighbors.lazy", "LazySearch"),
        ("river.optim.ftrl", "FTRLProximal"),
        ("river.optim.initializers", "Zeros"),
        ("river.optim.losses", "CrossEntropy"),
        ("river.optim.losses", "Log"),
        ("river.optim.losses", "Squared"),
        ("river.optim.schedulers", "Constant"),
        ("river.optim.sgd", "SGD"),
        ("river.preprocessing.scale", "MinMaxScaler"),
        ("river.preprocessing.scale", "StandardScaler"),
        ("river.proba.gaussian", "Gaussian"),
        ("river.sketch.histogram", "Bin"),
        ("river.sketch.histogram", "Histogram"),
        ("river.stats.maximum", "Max"),
        ("river.stats.mean", "Mean"),
        ("river.stats.minimum", "Min"),
        ("river.stats.var", "Var"),
        ("river.tree.hoeffding_adaptive_tree_classifier", "HoeffdingAdaptiveTreeClassifier"),
        ("river.tree.hoeffding_adaptive_tree_regressor", "HoeffdingAdaptiveTreeRegressor"),
        ("river.tree.hoeffding_tree_classifier", "HoeffdingTreeClassifier"),
        ("river.tree.nodes.arf_htc_nodes", "RandomLeafNaiveBayesAdaptive"),
        ("river.tree.nodes.arf_htr_nodes", "RandomLeafMean"),
        ("river.tree.nodes.branch", "NumericBinaryBranch"),
        ("river.tree.nodes.hatc_nodes", "AdaLeafClassifier"),
        ("river.tree.nodes.hatc_nodes", "AdaNumBinaryBranchClass"),
        ("river.tree.nodes.hatr_nodes", "AdaLeafRegAdaptive"),
        ("river.tree.nodes.hatr_nodes", "AdaNumBinaryBranchReg"),
        ("river.tree.nodes.htc_nodes", "LeafMajorityClass"),
        ("river.tree.nodes.htc_nodes", "LeafNaiveBayesAdaptive"),
        ("river.tree.padded", "PaddedBranch"),
        ("river.tree.padded", "PaddedLeaf"),
        ("river.tree.splitter.gaussian_splitter", "GaussianSplitter"),
        ("river.tree.splitter.qo_splitter", "FeatureQuantizer"),
        ("river.tree.splitter.qo_splitter", "QOSplitter"),
        ("statistics", "NormalDist"),
    }
)
"""Every class that a model of the catalogue consists of, and nothing else.

Named one by one: `river.*` would admit functions that import and call what they are told.
"""

_NO_DICE: Final = random.Random(0)  # noqa: S311  # no secret hangs on it


def _reduce_gaussian(gaussian: proba.Gaussian) -> tuple[Any, ...]:
    # Each of a tree's thousand Gaussians owns a generator of 2.5 KB that only `sample` uses.
    state = vars(gaussian) | {"_rng": _NO_DICE}
    return copyreg.__newobj__, (proba.Gaussian,), state  # type: ignore[attr-defined]


def slot(x_stats: Any, y_stats: Any) -> qo_splitter.Slot:  # noqa: ANN401  # as River has them
    """Make a slot of a quantized feature of a tree of amounts."""
    made = qo_splitter.Slot.__new__(qo_splitter.Slot)
    made.x_stats, made.y_stats, made.is_single_target = x_stats, y_stats, True
    made._update_estimator = made._update_estimator_univariate  # noqa: SLF001
    return made


def _reduce_slot(reduced: qo_splitter.Slot) -> tuple[Any, ...]:
    # It keeps one of its own methods, and a pickle of that asks for `getattr`.
    return slot, (reduced.x_stats, reduced.y_stats)


class _Pickler(pickle.Pickler):
    dispatch_table = copyreg.dispatch_table | {
        proba.Gaussian: _reduce_gaussian,
        qo_splitter.Slot: _reduce_slot,
    }


class _Canonical(_Pickler):
    """Writes equal models as equal bytes, which nobody reads.

    A pickle tells whether two equal strings are one object, feature names, say. Models that were
    read back have strings of their own, which makes no difference to what they do.
    """

    def __init__(self, out: io.BytesIO, names: dict[str, int]) -> None:
        super().__init__(out, protocol=5)
        self._names = names

    def persistent_id(self, obj: Any) -> int | None:  # noqa: ANN401  # as inherited
        return self._names.setdefault(obj, len(self._names)) if type(obj) is str else None


class _RestrictedUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401  # as inherited
        if (module, name) not in _ALLOWED:
            raise SnapshotRefused(f"pickle asks for {module}.{name}, which no model needs")
        return super().find_class(module, name)


def dumps(models: tuple[Estimator, ...]) -> bytes:
    """Pickle models of the catalogue, together so that they share their feature names."""
    out = io.BytesIO()
    _Pickler(out, protocol=5).dump(models)
    return out.getvalue()


def loads(blob: bytes) -> tuple[Estimator, ...]:
    r"""Unpickle models, refusing everything that is not part of one.

    Raises
    ------
    SnapshotRefused
        Whatever is wrong with the bytes.

    Examples
    --------
    >>> from online_models import catalogue
    >>> print(*loads(dumps((catalogue.make("binary_logistic_v1"),))))
    StandardScaler | LogisticRegression
    >>> loads(b"cos\nsystem\n(S'true'\\ntR.")
    Traceback (most recent call last):
    schemas.errors.SnapshotRefused: pickle asks for os.system, which no model needs
    """
    try:
        models = _RestrictedUnpickler(io.BytesIO(blob)).load()
    except SnapshotRefused:
        raise
    except Exception as error:  # a pickle can raise anything
        raise SnapshotRefused(f"pickle cannot be read: {error!r}") from error
    if not (isinstance(models, tuple) and all(isinstance(model, Estimator) for model in models)):
        raise SnapshotRefused(f"pickle holds {type(models).__name__}, not a tuple of models")
    return models


def fingerprint(model: Estimator) -> bytes:
    """Tell 32 bytes that equal models have in common, and no others.

    Examples
    --------
    >>> from online_models import catalogue
    >>> tree = catalogue.make("binary_hoeffding_tree_v1")
    >>> fingerprint(tree) == fingerprint(copy(tree))
    True
    >>> tree.learn_one({"clicks": 3.0}, True)
    >>> fingerprint(tree) == fingerprint(catalogue.make("binary_hoeffding_tree_v1"))
    False
    """
    out, names = io.BytesIO(), dict[str, int]()
    _Canonical(out, names).dump(model)
    return hashlib.sha256(out.getvalue() + "\0".join(names).encode()).digest()


def copy(model: E) -> E:
    """Copy a model of the catalogue, ten times faster than `copy.deepcopy` does."""
    copied: tuple[Any, ...] = loads(dumps((model,)))
    found: E = copied[0]
    return found
