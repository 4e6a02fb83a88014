"""The frozen twin of the champion, from `learn` that pins it to `predict` that scores with it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import pytest

from agents.learning.twins import Twins
from agents.pipeline import DriftPolicy
from agents.testing import PipelineDriver
from examples.shop.pipeline import PIPELINE
from online_models.scorer import Scores
from online_models.twin import twin_of
from schemas import topics
from tests.agents.record import batch

WARM = 10
SMALL = replace(PIPELINE, drift=DriftPolicy(model_warmup_outcomes=WARM))
CHAMPION, (CHALLENGER,) = SMALL.champion, SMALL.challengers
TWIN = twin_of(CHAMPION)


class Shop(PipelineDriver):
    """Visitors who buy something now and then, one every half hour of event time."""

    n = 0

    def visit(self, times: int) -> "Shop":
        for _ in range(times):
            self.n += 1
            user = f"u{self.n}"
            for action in ("home", "cart", *(["purchase"] if self.n % 3 == 0 else [])):
                self.publish({"user_id": user, "action": action, "ts": self.now_ms})
                self.advance(timedelta(minutes=10))
        return self

    def published(self) -> list[str]:
        return [(record.key() or b"").decode() for record in self.read(topics.MODELS)]

    def twins(self) -> dict[str, bytes | None]:
        values = [record.value() for record in self.read(topics.MODELS)]
        found = dict(zip(self.published(), values, strict=True))
        return {name: value for name, value in found.items() if name.endswith("@twin")}

    @property
    def watched(self) -> tuple[str, int]:
        """Whose scores the partition watches, and how many it did."""
        drift = self._by_number[0].drift
        return drift._watched.model, drift.detector.n


@pytest.fixture(scope="module")
def shop() -> Shop:
    return Shop(SMALL).visit(12)


def test_a_champion_that_learned_enough_has_a_twin_that_stays_as_it_is(shop: Shop) -> None:
    before = shop.twins()
    shop.visit(10)

    assert WARM <= shop.model_versions[TWIN] < shop.model_versions[CHAMPION]
    assert shop.twins() == before
    assert list(before) == [TWIN]


def test_the_twin_is_what_is_watched(shop: Shop) -> None:
    model, n = shop.watched
    shop.visit(5)

    assert model == TWIN
    assert shop.watched == (TWIN, n + 5)


def test_twin_and_watch_survive_whoever_dies(shop: Shop) -> None:
    before, versions, watched = shop.twins(), shop.model_versions, shop.watched
    shop.crash("learn")
    shop.crash("predict")

    assert shop.watched == watched
    assert shop.model_versions[TWIN] == versions[TWIN]
    model, n = watched
    assert shop.visit(3).watched == (model, n + 3)
    assert shop.twins() == before


def test_beside_a_twin_that_is_too_slow_the_champion_is_watched() -> None:
    shop = Shop(SMALL).visit(12)
    served = shop.in_service(TWIN)
    assert served is not None
    shop._served.by_name[TWIN] = replace(served, may_serve=False)

    assert shop.visit(3).watched == (CHAMPION, 3)


def test_beside_a_twin_that_has_not_learned_enough_the_champion_is_watched() -> None:
    """By what is asked of models now."""
    shop = Shop(SMALL).visit(16)
    twin = shop.model_versions[TWIN]
    shop.deploy(replace(SMALL, drift=DriftPolicy(model_warmup_outcomes=twin + 1)))

    assert shop.visit(3).watched == (CHAMPION, 3)
    assert shop.model_versions[TWIN] == twin


def test_a_model_that_is_learned_anew_keeps_its_twin(shop: Shop) -> None:
    before = shop.twins()
    shop.rebuild(CHAMPION)
    shop.visit(3)

    assert shop.twins() == before


def test_another_champion_has_a_twin_of_its_own(shop: Shop) -> None:
    shop.promote(CHALLENGER)
    shop.visit(3)
    promoted = shop.twins()
    assert promoted[TWIN] is None
    assert shop.watched == (twin_of(CHALLENGER), 2)  # from the second batch on
    assert TWIN not in shop.model_versions

    shop.roll_back()
    shop.visit(3)

    assert shop.twins()[twin_of(CHALLENGER)] is None
    assert shop.model_versions[TWIN] > WARM + 10


def test_a_version_that_was_kept_is_its_own_twin() -> None:
    shop = Shop(replace(SMALL, keep_every=20)).visit(14)
    kept = [key for key in shop.published() if key.startswith(f"{CHAMPION}@") and key != TWIN]
    version = kept[-1]
    shop.promote(version)
    shop.visit(5)

    assert shop.watched[0] in (version, TWIN)
    assert shop.twins()[TWIN] is None


def test_other_features_need_another_twin(shop: Shop) -> None:
    shop = Shop(SMALL).visit(8)
    before = shop.twins()[TWIN]
    shop.deploy(replace(SMALL, features=SMALL.features[:-1]))
    shop.visit(8)

    assert shop.twins()[TWIN] not in (None, before)
    assert shop.watched[0] == TWIN


def test_a_champion_that_went_on_from_elsewhere_has_another_twin() -> None:
    """Though `learn` saw nobody else serve meanwhile."""
    shop = Shop(SMALL)
    shop.promote(CHALLENGER)
    shop.keep(CHALLENGER)
    shop.keep(CHAMPION)
    shop.visit(40)
    kept = [key for key in shop.published() if "@" in key and not key.endswith("@twin")]
    version, origin = (
        next(key for key in kept if key.startswith(f"{name}@")) for name in (CHAMPION, CHALLENGER)
    )
    before = shop.twins()[twin_of(CHALLENGER)]
    shop.promote(CHAMPION)
    shop.promote(version)
    shop.resume(origin)
    shop.promote(CHALLENGER)
    shop.visit(5)
    pinned = shop.twins()[twin_of(CHALLENGER)]
    shop.crash("learn")
    shop.visit(3)

    assert pinned not in (None, before)
    assert shop.twins()[twin_of(CHALLENGER)] == pinned


def test_of_many_records_one_copy_is_made() -> None:
    """Of a large model a copy takes a while, and its snapshot has hundreds of parts."""
    driver = Shop(SMALL)
    learner = driver._training.learners[CHAMPION]
    copies: list[Scores] = []
    twins = Twins(
        *(driver._plan.deployed, driver._training._rebuilds),
        models=topics.MODELS.name,
        warm_from=0,
        encode=lambda _, name, __: [(f"{name}/part/0/{n}".encode(), b"x") for n in range(3)],
    )

    class Counted:
        n_learned = 1

        def scorer(self) -> Scores:
            copies.append(learner.scorer())
            return copies[-1]

    twins.settle(batch([], topic="outcomes"), {CHAMPION: cast(Any, Counted())}, 7)

    assert [twins.frozen[TWIN].scorer] == copies
