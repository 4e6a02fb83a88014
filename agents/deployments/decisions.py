"""Make the events that decide who serves, and which alerts are silent, from what is known now.

What cannot be is said at once.

An event made here may still come second: `agents.deployments.log.append` tells.
"""

from collections.abc import Sequence

from agents.observability.runbooks import RUNBOOKS
from agents.pipeline import Pipeline
from online_models.assignment import Rollout
from online_models.registry import Registry
from schemas.deployments import (
    ALL_ALERTS,
    ARCHIVED,
    PROMOTED,
    REBUILD,
    RESUMED,
    RETRAINING,
    ROLLED_BACK,
    SILENCED,
    STEPPED,
    STOPPED,
    UNSILENCED,
    WANTED,
    Deployment,
    split,
)
from schemas.errors import ThalwegError


def promotion(
    pipeline: Pipeline, registry: Registry, reference: str, *, at: int, by: str, why: str
) -> Deployment:
    """Make a model or a version of it the champion.

    Raises
    ------
    ThalwegError
        There is no such model, or it may not serve; says what there is.

    Examples
    --------
    >>> from examples.shop.pipeline import PIPELINE
    >>> nothing_decided = Registry(PIPELINE.use_case)
    >>> said = {"at": 0, "by": "ada@desk", "why": "better by .02"}
    >>> promotion(PIPELINE, nothing_decided, "binary_hoeffding_tree_v1", **said).replaces
    'binary_logistic_v1'
    >>> promotion(PIPELINE, nothing_decided, "tree", **said)
    Traceback (most recent call last):
    schemas.errors.ThalwegError: no model `tree`: there are binary_logistic_v1, binary_hoeffding_tree_v1
    """  # noqa: E501  # what a doctest shows is one line
    _known(references(pipeline, registry), reference)
    champion = registry.roles(pipeline.models).champion
    ends = _running(pipeline, registry)
    return _decided(
        registry, PROMOTED, reference, at=at, by=by, why=why, replaces=champion, rollout=ends
    )


def rollback(pipeline: Pipeline, registry: Registry, *, at: int, by: str, why: str) -> Deployment:
    """Put back who was the champion before; raises likewise."""
    roles = registry.roles(pipeline.models)
    if roles.previous is None:
        raise ThalwegError(
            f"nothing to roll back to: {roles.champion} serves, and replaced nobody that the"
            " pipeline still names"
        )
    previous, champion = roles.previous, roles.champion
    ends = _running(pipeline, registry)
    return _decided(
        registry, ROLLED_BACK, previous, at=at, by=by, why=why, replaces=champion, rollout=ends
    )


def wish(
    pipeline: Pipeline, registry: Registry, model: str, *, at: int, by: str, why: str
) -> Deployment:
    """Ask the learner to keep a version of a model as it is; raises likewise."""
    _known(pipeline.models, model)
    return _decided(registry, WANTED, model, at=at, by=by, why=why)


def rebuild(
    pipeline: Pipeline, registry: Registry, model: str, *, at: int, by: str, why: str
) -> Deployment:
    """Ask the learner to learn a model anew from where it began; raises likewise."""
    _known(pipeline.models, model)
    return _decided(registry, REBUILD, model, at=at, by=by, why=why)


def resumption(
    pipeline: Pipeline, registry: Registry, reference: str, *, at: int, by: str, why: str
) -> Deployment:
    """Let a challenger go on from one of its versions, or from the beginning of the log.

    Whoever answers users now stays what it is: nobody would have seen how good the other one is.

    Raises
    ------
    ThalwegError
        There is no such version, or its model answers.

    Examples
    --------
    >>> from examples.shop.pipeline import PIPELINE
    >>> nothing_decided = Registry(PIPELINE.use_case)
    >>> said = {"at": 0, "by": "ada@desk", "why": "new prices"}
    >>> resumption(PIPELINE, nothing_decided, "binary_hoeffding_tree_v1", **said).reference
    'binary_hoeffding_tree_v1'
    >>> resumption(PIPELINE, nothing_decided, "binary_logistic_v1", **said)
    Traceback (most recent call last):
    schemas.errors.ThalwegError: binary_logistic_v1 is the champion: only who does not answer can...
    """
    _known(references(pipeline, registry), reference)
    part = answering_part(pipeline, registry, split(reference)[0])
    if part is not None:
        raise ThalwegError(
            f"{split(reference)[0]} is {part}: only who does not answer can go on from elsewhere"
        )
    return _decided(registry, RESUMED, reference, at=at, by=by, why=why)


