"""Models that are learned anew, or go on from one of their versions, because somebody decided so.

The decision is an event on `deployments`, and a snapshot says which decision it obeys. So there is
nothing else to remember: whoever takes over looks at both, and begins again what was not finished.
"""

import logging
from collections.abc import Collection, Mapping
from typing import Final, NamedTuple

from agents.deployments.deployed import Deployed
from online_models.learner import Learner
from online_models.lineage import Rebuilt

logger = logging.getLogger(__name__)

_NEVER: Final = Rebuilt()


class Beginning(NamedTuple):
    """Where a new learner of a model begins."""

    model: str
    decision: int = -1
    """Offset of the decision that it obeys; -1: there was none."""
    origin: str | None = None
    """Version that it goes on from; `None`: it learns the log from its beginning."""


class Rebuilds:
    """Which models are being learned anew, and which decisions are obeyed.

    A new learner of a model catches up beside the old one, which goes on learning and being
    published. It takes the old one's place when both have learned the same outcomes. If they have
    the same origin they have to be the same then, to the last bit.

    Parameters
    ----------
    schema, target
        Hashes of our features and label rule.
    """

    def __init__(self, deployed: Deployed, *, schema: str = "", target: str = "") -> None:
        self._deployed = deployed
        self._made_for = schema, target
        self.begin({}, {})

    def begin(self, obeyed: Mapping[str, Rebuilt], begun: Mapping[Beginning, Learner]) -> None:
        """Go on from what snapshots say; without one, a model is learned anew in any case."""
        self._obeyed = dict(obeyed)
        self._refused: set[int] = set()
        self._underway = {
            beginning.model: (learner, beginning) for beginning, learner in begun.items()
        }

    def of(self, model: str) -> Rebuilt:
        """Tell what a snapshot of a model has to say of it."""
        return self._obeyed.get(model, _NEVER)

    def beginning(self, model: str) -> Beginning:
        """Tell where a new learner of a model begins, as it is decided now."""
        registry = self._deployed.registry
        change, origin = registry.rebuilds.get(model), registry.origins.get(model)
        decision = -1 if change is None else change.offset
        if origin is None or origin.event.version is None:
            return Beginning(model, decision)
        version = origin.event.reference
        if decision > origin.offset and self._is_outlived(version):
            return Beginning(model, decision)
        return Beginning(model, decision, version)

    def _is_outlived(self, version: str) -> bool:
        """Tell whether a version was made for other features or labels.

        When those changed, the model that had gone on from it began with nothing.
        """
        standing = self._deployed.registry.standings.get(version)
        registered = None if standing is None else standing.registered
        if registered is None or not registered.schema:
            return False
        return (registered.schema, registered.target) != self._made_for

    def due(self, learners: Collection[str]) -> list[Beginning]:
        """Tell what is to begin, of models that learn."""
        beginnings = [
            self.beginning(model)
            for model in self._deployed.registry.rebuilds
            if model in learners and model not in self._underway
        ]
        return [
            each
            for each in beginnings
            if each.decision > self.of(each.model).decision and each.decision not in self._refused
        ]

    def begun(self, learner: Learner, beginning: Beginning) -> None:
        """Note that a learner begins because that was decided."""
        whence = beginning.origin or "the beginning of the log"
        logger.info("%s is learned anew, from %s on", beginning.model, whence)
        self._underway[beginning.model] = learner, beginning

    def refused(self, beginning: Beginning) -> None:
        """Note that a decision cannot be obeyed: the present learner goes on."""
        self._refused.add(beginning.decision)

    def caught_up(self, learner: Learner, before: Learner | None) -> bool:
        """Note that a learner takes the place of another one; tell whether it had begun anew.

        Parameters
        ----------
        before
            Whose place it takes, if that one has learned what it has learned.
        """
        begun, beginning = self._underway.get(learner.model, (None, Beginning(learner.model)))
        if learner is not begun:
            return False
        del self._underway[learner.model]
        confirmed = None
        if before is not None and not self.is_to_be_another(learner.model):
            confirmed = before.fingerprint() == learner.fingerprint()
            said = "the same to the last bit" if confirmed else "NOT the same"
            logger.info("%s was learned anew: %s as the former one", learner.model, said)
        self._obeyed[learner.model] = Rebuilt(beginning.decision, confirmed)
        return True

    def origin(self, model: str) -> int:
        """Tell which decision says what a model goes on from; -1: there was none.

        Two learners of a model that tell the same come to the same model.
        """
        change = self._deployed.registry.origins.get(model)
        return -1 if change is None else min(change.offset, self.of(model).decision)

    def has_resumed_since(self, model: str, decision: int) -> bool:
        """Tell whether a model goes on from elsewhere than it did as it obeyed a decision.

        One that was learned anew from where it began is the same.
        """
        change = self._deployed.registry.origins.get(model)
        return change is not None and decision < change.offset <= self.of(model).decision

    def is_to_be_another(self, model: str) -> bool:
        """Tell whether a model is about to be replaced by one that went on from elsewhere."""
        change = self._deployed.registry.origins.get(model)
        return (
            change is not None
            and change.offset > self.of(model).decision
            and change.offset not in self._refused
        )
