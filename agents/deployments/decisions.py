"""Make the events that decide who serves, from what is known now; what cannot be is said at once.

An event made here may still come second: `agents.deployments.log.append` tells.
"""

from agents.pipeline import Pipeline
from online_models.registry import Registry
from schemas.deployments import PROMOTED, ROLLED_BACK, Deployment, split
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
    known = references(pipeline, registry)
    if reference not in known:
        raise ThalwegError(f"no model `{reference}`: there are {', '.join(known)}")
    model, version = split(reference)
    event = Deployment(
        kind=PROMOTED,
        use_case=pipeline.use_case,
        model=model,
        version=version,
        at=at,
        by=by,
        why=why,
        expects=registry.offset,
        replaces=registry.roles(pipeline.models).champion,
    )
    return _possible(registry, event)


def rollback(pipeline: Pipeline, registry: Registry, *, at: int, by: str, why: str) -> Deployment:
    """Put back who was the champion before; raises likewise."""
    roles = registry.roles(pipeline.models)
    if roles.previous is None:
        raise ThalwegError(
            f"nothing to roll back to: {roles.champion} serves, and replaced nobody that the"
            " pipeline still names"
        )
    model, version = split(roles.previous)
    event = Deployment(
        kind=ROLLED_BACK,
        use_case=pipeline.use_case,
        model=model,
        version=version,
        at=at,
        by=by,
        why=why,
        expects=registry.offset,
        replaces=roles.champion,
    )
    return _possible(registry, event)


def references(pipeline: Pipeline, registry: Registry) -> list[str]:
    """List what may be promoted: models that learn, and versions of them that are kept."""
    kept = [
        reference
        for reference, standing in registry.standings.items()
        if standing.registered is not None
        and standing.state != "archived"
        and standing.registered.model in pipeline.models
    ]
    return [*pipeline.models, *kept]


def _possible(registry: Registry, event: Deployment) -> Deployment:
    if (refusal := registry.refusal(event)) is not None:
        raise ThalwegError(refusal.reason)
    return event
