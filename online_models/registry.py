"""Who serves, folded from the events on `deployments`.

There is no coordinator. Whoever decides writes an event that says how far it had read the log
(`Deployment.expects`), and everybody who reads the log comes to the same verdict on it: it takes
effect unless something else about the same matter took effect in between. Of two who promote at
once, one wins, and the other is told who was faster.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from online_models.rollouts import Rollouts
from online_models.twin import twin_of
from schemas.deployments import (
    ARCHIVED,
    LAST_MS,
    PROMOTED,
    REBUILD,
    REGISTERED,
    RESUMED,
    RETRAINING,
    ROLLED_BACK,
    SILENCED,
    STEPPED,
    STOPPED,
    UNSILENCED,
    WANTED,
    Deployment,
    State,
    split,
)


@dataclass(frozen=True, slots=True)
class Change:
    """An event that took effect, and where it stands in the log."""

    offset: int
    event: Deployment

    def __str__(self) -> str:
        event = self.event
        return f"{event.by} {event.kind.replace('_', ' ')} {event.subject}"


@dataclass(frozen=True, slots=True)
class Standing:
    """What the log says of one model or version."""

    state: State
    change: Change
    """The last that concerned it."""
    registered: Deployment | None = None
    """How it came to be, of a version."""


@dataclass(frozen=True, slots=True)
class Retraining:
    """A training that a policy began."""

    change: Change
    is_over: bool = False
    """Whether a version came of it."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an event takes no effect."""

    reason: str
    faster: Change | None = None
    """What took effect since its writer had looked, if that is the reason."""


@dataclass(frozen=True, slots=True)
class Roles:
    """Who does what, as of one moment: references, `name` or `name@version`."""

    champion: str
    previous: str | None
    """Who a rollback would put back."""
    challengers: tuple[str, ...]
    """Models that learn and compete, in the order of their declaration."""
    answering: tuple[str, ...]
    """Who answers: the first of these that is in service. The champion; its model as it goes on
    learning; `previous`; the model that the pipeline declares as champion."""

    def aliases(self, reference: str) -> tuple[str, ...]:
        """Tell the roles of a model or version; none: the pipeline has no use for it.

        >>> roles = Registry("intent").roles(("a", "b"))
        >>> [roles.aliases(name) for name in ("a", "b", "b@7")]
        [('champion',), ('challenger',), ()]
        """
        holds = {
            "champion": reference == self.champion,
            "challenger": reference in self.challengers,
            "previous": reference == self.previous,
        }
        return tuple(alias for alias, held in holds.items() if held)

    @property
    def twin(self) -> str:
        """The frozen self of the champion, whose scores tell of its inputs."""
        return twin_of(self.champion)

    @property
    def kept(self) -> frozenset[str]:
        """Versions that have to be at hand, to serve now or after a rollback."""
        return frozenset(x for x in (self.champion, self.previous) if x is not None and "@" in x)


