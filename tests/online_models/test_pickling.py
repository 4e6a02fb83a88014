import copyreg
import functools
import gc
import io
import itertools
import os
import pickle
import random
import weakref
from collections import defaultdict
from collections.abc import Hashable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from river import anomaly, datasets, linear_model, proba
from river.tree.splitter import GaussianSplitter

from online_models import catalogue, pickling
from schemas.errors import SnapshotRefused
from tests.online_models.tasks.small import small

IMMUTABLE = (str, int, float, bool, bytes, type(None), tuple)


class Reduces:
    """Pickles to a call of our choice."""

    def __init__(self, *reduction: object) -> None:
        self.reduction = reduction

    def __reduce__(self):
        return self.reduction


@pytest.mark.parametrize(
    "attack",
    [
        Reduces(os.system, ("touch pwned",)),
        Reduces(eval, ("1+1",)),
        Reduces(exec, ("pwned = True",)),
        Reduces(getattr, ("", "join")),
        Reduces(functools.partial, (print, "pwned")),
        Reduces(__import__, ("os",)),
        functools.partial(print, "pwned"),
        os.path.join,
        random.randint,
    ],
    ids=["system", "eval", "exec", "getattr", "partial", "import", "a partial", "join", "method"],
)
def test_a_pickle_that_names_anything_but_models_is_refused(attack, capsys):
    with pytest.raises(SnapshotRefused, match="which no model needs"):
        pickling.loads(pickle.dumps(attack))

    assert "pwned" not in capsys.readouterr().out


def test_dotted_names_do_not_reach_through_an_allowed_class():
    """STACK_GLOBAL would walk `Pipeline.__init__.__globals__` if the name were only split."""
    walk = b"\x80\x04\x8c\x16river.compose.pipeline\x8c\x1dPipeline.__init__.__globals__\x93."

    with pytest.raises(SnapshotRefused, match="__globals__"):
        pickling.loads(walk)


@pytest.mark.parametrize("value", [None, [1], (1,), ("a", 2.0), {}])
def test_a_pickle_of_harmless_values_is_no_model_either(value):
    with pytest.raises(SnapshotRefused):
        pickling.loads(pickle.dumps(value))


def sets_attribute(of: str, name: str, value: bytes) -> bytes:
    """Make a pickle that sets an attribute of a class or function, and gives a good model."""
    good = pickling.dumps((catalogue.make("binary_logistic_v1"),))
    asked = f"c{of}\n".encode()
    attribute = pickle.SHORT_BINUNICODE + bytes([len(name)]) + name.encode()
    return b"\x80\x05" + asked + b"N}(" + attribute + value + b"u\x86b0" + good[2:]


@pytest.mark.parametrize(
    "attack",
    [
        ("predict_proba_one", b"cbuiltins\nfloat\n"),  # instead of its own
        ("_loss", b"cbuiltins\nfloat\n"),  # one that it has not
    ],
    ids=["replaced", "added"],
)
def test_a_pickle_that_changes_a_class_is_refused_and_changes_nothing(attack):
    """The models that are served already are of the same class."""
    blob = sets_attribute("river.linear_model.log_reg\nLogisticRegression", *attack)
    before = dict(vars(linear_model.LogisticRegression))  # writing one adds `__slotnames__`

    with pytest.raises(SnapshotRefused, match="changes what all models share: LogisticRegression"):
        pickling.loads(blob)
    assert dict(vars(linear_model.LogisticRegression)) == before


def test_what_python_adds_to_a_class_in_passing_is_no_change():
    """`__annotations__` of a class that has none is there once somebody asked for it."""
    blob = pickling.dumps((catalogue.recipe("anomaly_loda_v1").make(),))
    pickling.loads(blob)
    pickling._AS_DEFINED[anomaly.LODA].pop("__annotations__", None)  # another test may have asked

    assert anomaly.LODA.__annotations__ == {}
    assert "__annotations__" in vars(anomaly.LODA)
    pickling.loads(blob)
    assert "__annotations__" in vars(anomaly.LODA)


