import functools
import io
import os
import pickle
import random
from collections.abc import Hashable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from river import datasets

from online_models import catalogue, pickling
from schemas.errors import SnapshotRefused


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


@given(junk=st.binary(max_size=200))
def test_any_bytes_end_in_a_refusal(junk):
    with pytest.raises(SnapshotRefused):
        pickling.loads(junk)


STREAMS: dict[str, tuple[datasets.base.Dataset, ...]] = {
    "binary": (datasets.Phishing(), datasets.Bananas()),
    "multiclass": (datasets.ImageSegments(),),
    "regression": (datasets.TrumpApproval(), datasets.synth.Friedman(seed=1)),
    "anomaly": (datasets.Shuttle(),),
}
"""What models of each task learn while it is looked what they consist of."""


def taught(name: str, n: int = 500):
    rng = random.Random(0)
    model = catalogue.make(name)
    for _ in range(n):
        x: dict[Hashable, float] = {f"f{j}": rng.gauss(0, 1) for j in range(10)}
        model.learn_one(x, x["f0"] + x["f1"] > 1)
    return model, [{f"f{j}": rng.gauss(0, 1) for j in range(10)} for _ in range(50)]


@pytest.mark.parametrize("name", catalogue.names("binary"))
def test_a_copy_predicts_and_learns_like_the_original(name):
    model, questions = taught(name)
    copy = pickling.copy(model)
    for x in questions:
        assert copy.predict_proba_one(x) == model.predict_proba_one(x)
        model.learn_one(x, True)
        copy.learn_one(x, True)


def named_in(blob: bytes) -> set[tuple[str, str]]:
    """Tell every class and function that a pickle asks for."""
    asked = set()

    class Listens(pickle.Unpickler):
        def find_class(self, module: str, name: str):
            asked.add((module, name))
            return super().find_class(module, name)

    Listens(io.BytesIO(blob)).load()
    return asked


def test_nothing_is_let_in_that_no_model_needs():
    """What each model consists of while it grows, together, is the list of what is allowed."""
    needed = set()
    for name in catalogue.NAMES:
        for stream in STREAMS[catalogue.task(name).name]:
            model: Any = catalogue.recipe(name).make()
            for n, (features, label) in enumerate(stream.take(1_200)):
                if n in {0, 50, 400}:
                    needed |= named_in(pickling.dumps((model,)))
                model.learn_one(features, *[label] * (catalogue.task(name).name != "anomaly"))
            needed |= named_in(pickling.dumps((model,)))

    assert needed == pickling._ALLOWED


def test_unused_random_generators_are_left_out():
    tree, _ = taught("binary_hoeffding_tree_v1")

    assert len(pickling.dumps((tree,))) < len(pickle.dumps(tree)) / 5