def retraining(
    pipeline: Pipeline, registry: Registry, model: str, *, at: int, by: str, why: str
) -> Deployment:
    """Begin to train a model from the offline store; raises likewise."""
    _known(pipeline.models, model)
    return _decided(registry, RETRAINING, model, at=at, by=by, why=why)


def answering_part(pipeline: Pipeline, registry: Registry, model: str) -> str | None:
    """Tell in which part a model that learns answers users, or would after a rollback.

    >>> from examples.shop.pipeline import PIPELINE
    >>> answering_part(PIPELINE, Registry(PIPELINE.use_case), "binary_hoeffding_tree_v1") is None
    True
    """
    roles = registry.roles(pipeline.models)
    rollout = registry.rollouts.now(pipeline.rollout, champion=roles.champion)
    members = () if pipeline.ensemble is None else pipeline.ensemble.members
    for part, holds in (
        ("the champion", model == roles.champion),
        ("`previous`, whom a rollback puts back", model == roles.previous),
        ("a member of the ensemble", model in members),
        ("where a route leads", any(model == route.model for route in pipeline.routes)),
        (
            "the candidate of a rollout with users",
            rollout is not None and model == rollout.candidate and rollout.exposure > 0,
        ),
    ):
        if holds:
            return part
    return None


def archiving(
    pipeline: Pipeline, registry: Registry, reference: str, *, at: int, by: str, why: str
) -> Deployment:
    """Let a version that was kept never serve again; raises likewise."""
    if reference in pipeline.models:
        raise ThalwegError(
            f"{reference} goes on learning as long as the pipeline names it: only versions of it,"
            f" {reference}@..., can be archived"
        )
    _known(versions(registry), reference)
    return _decided(registry, ARCHIVED, reference, at=at, by=by, why=why)


def step(
    pipeline: Pipeline,
    registry: Registry,
    exposure: float | None = None,
    *,
    at: int,
    by: str,
    why: str,
) -> Deployment:
    """Let more users, or fewer, be in the experiment of the rollout that the pipeline declares.

    Parameters
    ----------
    exposure
        Share of users; by default the next step that is declared.

    Raises
    ------
    ThalwegError
        There is no rollout, it is over, or there is no such step.
    """
    rollout = _declared(pipeline)
    champion = registry.roles(pipeline.models).champion
    now = registry.rollouts.now(rollout, champion=champion)
    if rollout.candidate == champion:
        raise ThalwegError(f"{champion} is the champion already")
    if exposure is None:
        # Of one that is over any will do: it is refused, with the reason.
        exposure = rollout.exposure if now is None else now.next_exposure
        if exposure is None:
            raise ThalwegError(
                f"no step of {rollout.name} is left: promote {rollout.candidate}, stop, or name an"
                " exposure"
            )
    elif now is not None and now.exposure == exposure:
        raise ThalwegError(f"{rollout.name} has an exposure of {exposure} already")
    return _decided(
        *(registry, STEPPED, rollout.candidate),
        at=at,
        by=by,
        why=why,
        rollout=rollout.name,
        exposure=exposure,
    )


def stop(pipeline: Pipeline, registry: Registry, *, at: int, by: str, why: str) -> Deployment:
    """End the rollout that the pipeline declares; raises likewise."""
    rollout = _declared(pipeline)
    return _decided(
        registry, STOPPED, rollout.candidate, at=at, by=by, why=why, rollout=rollout.name
    )