@dataclass(frozen=True, slots=True)
class Registry:
    """The models of one use case, as of one offset of the log.

    Immutable: readers look at one that stays as it is while others follow.

    Examples
    --------
    >>> def promote(model, expects, by="ada", replaces="logistic"):
    ...     return Deployment(kind="promoted", use_case="intent", model=model, at=0, by=by,
    ...                       expects=expects, replaces=replaces)
    >>> before = Registry("intent")
    >>> before.roles(("logistic", "tree")).champion
    'logistic'
    >>> after = before.fold(promote("tree", expects=-1), offset=7)
    >>> after.roles(("logistic", "tree"))
    Roles(champion='tree', previous='logistic', challengers=('logistic',), answering=('tree', 'logistic'))

    Somebody else decided at the same time, and comes second:

    >>> late = promote("forest", expects=-1, by="bob")
    >>> after.refusal(late).reason
    'ada promoted tree meanwhile'
    >>> after.fold(late, offset=8).champion
    'tree'
    """  # noqa: E501  # what a doctest shows is one line

    use_case: str
    champion: str | None = None
    """`None`: the log names none, and the pipeline's declaration holds."""
    previous: str | None = None
    swapped: Change | None = None
    """When the champion changed last."""
    standings: Mapping[str, Standing] = field(default_factory=dict)
    wanted: Mapping[str, Change] = field(default_factory=dict)
    """Models of which a version is to be kept, and is not yet."""
    rollouts: Rollouts = field(default_factory=Rollouts)
    """What was decided about exposure."""
    rebuilds: Mapping[str, Change] = field(default_factory=dict)
    """When it was decided last how a model is learned anew, or resumed; its snapshots say which
    decision they obey."""
    origins: Mapping[str, Change] = field(default_factory=dict)
    """What a model that learns goes on from, where that was decided: a version of it, or, if the
    event names none, the beginning of the log."""
    retrainings: Mapping[str, Retraining] = field(default_factory=dict)
    """The last one of each model."""
    silences: Mapping[str, Change] = field(default_factory=dict)
    """By kind of alerts, the last one that nobody took back; who looks knows the time, and whether
    it is over."""
    offset: int = -1
    """Of the last event that was seen, whatever came of it: what a writer `expects`."""

    def fold(self, event: Deployment, offset: int) -> "Registry":
        """Take an event in; one that was taken in before changes nothing."""
        if offset <= self.offset:
            return self
        seen = replace(self, offset=offset)
        if self.refusal(event) is not None:
            return seen
        return _EFFECTS[event.kind](seen, Change(offset, event))

    def refusal(self, event: Deployment) -> Refusal | None:
        """Tell why an event that comes next would take no effect; `None`: it would."""
        if event.use_case != self.use_case:
            return Refusal(f"it is about the use case {event.use_case}")
        if event.kind not in _EFFECTS:
            return Refusal(f"`{event.kind}` is nothing that this release knows")
        if event.kind not in _OF_ALERTS and not _names_models(event):
            return Refusal("it names no model")
        concerns = [each for each in self._concerns(event) if each is not None]
        # A wish is in nobody's way, and what a learner kept is kept, whatever was decided since.
        if event.kind not in (WANTED, REGISTERED, REBUILD):
            faster = max(concerns, key=lambda change: change.offset, default=None)
            if faster is not None and faster.offset > event.expects:
                return Refusal(f"{faster} meanwhile", faster)
        is_of_alerts = event.kind in _OF_ALERTS
        reason = self._no_silence(event) if is_of_alerts else self._objection(event)
        return None if reason is None else Refusal(reason)

    @property
    def resumed(self) -> frozenset[str]:
        """Versions that models go on from: whoever learns one of them anew begins there."""
        events = (change.event for change in self.origins.values())
        return frozenset(event.reference for event in events if event.version is not None)

    def replaced_by(self, event: Deployment) -> str | None:
        """Tell who was the champion before an event: its writer knew whom the pipeline declares."""
        return event.replaces or self.champion

    def _concerns(self, event: Deployment) -> tuple[Change | None, ...]:
        """Find what took effect last about the same matter."""
        if event.kind in _OF_ALERTS:
            return (self.silences.get(event.alert_kind),)
        if event.kind == RETRAINING:
            last = self.retrainings.get(event.model)
            return (None if last is None else last.change,)
        # It decides what is promoted, rolled back or stepped where a model that learns is named.
        origin = self.origins.get(event.model) if event.version is None else None
        if event.kind == RESUMED:
            stages = (
                Change(each.offset, each.event)
                for each in self.rollouts.values()
                if each.candidate == event.model
            )
            return self.origins.get(event.model), self.swapped, *stages
        found = self.rollouts.get(event.rollout)
        # Whoever names a rollout decides about it, and promotes whom it found better.
        rollout = None if found is None else Change(found.offset, found.event)
        if event.kind in (STEPPED, STOPPED):
            return self.swapped, rollout, origin if event.kind == STEPPED else None
        own = self.standings.get(event.reference)
        return (
            None if own is None else own.change,
            self.swapped if event.kind in (PROMOTED, ROLLED_BACK) else None,
            rollout if event.kind == PROMOTED else None,
            origin if event.kind in (PROMOTED, ROLLED_BACK) else None,
        )

    def _objection(self, event: Deployment) -> str | None:
        subject, reason = event.reference, None
        own = self.standings.get(subject)
        held = {self.previous: "`previous`", self.champion: "the champion"}
        match event.kind:
            case "wanted" if event.version is not None:
                reason = f"{subject} is kept already"
            case "registered" if event.version is None:
                reason = f"{subject} is no version"
            case "retraining" if event.version is not None:
                reason = f"{subject} stays as it is: only a model can be trained"
            case "rebuild" if event.version is not None:
                reason = f"{subject} stays as it is: only what learns can be learned anew"
            case "wanted" | "registered" | "rebuild" | "retraining":
                pass
            case "resumed":
                part = held.get(event.model)
                reason = self._no_origin(event, own) if part is None else f"{event.model} is {part}"
            case "stepped" | "stopped":
                reason = self.rollouts.objection(event, self.champion)
            case _ if own is not None and own.state == "archived":
                reason = f"{subject} is archived"
            case "archived" if subject in self.resumed:
                reason = f"{event.model} goes on from {subject}"
            case "archived" if subject in held:
                reason = f"{subject} is {held[subject]}"
            case "rolled_back" if subject != self.previous:
                reason = f"{subject} is not `previous`"
            case "promoted" | "rolled_back" if subject == self.replaced_by(event):
                reason = f"{subject} is the champion already"
        return reason

    def _no_silence(self, event: Deployment) -> str | None:
        if not event.alert_kind:
            return "it names no alerts"
        if event.kind == UNSILENCED:
            is_silenced = event.alert_kind in self.silences
            return None if is_silenced else f"{event.subject} are not silenced"
        if not 0 <= event.at < event.until <= LAST_MS:
            return "a silence ends after it began"
        return None if event.why else "a silence says why"

    @staticmethod
    def _no_origin(event: Deployment, own: Standing | None) -> str | None:
        if event.version is None:
            return None
        if own is None or own.registered is None:
            return f"{event.reference} was never registered"
        return f"{event.reference} is archived" if own.state == "archived" else None

    def roles(self, declared: Sequence[str]) -> Roles:
        """Tell who does what.

        Parameters
        ----------
        declared
            Models that the pipeline names, and that therefore learn: its champion first. One that
            it names no more is not served any more, whatever the log says: its features and labels
            may be others by now.
        """
        champion, previous = (
            reference if reference is not None and split(reference)[0] in declared else None
            for reference in (self.champion, self.previous)
        )
        if champion is None:
            champion = declared[0]
        answering = (champion, split(champion)[0], previous, declared[0])
        return Roles(
            champion,
            previous,
            tuple(name for name in declared if name != champion),
            tuple(dict.fromkeys(name for name in answering if name is not None)),
        )

    def state(self, reference: str, declared: Sequence[str]) -> State:
        """Tell the state of a model or version.

        >>> Registry("intent").state("tree", ("logistic", "tree"))
        'staging'
        """
        if reference == self.roles(declared).champion:
            return "production"
        if split(reference)[0] not in declared:
            return "archived"
        standing = self.standings.get(reference)
        # Who was the champion while the pipeline named it stands ready, and so does who learns.
        if standing is None or standing.state == "production":
            return "staging"
        return standing.state


