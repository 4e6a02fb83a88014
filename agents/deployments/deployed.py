"""Who does what now, and which alerts are silenced, for everybody in a process who has to know."""

from typing import Final

from agents.pipeline import Pipeline
from agents.silence import Silence, silence_of
from online_models.registry import Registry


class Deployed:
    """The present roles of a pipeline's models; before the log says otherwise, the declared ones.

    A feed changes it from a thread of its own. What it holds is replaced and never changed, so
    that who looks once has one answer: a batch looks at its start.

    Examples
    --------
    >>> from examples.shop.pipeline import PIPELINE
    >>> Deployed(PIPELINE).roles.champion == PIPELINE.champion
    True
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self.models: Final = pipeline.models
        """That the pipeline declares, and that learn."""
        self._declared_rollout: Final = pipeline.rollout
        self._declared_silences: Final = pipeline.silences
        self.follow(Registry(pipeline.use_case))

    def follow(self, registry: Registry) -> None:
        """Let a registry hold from now on."""
        roles = registry.roles(self.models)
        self.registry = registry
        # First: a candidate that is the champion is compared with nobody.
        self.rollout = registry.rollouts.now(self._declared_rollout, champion=roles.champion)
        """The rollout that runs, at its present exposure."""
        self.roles = roles
        decided = (silence_of(change.event) for change in registry.silences.values())
        self.silences: tuple[Silence, ...] = (*self._declared_silences, *decided)
        """Declared and decided, whether over or not."""
