"""Models that are learned anew from the beginning of the log, because somebody decided so.

The decision is an event on `deployments`, and a snapshot says which decision it obeys. So there is
nothing else to remember: whoever takes over looks at both, and begins again what was not finished.
"""

import logging
from collections.abc import Callable, Iterable, Mapping

from agents.deployments.deployed import Deployed
from online_models.learner import Learner
from online_models.lineage import Rebuilt

logger = logging.getLogger(__name__)

_NEVER = Rebuilt()


class Rebuilds:
    """Which models are being learned anew, and which decisions are obeyed.

    A new learner of a model catches up beside the old one, which goes on learning and being
    published. It takes the old one's place when both have learned the same outcomes: then they have
    to be the same, to the last bit.

    Parameters
    ----------
    new_learner
        Makes one of a model, that has learned nothing.
    """

    def __init__(self, deployed: Deployed, new_learner: Callable[[str], Learner]) -> None:
        self._deployed = deployed
        self._new_learner = new_learner
        self.begin({}, ())

    def begin(self, obeyed: Mapping[str, Rebuilt], from_nothing: Iterable[Learner]) -> None:
        """Go on from what snapshots say; without one, a model is learned anew in any case."""
        self._obeyed = dict(obeyed)
        self._underway = {
            learner.model: (learner, self._decision(learner.model)) for learner in from_nothing
        }

    def of(self, model: str) -> Rebuilt:
        """Tell what a snapshot of a model has to say of it."""
        return self._obeyed.get(model, _NEVER)

    def due(self, learners: Mapping[str, Learner]) -> list[Learner]:
        """Make a new learner of each model of which that was decided, among those that learn."""
        begun = []
        for model in self._deployed.registry.rebuilds:
            decision = self._decision(model)
            if model in learners and model not in self._underway:
                if decision <= self.of(model).decision:
                    continue
                logger.info("%s is learned anew from the beginning of the log", model)
                learner = self._new_learner(model)
                self._underway[model] = learner, decision
                begun.append(learner)
        return begun

    def caught_up(self, learner: Learner, before: Learner | None) -> bool:
        """Note that a learner takes the place of another one; tell whether it had begun anew.

        Parameters
        ----------
        before
            Whose place it takes, if that one has learned what it has learned.
        """
        begun, decision = self._underway.get(learner.model, (None, -1))
        if learner is not begun:
            return False
        del self._underway[learner.model]
        confirmed = None
        if before is not None:
            confirmed = before.fingerprint() == learner.fingerprint()
            said = "the same to the last bit" if confirmed else "NOT the same"
            logger.info("%s was learned anew: %s as the former one", learner.model, said)
        self._obeyed[learner.model] = Rebuilt(decision, confirmed)
        return True

    def _decision(self, model: str) -> int:
        change = self._deployed.registry.rebuilds.get(model)
        return -1 if change is None else change.offset
