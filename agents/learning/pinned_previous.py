"""A `previous` that is a version, as it judges what the champion judges: so it can be put back.

Models that learn judge each outcome by an earlier self. A version stays as it is, and has no
learner; so it is loaded from `models`, beside the event loop, and asked about each outcome.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from agents.deployments.deployed import Deployed
from agents.learning.rebuild import Beginning
from online_models.accuracy import AccuracyWatch
from online_models.learner import Learner
from schemas.deployments import split
from schemas.outcomes import Outcome

Answer = Callable[[Outcome], float | None]
"""How good the answer to an outcome was, from 0 to 1; `None`: it tells nothing."""

_decode = msgspec.msgpack.Decoder(AccuracyWatch).decode


class PinnedPrevious:
    """The version that a rollback would put back, once it is loaded."""

    def __init__(self, deployed: Deployed) -> None:
        self._deployed: Final = deployed
        self.begin()

    def begin(self) -> None:
        """Forget what was loaded."""
        self._reference: str | None = None
        """Of what was loaded, or refused."""
        self._learner: Learner | None = None
        self._judge: Callable[[Outcome], float | None] = lambda outcome: None
        self._at_first = b""
        """How good its answers were when it was kept."""

    def due(self) -> Beginning | None:
        """Tell what is to be loaded."""
        previous = self._deployed.roles.previous
        if previous is None or previous == self._reference or split(previous)[1] is None:
            return None
        return Beginning(split(previous)[0], origin=previous)

    def loaded(self, beginning: Beginning, learner: Learner | None) -> None:
        """Take in what was loaded; `None`: its snapshot was refused."""
        self._reference, self._learner = beginning.origin, learner
        if learner is not None:
            self._judge = learner.judging()
            self._at_first = msgspec.msgpack.encode(learner.progress.accuracy)

    def is_at_hand(self, reference: str) -> bool:
        """Tell whether a version can be asked."""
        return self._learner is not None and self._reference == reference

    def answers(
        self, reference: str, watch: AccuracyWatch | None
    ) -> tuple[Answer, AccuracyWatch] | None:
        """Go on judging with a version.

        Parameters
        ----------
        watch
            How good its answers were so far; `None`: it begins.

        Returns
        -------
        What to ask about each outcome, and the watch that follows; `None`: it is not at hand.
        """
        learner, judge = self._learner, self._judge
        if learner is None or self._reference != reference:
            return None
        learner.progress.accuracy = _decode(self._at_first) if watch is None else watch

        def answer(outcome: Outcome) -> float | None:
            return None if judge(outcome) is None else learner.progress.accuracy.latest

        return answer, learner.progress.accuracy
