"""Which model answers which events: by segment, as people declared it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import inf

from online_models.rules import Condition, checked
from schemas.errors import InvalidDeclaration


@dataclass(frozen=True, slots=True)
class Route(Condition):
    """See `route`."""

    model: str


def route(feature: str, *, above: float = -inf, below: float = inf, to: str) -> Route:
    """Declare which model answers if a feature is above, below, or between; bounds are excluded.

    Raises
    ------
    InvalidDeclaration
        The route says nothing, or can never be taken.

    Examples
    --------
    >>> route("platform_is_mobile", above=0.5, to="binary_ftrl_v1").holds({"platform_is_mobile": 1})
    True
    """
    checked(feature, above, below)
    return Route(feature, above, below, to)


def check_routes(routes: Sequence[Route], features: Collection[str]) -> None:
    """Check that there is what routes are about.

    Raises
    ------
    InvalidDeclaration
        Names the feature that nobody declares.
    """
    for each in routes:
        if each.feature not in features:
            raise InvalidDeclaration(
                f"a route is about `{each.feature}`, which is no feature of the pipeline"
            )