def silencing(
    registry: Registry, kind: str, *, until: int, at: int, by: str, why: str
) -> Deployment:
    """Let alerts of a kind be written down only, until a time (ms); `*` is all kinds.

    Raises
    ------
    ThalwegError
        There are no such alerts, or the time is over.

    Examples
    --------
    >>> from examples.shop.pipeline import PIPELINE
    >>> nothing_decided = Registry(PIPELINE.use_case)
    >>> said = {"at": 0, "by": "ada@desk", "why": "the sale"}
    >>> silencing(nothing_decided, "drift", until=3_600_000, **said).subject
    'drift alerts until 1970-01-01T01:00:00.000Z'
    >>> silencing(nothing_decided, "weather", until=3_600_000, **said)
    Traceback (most recent call last):
    schemas.errors.ThalwegError: no alerts of the kind `weather`: there are accuracy, drift, ...
    """
    if kind not in (*RUNBOOKS, ALL_ALERTS):
        there_are = ", ".join(RUNBOOKS)
        raise ThalwegError(f"no alerts of the kind `{kind}`: there are {there_are}, and `all`")
    if until <= at:
        raise ThalwegError("a silence ends later than now")
    return _of_alerts(registry, SILENCED, kind, until=until, at=at, by=by, why=why)


def unsilencing(registry: Registry, kind: str, *, at: int, by: str, why: str) -> Deployment:
    """Take a silence back before it is over.

    Raises
    ------
    ThalwegError
        Nobody decided upon one of these alerts.

    Examples
    --------
    >>> from examples.shop.pipeline import PIPELINE
    >>> unsilencing(Registry(PIPELINE.use_case), "drift", at=0, by="ada@desk", why="it is over")
    Traceback (most recent call last):
    schemas.errors.ThalwegError: no silence of `drift` was decided: there are none. One that the...
    """
    if kind not in registry.silences:
        there_are = ", ".join(registry.silences).replace(ALL_ALERTS, "all") or "none"
        raise ThalwegError(
            f"no silence of `{'all' if kind == ALL_ALERTS else kind}` was decided: there are"
            f" {there_are}. One that the pipeline declares ends as declared"
        )
    return _of_alerts(registry, UNSILENCED, kind, until=0, at=at, by=by, why=why)


def references(pipeline: Pipeline, registry: Registry) -> list[str]:
    """List what may be promoted: models that learn, and versions of them that are kept."""
    kept = [version for version in versions(registry) if split(version)[0] in pipeline.models]
    return [*pipeline.models, *kept]


def versions(registry: Registry) -> list[str]:
    """List the versions that are kept, of whatever models."""
    return [
        reference
        for reference, standing in registry.standings.items()
        if standing.registered is not None and standing.state != "archived"
    ]


def _of_alerts(
    registry: Registry, decision: str, kind: str, *, until: int, at: int, by: str, why: str
) -> Deployment:
    """Make an event about alerts that would take effect if it came next."""
    event = Deployment(
        kind=decision,
        use_case=registry.use_case,
        model="",
        at=at,
        by=by,
        why=why,
        expects=registry.offset,
        alert_kind=kind,
        until=until,
    )
    return _allowed(registry, event)


def _declared(pipeline: Pipeline) -> Rollout:
    if pipeline.rollout is None:
        raise ThalwegError(
            "the pipeline declares no rollout: Pipeline(rollout=Rollout(name=..., candidate=...,"
            " exposure=...))"
        )
    return pipeline.rollout


def _running(pipeline: Pipeline, registry: Registry) -> str:
    """Name the rollout that a change of the champion ends; empty: none."""
    champion = registry.roles(pipeline.models).champion
    now = registry.rollouts.now(pipeline.rollout, champion=champion)
    return "" if now is None else now.name


def _known(known: Sequence[str], reference: str) -> None:
    if reference not in known:
        there_are = ", ".join(known) or "none"
        raise ThalwegError(f"no model `{reference}`: there are {there_are}")


def _decided(
    registry: Registry,
    kind: str,
    reference: str,
    *,
    at: int,
    by: str,
    why: str,
    replaces: str = "",
    rollout: str = "",
    exposure: float | None = None,
) -> Deployment:
    """Make an event that would take effect if it came next."""
    model, version = split(reference)
    event = Deployment(
        kind=kind,
        use_case=registry.use_case,
        model=model,
        version=version,
        at=at,
        by=by,
        why=why,
        expects=registry.offset,
        replaces=replaces,
        rollout=rollout,
        exposure=exposure,
    )
    return _allowed(registry, event)


def _allowed(registry: Registry, event: Deployment) -> Deployment:
    if (refusal := registry.refusal(event)) is not None:
        raise ThalwegError(refusal.reason)
    return event
