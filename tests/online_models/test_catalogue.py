from collections.abc import Callable

import pytest
from river import checks

from online_models import catalogue

CHECKS = [
    pytest.param(name, check, id=f"{name}-{check.__name__}")
    for name in catalogue.NAMES
    for check in checks.yield_checks(catalogue.make(name))
]


@pytest.mark.parametrize(("name", "check"), CHECKS)
def test_each_model_keeps_the_promises_of_a_river_estimator(
    name: str, check: Callable[[object], None]
):
    check(catalogue.make(name))


@pytest.mark.parametrize("name", catalogue.NAMES)
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

    assert task.startswith("binary_")
    assert int(version) >= 1