def _swapped(registry: Registry, change: Change) -> Registry:
    event = change.event
    before = registry.replaced_by(event)
    standings = _with(registry.standings, event.reference, "production", change)
    if before is not None:
        standings = _with(standings, before, "staging", change)
    return replace(
        registry,
        champion=event.reference,
        previous=before,
        swapped=change,
        standings=standings,
        rollouts=registry.rollouts.champion_changed(event, change.offset),
    )


def _registered(registry: Registry, change: Change) -> Registry:
    event = change.event
    own = registry.standings.get(event.reference)
    state: State = "development" if own is None or own.state == "archived" else own.state
    wish = registry.wanted.get(event.model)
    wanted = registry.wanted
    if wish is not None and wish.offset <= event.expects:
        wanted = {model: other for model, other in wanted.items() if model != event.model}
    retrainings, begun = registry.retrainings, registry.retrainings.get(event.model)
    if begun is not None and begun.change.offset == event.retraining:
        retrainings = {**retrainings, event.model: replace(begun, is_over=True)}
    return replace(
        registry,
        standings={**registry.standings, event.reference: Standing(state, change, event)},
        wanted=wanted,
        retrainings=retrainings,
    )


def _wanted(registry: Registry, change: Change) -> Registry:
    return replace(registry, wanted={**registry.wanted, change.event.model: change})


def _rebuild(registry: Registry, change: Change) -> Registry:
    return replace(registry, rebuilds={**registry.rebuilds, change.event.model: change})


def _resumed(registry: Registry, change: Change) -> Registry:
    origins = {**registry.origins, change.event.model: change}
    return replace(_rebuild(registry, change), origins=origins)


def _retraining(registry: Registry, change: Change) -> Registry:
    retrainings = {**registry.retrainings, change.event.model: Retraining(change)}
    return replace(registry, retrainings=retrainings)


def _archived(registry: Registry, change: Change) -> Registry:
    standings = _with(registry.standings, change.event.reference, "archived", change)
    return replace(registry, standings=standings)


def _rolled_out(registry: Registry, change: Change) -> Registry:
    return replace(registry, rollouts=registry.rollouts.decided(change.event, change.offset))


def _silenced(registry: Registry, change: Change) -> Registry:
    return replace(registry, silences={**registry.silences, change.event.alert_kind: change})


def _unsilenced(registry: Registry, change: Change) -> Registry:
    kind = change.event.alert_kind
    left = {name: each for name, each in registry.silences.items() if name != kind}
    return replace(registry, silences=left)


def _with(
    standings: Mapping[str, Standing], reference: str, state: State, change: Change
) -> Mapping[str, Standing]:
    own = standings.get(reference)
    registered = None if own is None else own.registered
    return {**standings, reference: Standing(state, change, registered)}


def _names_models(event: Deployment) -> bool:
    """Tell whether every reference of an event is one; anybody can write anything to a topic."""
    try:
        written = split(event.reference)
        if event.replaces:
            split(event.replaces)
    except ValueError:
        return False
    return written == (event.model, event.version)


_EFFECTS: Final[Mapping[str, Callable[[Registry, Change], Registry]]] = {
    PROMOTED: _swapped,
    ROLLED_BACK: _swapped,
    WANTED: _wanted,
    REGISTERED: _registered,
    ARCHIVED: _archived,
    STEPPED: _rolled_out,
    STOPPED: _rolled_out,
    REBUILD: _rebuild,
    RESUMED: _resumed,
    RETRAINING: _retraining,
    SILENCED: _silenced,
    UNSILENCED: _unsilenced,
}
_OF_ALERTS: Final = (SILENCED, UNSILENCED)
