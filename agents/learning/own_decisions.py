"""What `learn` decides by itself, in the transaction of the batch that it rests on."""

from typing import Final

import msgspec

from agents.deployments.deployed import Deployed
from agents.deployments.log import headers
from agents.kafka.batch import Batch
from online_models.registry import Registry
from schemas.deployments import Deployment

SOURCE: Final = "/thalweg/learn"
BY: Final = "learn"

_encode = msgspec.json.Encoder().encode


class OwnDecisions:
    """One decision after the other, as somebody takes them who looks at the log once a batch.

    A decision comes to be in the log a moment after its batch is committed. Until it is read there,
    or what was faster, it is under way, and its evidence is not to be acted upon again.

    Parameters
    ----------
    topic
        Full name of `deployments`.
    """

    def __init__(self, deployed: Deployed, *, topic: str) -> None:
        self._deployed = deployed
        self._topic = topic
        self.begin()

    def begin(self) -> None:
        """Forget what was under way: it was in a batch that is committed, or never will be."""
        self.registry: Registry = self._deployed.registry
        """What was decided, as of the last look."""
        self._underway: Deployment | None = None

    @property
    def is_underway(self) -> bool:
        """Tell whether the log, as far as it was read, lacks what was decided last."""
        return self._underway is not None

    def look(self) -> Registry:
        """See what was decided by now; a batch does so at its start."""
        self.registry = self._deployed.registry
        # Nothing is left to wait for: it is in the log, something was faster, or what it decides
        # about is there no longer.
        if self._underway is not None and self.registry.refusal(self._underway) is not None:
            self._underway = None
        return self.registry

    def take(self, event: Deployment, batch: Batch) -> None:
        """Let a decision leave with a batch."""
        self._underway = event
        batch.emit(
            self._topic,
            _encode(event),
            event.use_case.encode(),
            partition=0,
            headers=headers(event, SOURCE),
        )