def test_a_pickle_changes_no_function():
    before = dict(vars(pickling.slot)), pickling.slot.__defaults__
    blob = sets_attribute("online_models.pickling\nslot", "__defaults__", b"K\x01\x85")

    with pytest.raises(SnapshotRefused):
        pickling.loads(blob)
    assert (dict(vars(pickling.slot)), pickling.slot.__defaults__) == before


@given(junk=st.binary(max_size=200))
def test_any_bytes_end_in_a_refusal(junk):
    with pytest.raises(SnapshotRefused):
        pickling.loads(junk)


STREAMS: dict[str, tuple[datasets.base.Dataset, ...]] = {
    "binary": (datasets.Phishing(), datasets.Bananas()),
    "multiclass": (datasets.ImageSegments(),),
    "regression": (datasets.TrumpApproval(), datasets.synth.Friedman(seed=1)),
    "anomaly": (datasets.Shuttle(),),
    "bandit": (datasets.ImageSegments(),),
}
"""What models of each task learn while it is looked what they consist of."""


def taught(name: str, n: int = 500):
    rng = random.Random(0)
    model = small(name)
    for _ in range(n):
        x: dict[Hashable, float] = {f"f{j}": rng.gauss(0, 1) for j in range(10)}
        model.learn_one(x, x["f0"] + x["f1"] > 1)
    return model, [{f"f{j}": rng.gauss(0, 1) for j in range(10)} for _ in range(50)]


@functools.cache
def grown_model(name: str) -> Any:
    """One that has learned much, and all of it the other way round; nobody is to teach it."""
    model = catalogue.make(name)
    for is_other in (False, True):
        for features, label in datasets.Phishing().take(600):
            model.learn_one(features, label != is_other)
    return model


@functools.cache
def grown(name: str) -> bytes:
    return pickling.dumps((grown_model(name),))


@pytest.mark.parametrize("name", catalogue.names("binary"))
def test_a_copy_predicts_and_learns_like_the_original(name):
    model, questions = taught(name)
    copy = pickling.copy(model)
    for x in questions:
        assert copy.predict_proba_one(x) == model.predict_proba_one(x)
        model.learn_one(x, True)
        copy.learn_one(x, True)


def named_in(blob: bytes) -> set[tuple[str, str]]:
    """Tell every class and function that pickles ask for, but for one another."""
    asked = set()
    read: list[object] = []

    class Listens(pickle.Unpickler):
        def find_class(self, module: str, name: str):
            if (module, name) == ("online_models.pickling", "_piece"):
                return read.__getitem__
            asked.add((module, name))
            return super().find_class(module, name)

    read.extend(Listens(io.BytesIO(piece)).load() for piece in pickling.pieces_of(blob))
    return asked


def test_nothing_is_let_in_that_no_model_needs():
    """What each model consists of while it grows, together, is the list of what is allowed."""
    told: dict[str, Any] = defaultdict(lambda: lambda label: (label,))
    told |= {"anomaly": lambda label: (), "bandit": lambda label: (label, 1.0)}
    needed = set()
    for name in catalogue.NAMES:
        for stream in STREAMS[catalogue.task(name).name]:
            model = small(name)
            for n, (features, label) in enumerate(stream.take(1_200)):
                if n in {0, 50, 400}:
                    needed |= named_in(pickling.dumps((model,)))
                model.learn_one(features, *told[catalogue.task(name).name](label))
            needed |= named_in(pickling.dumps((model,)))

    assert needed == pickling._ALLOWED


TREES = tuple(
    name for name in catalogue.names("binary") if len(pickling.pieces_of(grown(name))) > 1
)
MOST_BYTES = 1 << 15
"""Of a piece: a millisecond to read."""


