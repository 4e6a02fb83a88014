"""What the log of deployments says of rollouts: how many users are in each, and which are over."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from online_models.assignment import Rollout
from schemas.deployments import STOPPED, Deployment


@dataclass(frozen=True, slots=True)
class RolloutStanding:
    """What was decided last about one rollout."""

    candidate: str
    exposure: float
    is_over: bool
    offset: int
    """Of the event that decided it."""
    event: Deployment
    n_decided: int = 0
    """Steps, back and forth, by whomever."""


@dataclass(frozen=True, slots=True)
class Rollouts(Mapping[str, RolloutStanding]):
    """Rollouts by name. Immutable, as the registry that holds it.

    A rollout compares its candidate with the champion: whenever the champion changes, it is over.

    Examples
    --------
    >>> def event(kind, **fields):
    ...     return Deployment(kind=kind, use_case="intent", model="tree", at=0, by="ada", **fields)
    >>> declared = Rollout(name="tree-2026", candidate="tree", exposure=0.02, steps=(0.1, 0.5))
    >>> stepped = Rollouts().decided(event("stepped", rollout="tree-2026", exposure=0.1), 7)
    >>> stepped.now(declared, champion="logistic").exposure
    0.1
    >>> promoted = stepped.champion_changed(event("promoted", rollout="tree-2026"), 8)
    >>> promoted.now(declared, champion="tree") is None
    True
    """

    by_name: Mapping[str, RolloutStanding] = field(default_factory=dict)

    def __getitem__(self, name: str) -> RolloutStanding:
        return self.by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.by_name)

    def __len__(self) -> int:
        return len(self.by_name)

    def now(self, declared: Rollout | None, *, champion: str) -> Rollout | None:
        """Tell a declared rollout as it is by now; `None`: it is over, or compares nothing.

        Nor is one that another candidate had under this name: what was decided was about that one.
        """
        if declared is None or declared.candidate == champion:
            return None
        standing = self.get(declared.name)
        if standing is None:
            return declared
        if standing.is_over or standing.candidate != declared.candidate:
            return None
        return replace(declared, exposure=standing.exposure)

    def objection(self, event: Deployment, champion: str | None) -> str | None:
        """Tell why a step or a stop that comes next would take no effect; `None`: it would."""
        standing, reason = self.get(event.rollout), None
        if not event.rollout:
            reason = "it names no rollout"
        elif standing is not None and standing.is_over:
            by, kind = standing.event.by, standing.event.kind.replace("_", " ")
            reason = f"{event.rollout} is over: {by} {kind} {standing.event.subject}"
        elif event.reference == champion:
            reason = f"{event.reference} is the champion already"
        elif standing is not None and standing.candidate != event.reference:
            reason = f"the candidate of {event.rollout} is {standing.candidate}"
        elif event.kind == STOPPED:
            pass
        elif event.exposure is None or not 0.0 <= event.exposure <= 1.0:
            reason = f"exposure is a share from 0 to 1, not {event.exposure}"
        elif standing is not None and standing.exposure == event.exposure:
            reason = f"{event.rollout} has an exposure of {event.exposure} already"
        return reason

    def decided(self, event: Deployment, offset: int) -> "Rollouts":
        """Take in a step or a stop that takes effect."""
        before = self.get(event.rollout)
        exposure = event.exposure
        if exposure is None:
            exposure = 0.0 if before is None else before.exposure
        is_over = event.kind == STOPPED
        n_decided = 1 if before is None else 1 + before.n_decided
        standing = RolloutStanding(event.reference, exposure, is_over, offset, event, n_decided)
        return self._with({event.rollout: standing})

    def champion_changed(self, event: Deployment, offset: int) -> "Rollouts":
        """Let a promotion or a rollback end what runs, and what its writer knew to run."""
        ended = {
            name: replace(standing, is_over=True, offset=offset, event=event)
            for name, standing in self.items()
            if not standing.is_over
        }
        if event.rollout and event.rollout not in self:
            ended[event.rollout] = RolloutStanding("", 0.0, True, offset, event)
        return self._with(ended) if ended else self

    def _with(self, changed: Mapping[str, RolloutStanding]) -> "Rollouts":
        return Rollouts({**self.by_name, **changed})
