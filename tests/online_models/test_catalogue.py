import itertools
from collections.abc import Callable, Iterator

import pytest
from river import base, checks, datasets

from online_models import catalogue
from online_models.catalogue.parameters import parameters_of
from online_models.estimator import Estimator
from tests.online_models.tasks.small import small

BINARY = catalogue.names("binary")


def checks_of(name: str) -> Iterator[Callable[[object], None]]:
    """Yield River's checks of an estimator.

    It excuses random patches from features that come, go and change places: they draw their
    features by position. Ours stay where they are as long as a model lives. Its streams of yes and
    no, of numpy's yes and no, and of classes are all tried, but for how much a model keeps: that
    takes ten times as many rows, on the stream that is like what the model is asked here.
    """
    model: Estimator = catalogue.recipe(name).make()
    of_memory = []
    for check in checks.yield_checks(model):
        if check.__name__ == "check_bounded_memory_growth":
            of_memory.append(check)
        elif check.__name__ not in model._unit_test_skips():
            yield check
    yield from of_memory[:1] if name in BINARY else of_memory[-1:]  # none for choosing arms


# River tries detectors of anomalies on a stream that it would have to fetch; this one it brings.
with pytest.MonkeyPatch.context() as patch:
    patch.setattr(datasets, "CreditCard", datasets.Shuttle)
    CHECKS = [
        pytest.param(name, check, id=f"{name}-{check.__name__}")
        for name in catalogue.NAMES
        for check in checks_of(name)
    ]


@pytest.mark.parametrize(("name", "check"), CHECKS)
def test_each_model_keeps_the_promises_of_a_river_estimator(
    name: str, check: Callable[[object], None]
):
    check(small(name))


@pytest.mark.parametrize("name", BINARY)
def test_two_models_of_one_name_share_nothing(name: str):
    taught, untaught = catalogue.make(name), catalogue.make(name)
    for clicks in range(50):
        taught.learn_one({"clicks": float(clicks)}, clicks > 10)

    assert untaught.predict_proba_one({"clicks": 40.0}) == catalogue.make(name).predict_proba_one(
        {"clicks": 40.0}
    )


@pytest.mark.parametrize("name", catalogue.NAMES)
def test_names_say_task_and_version(name: str):
    task, _, version = name.rpartition("_v")

    assert task.startswith(f"{catalogue.task(name).name}_")
    assert int(version) >= 1


def answers(name: str, **weights: float) -> list[float]:
    """Teach 300 outcomes, the positives with a weight if one is given, and ask 100 questions."""
    model: base.Classifier = small(name)
    for features, label in datasets.Phishing().take(300):
        model.learn_one(features, label, **(weights if label else {}))
    return [
        model.predict_proba_one(features)[True]
        for features, _ in itertools.islice(datasets.Phishing(), 300, 400)
    ]


@pytest.mark.parametrize("name", [name for name in BINARY if catalogue.recipe(name).takes_weights])
def test_positives_of_a_larger_weight_are_expected_more_often(name: str):
    assert sum(answers(name, w=5.0)) > sum(answers(name)) + 1


@pytest.mark.parametrize(
    "name", [name for name in BINARY if not catalogue.recipe(name).takes_weights]
)
def test_who_is_said_to_take_no_weights_refuses_or_forgets_them(name: str):
    try:
        weighted = answers(name, w=5.0)
    except TypeError:
        return
    assert weighted == answers(name)


@pytest.mark.parametrize("name", catalogue.NAMES)
def test_every_model_tells_its_parameters_whatever_its_task(name: str):
    """A version that is kept has them in its event, and `learn` must not end over it."""
    told = parameters_of(name)

    assert told
    assert all(isinstance(value, str | int | float | None) for value in told.values())