@pytest.mark.parametrize("name", TREES)
def test_no_piece_is_so_large_that_reading_it_keeps_others_waiting(name):
    blob = grown(name)
    sizes = [len(piece) for piece in pickling.pieces_of(blob)]
    pauses: list[None] = []
    read: list[object] = []
    (model,) = pickling.loads(blob, pause=lambda: pauses.append(None), pieces=read)

    assert max(sizes) <= MOST_BYTES
    assert len(pauses) >= sum(sizes) // (2 * MOST_BYTES)
    assert len(read) == len(sizes)
    assert read[-1] == (model,)


@pytest.mark.parametrize("name", TREES)
def test_what_a_former_release_wrote_in_one_pickle_is_read_as_the_same_model(name):
    model: Any = pickling.loads(grown(name))[0]
    out = io.BytesIO()
    former = pickle.Pickler(out, protocol=5)
    former.dispatch_table = {
        **copyreg.dispatch_table,
        proba.Gaussian: pickling._reduce_gaussian,
    }
    former.dump((model,))
    read: Any = pickling.loads(out.getvalue())[0]

    assert pickling.fingerprint(read) == pickling.fingerprint(model)
    for features, label in datasets.Phishing().take(300):
        read.learn_one(features, not label)
        model.learn_one(features, not label)
    assert pickling.fingerprint(read) == pickling.fingerprint(model)


@pytest.mark.parametrize("name", TREES)
def test_what_pieces_share_makes_no_difference_once_it_is_shared_no_more(name):
    """Only what a tree copies its leaves' splitters from, which nothing is ever noted in."""
    found: dict[int, tuple[object, set[int]]] = {}
    numbers = itertools.count()

    class Notes(pickle.Pickler):
        def __init__(self, out: io.BytesIO) -> None:
            super().__init__(out, protocol=5)
            self.number = next(numbers)

        def persistent_id(self, obj: object) -> None:
            if type(obj) not in IMMUTABLE and not callable(obj):
                found.setdefault(id(obj), (obj, set()))[1].add(self.number)

    pickling._Writer(Notes).write((grown_model(name),))
    shared = [
        each
        for each, where in found.values()
        if len(where) > 1 and type(each) not in pickling._APART
    ]
    templates = [each for each in shared if isinstance(each, GaussianSplitter)]
    states = [vars(each) for each in templates]

    assert templates != []
    assert all(state["_att_dist_per_class"] == {} for state in states)
    inside = {id(each) for state in states for each in (state, *state.values())}
    assert [each for each in shared if each not in templates and id(each) not in inside] == []


@pytest.mark.parametrize(
    "attack",
    [
        msgspec.msgpack.encode([pickle.dumps(os.system)]),
        msgspec.msgpack.encode([pickle.dumps(1), pickle.dumps(eval)]),
        msgspec.msgpack.encode([pickle.dumps((pickling._piece, 0))]),
        msgspec.msgpack.encode([pickle.dumps(Reduces(pickling._piece, (7,)))]),
        msgspec.msgpack.encode([pickle.dumps(Reduces(pickling._piece, ("a",)))]),
        msgspec.msgpack.encode([]),
        msgspec.msgpack.encode(["no bytes"]),
        msgspec.msgpack.encode([grown(TREES[0])]),
    ],
)
def test_a_piece_may_no_more_than_a_whole_pickle_may(attack):
    with pytest.raises(SnapshotRefused):
        pickling.loads(attack)


@pytest.mark.parametrize("name", catalogue.names("binary"))
def test_a_model_is_gone_once_nobody_uses_it(name):
    """Without waiting for the garbage collector, which is kept from the hot path."""
    gc.disable()
    try:
        model = weakref.ref(pickling.copy(grown_model(name)))
        assert model() is None
    finally:
        gc.enable()


def test_unused_random_generators_are_left_out():
    tree, _ = taught("binary_hoeffding_tree_v1")

    assert len(pickling.dumps((tree,))) < len(pickle.dumps(tree)) / 5
