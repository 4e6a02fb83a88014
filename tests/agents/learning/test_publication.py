"""What snapshots cost the learner, whatever the models; and who waits for which."""

from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.learning.publication import (
    CHALLENGER_INTERVAL_S,
    CHAMPION_INTERVAL_S,
    SHARE,
    Publication,
)
from agents.observability.learner_metrics import LearnerMetrics
from agents.observability.metrics import Metrics
from online_models.learner import Learner
from online_models.signing import Signer

CHAMPION = "binary_logistic_v1"
CHALLENGERS = ("binary_hoeffding_tree_v1", "binary_ftrl_v1")
LEARNERS = {
    name: Learner(name, feature_names=("clicks",), schema="s1") for name in (CHAMPION, *CHALLENGERS)
}
SIGNER = Signer.generate()


class Work:
    """A stopwatch of a learner whose snapshots take as long as they are said to."""

    def __init__(self, took_s: dict[str, float]) -> None:
        self.spent_s = dict.fromkeys(took_s, 0.0)
        self.publication = Publication(
            lambda: CHAMPION, SIGNER, LearnerMetrics(Metrics()), stopwatch=self._stopwatch
        )
        self._took_s = took_s
        self._at_s = 0.0
        self._reads = count()
        self._model = CHAMPION

    def _stopwatch(self) -> float:
        if next(self._reads) % 2:  # the end of a snapshot
            self._at_s += self._took_s[self._model]
            self.spent_s[self._model] += self._took_s[self._model]
        return self._at_s

    def run(self, seconds: float, step_s: float = 0.1) -> dict[str, list[float]]:
        """Let every model have news all the time; tell when each was published."""
        at_s: dict[str, list[float]] = {name: [] for name in self._took_s}
        for elapsed_s in (n * step_s for n in range(int(seconds / step_s))):
            for name in self._took_s:
                self.publication.note_news(name, 0)
            for name, _ in self.publication.due(elapsed_s):
                self._model = name
                at_s[name].append(elapsed_s)
                assert self.publication.records(LEARNERS[name], elapsed_s, 0) != []
        return at_s


@settings(max_examples=15, deadline=None)
@given(
    champion_s=st.floats(0, 2),
    challengers_s=st.lists(st.floats(0, 2), min_size=len(CHALLENGERS), max_size=len(CHALLENGERS)),
)
def test_snapshots_take_their_share_of_the_learners_time_whatever_the_models(
    champion_s, challengers_s
):
    """But for the first of each model, of which nothing is known, and the last, just written."""
    work = Work({CHAMPION: champion_s, **dict(zip(CHALLENGERS, challengers_s, strict=True))})
    seconds = 60.0
    at_s = work.run(seconds)
    once_s = champion_s + sum(challengers_s)

    assert sum(work.spent_s.values()) <= SHARE * seconds + 2 * once_s + 1e-6
    assert all(at_s.values())


def test_cheap_models_are_published_as_often_as_they_may_be():
    work = Work({CHAMPION: 0.001, CHALLENGERS[0]: 0.01})
    at_s = work.run(31)

    assert at_s[CHAMPION] == pytest.approx([n * CHAMPION_INTERVAL_S for n in range(62)])
    assert at_s[CHALLENGERS[0]] == pytest.approx([n * CHALLENGER_INTERVAL_S for n in range(4)])


def test_a_dear_challenger_keeps_no_news_of_the_champion_back():
    work = Work({CHAMPION: 0.001, CHALLENGERS[0]: 1.0})
    at_s = work.run(81)

    assert at_s[CHAMPION] == pytest.approx([n * CHAMPION_INTERVAL_S for n in range(162)])
    assert at_s[CHALLENGERS[0]] == pytest.approx([0, 40, 80])
