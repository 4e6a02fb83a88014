"""Estimators as bytes: small on the way out, suspicious on the way in, and never in one go.

While a pickle is read, nothing else in the process gets the interpreter. So what is large is
pickled apart: trees, and each of their leaves, are pieces of their own, which refer to one another
by number, and whoever reads them can let others go first in between. What is shared between pieces
is shared no more once they are read, which must make no difference: the generators of random
numbers, where it would, are pieces, too.
"""

import copyreg
import hashlib
import io
import pickle  # only `_RestrictedUnpickler` reads, and only what was signed
import random
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from types import FunctionType
from typing import Any, Final, TypeVar

import msgspec
from river import proba, tree
from river.forest.adaptive_random_forest import BaseTreeClassifier
from river.tree.nodes.arf_htc_nodes import RandomLeafNaiveBayesAdaptive
from river.tree.nodes.hatc_nodes import AdaLeafClassifier, AdaNumBinaryBranchClass
from river.tree.nodes.htc_nodes import LeafMajorityClass, LeafNaiveBayesAdaptive
from river.tree.splitter import qo_splitter

from online_models.estimator import Estimator
from schemas.errors import UNREADABLE, SnapshotRefused

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
        ("online_models.arm_models", "LinearRewards"),
        ("online_models.arm_models", "MeanRewards"),
        ("online_models.arm_models", "Ridge"),
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


_APART: Final = (
    *(tree.HoeffdingTreeClassifier, tree.HoeffdingAdaptiveTreeClassifier, BaseTreeClassifier),
    *(LeafMajorityClass, LeafNaiveBayesAdaptive, RandomLeafNaiveBayesAdaptive),
    *(AdaLeafClassifier, AdaNumBinaryBranchClass),
    random.Random,
)
"""What is a piece of its own, wherever it is met."""

_REFERENCE: Final = ("online_models.pickling", "_piece")
_ARRAYS: Final = (*range(0x90, 0xA0), 0xDC, 0xDD)
"""First byte of pieces (an array in MessagePack); a pickle begins with another one."""
_AT_ONCE: Final = 1 << 13
"""Bytes to read before others may go first: about a millisecond."""


def _piece(number: int) -> None:
    """Stand for a piece in another one's pickle; `_RestrictedUnpickler` knows what is meant."""
    raise pickle.UnpicklingError(f"piece {number} is read without the others")


class _Writer:
    """Pickles models in pieces, each of which refers only to those before it.

    Parameters
    ----------
    pickler
        Makes what writes one piece.
    """

    def __init__(self, pickler: Callable[[io.BytesIO], pickle.Pickler]) -> None:
        self.pieces: list[bytes] = []
        self._pickler = pickler
        self._numbers: dict[int, int] = {}
        self._being_written: object = None
        self._dispatch_table = (
            copyreg.dispatch_table
            | dict.fromkeys(_APART, self._apart)
            | {proba.Gaussian: _reduce_gaussian, qo_splitter.Slot: _reduce_slot}
        )

    def write(self, value: object) -> int:
        """Write a piece, after all those that it consists of; tell its number."""
        around, self._being_written = self._being_written, value
        out = io.BytesIO()
        pickler = self._pickler(out)
        pickler.dispatch_table = self._dispatch_table
        pickler.dump(value)
        self._being_written = around
        self.pieces.append(out.getvalue())
        return len(self.pieces) - 1

    def _apart(self, value: object) -> str | tuple[Any, ...]:
        if value is self._being_written:
            return value.__reduce_ex__(5)
        number = self._numbers.get(id(value))
        if number is None:
            number = self._numbers[id(value)] = self.write(value)
        return _piece, (number,)


class _Canonical(pickle.Pickler):
    """Writes equal models as equal bytes, which nobody reads.

    A pickle tells whether two equal strings are one object, feature names, say. Models that were
    read back have strings of their own, which makes no difference to what they do. It also tells
    in which order a set of strings is kept, which is the process's affair.
    """

    def __init__(self, out: io.BytesIO, names: dict[str, int]) -> None:
        super().__init__(out, protocol=5)
        self._names = names

    def persistent_id(self, obj: Any) -> int | list[str] | None:  # noqa: ANN401  # as inherited
        if type(obj) is str:
            return self._names.setdefault(obj, len(self._names))
        return sorted(map(repr, obj)) if type(obj) is set else None


class _RestrictedUnpickler(pickle.Unpickler):
    def __init__(self, piece: bytes, read: Sequence[object], classes: set[type]) -> None:
        super().__init__(io.BytesIO(piece))
        self._read = read
        self._classes = classes
        """Filled with those that the pickle asks for."""

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401  # as inherited
        if (module, name) == _REFERENCE:
            return self._read.__getitem__
        if (module, name) not in _ALLOWED:
            raise SnapshotRefused(f"pickle asks for {module}.{name}, which no model needs")
        found = super().find_class(module, name)
        if isinstance(found, FunctionType):
            return partial(found)  # a pickle may set attributes of what it is given
        if isinstance(found, type) and found not in self._classes:
            self._classes.add(found)
            if found not in _AS_DEFINED:
                copyreg._slotnames(found)  # type: ignore[attr-defined]  # noqa: SLF001  # kept there
                _AS_DEFINED[found] = dict(vars(found))
        return found


_AS_DEFINED: Final[dict[type, dict[str, Any]]] = {}
"""Attributes of the classes that pickles have asked for."""
_ADDED_BY_PYTHON: Final = frozenset({"__annotations__", "__slotnames__"})
"""What a class has from the moment on at which it is first asked for, by anybody."""


def _put_right(classes: Iterable[type]) -> list[type]:
    """Give classes the attributes back that a pickle changed; tell which ones it did."""
    changed = []
    for each in classes:
        before, now = _AS_DEFINED[each], vars(each)
        if now == before:
            continue
        for name in (now.keys() - before.keys()) & _ADDED_BY_PYTHON:
            before[name] = now[name]
        if now != before:
            changed.append(each)
    for each in changed:
        before = _AS_DEFINED[each]
        for name in set(vars(each)) - before.keys():
            delattr(each, name)
        for name, value in before.items():
            if vars(each).get(name) is not value:
                setattr(each, name, value)
    return changed


def dumps(models: tuple[Estimator, ...]) -> bytes:
    """Pickle models of the catalogue, together so that they share their feature names."""
    writer = _Writer(lambda out: pickle.Pickler(out, protocol=5))
    writer.write(models)
    pieces = writer.pieces
    return pieces[0] if len(pieces) == 1 else msgspec.msgpack.encode(pieces)


def pieces_of(blob: bytes) -> list[bytes]:
    """Tell the pickles that bytes consist of; each refers only to those before it.

    Raises
    ------
    SnapshotRefused
        When they are none.
    """
    if blob[:1] == b"" or blob[0] not in _ARRAYS:
        return [blob]  # of a model without large parts, or as former releases wrote all of them
    try:
        return msgspec.msgpack.decode(blob, type=list[bytes])
    except UNREADABLE as error:
        raise SnapshotRefused(f"pieces cannot be read: {error}") from error


def loads(
    blob: bytes,
    *,
    pause: Callable[[], None] = lambda: None,
    pieces: list[object] | None = None,
) -> tuple[Estimator, ...]:
    r"""Unpickle models, refusing everything that is not part of one.

    Parameters
    ----------
    pause
        Called now and then: lets others have the interpreter.
    pieces
        Filled with all that was read, the models last: who holds it can give them up one by one.

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
    read: list[object] = [] if pieces is None else pieces
    n_bytes = 0
    classes: set[type] = set()
    try:
        for piece in pieces_of(blob):
            if n_bytes + len(piece) > _AT_ONCE:
                pause()
                n_bytes = 0
            read.append(_RestrictedUnpickler(piece, read, classes).load())
            n_bytes += len(piece)
    except SnapshotRefused:
        raise
    except Exception as error:  # a pickle can raise anything
        raise SnapshotRefused(f"pickle cannot be read: {error!r}") from error
    finally:
        changed = _put_right(classes)
    if changed:
        names = ", ".join(sorted(each.__name__ for each in changed))
        raise SnapshotRefused(f"pickle changes what all models share: {names}")
    models = read[-1] if read else None
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
    names: dict[str, int] = {}
    writer = _Writer(lambda out: _Canonical(out, names))
    writer.write((model,))
    told = hashlib.sha256("\0".join(names).encode())
    for piece in writer.pieces:
        told.update(hashlib.sha256(piece).digest())
    return told.digest()


def copy(model: E) -> E:
    """Copy a model of the catalogue, ten times faster than `copy.deepcopy` does."""
    copied: tuple[Any, ...] = loads(dumps((model,)))
    found: E = copied[0]
    return found
