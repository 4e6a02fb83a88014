"""What features can be about beside users: an item, a session, a user and an item.

A view is an entity and what to compute of its events, by the same declarations and the same
compiled fold as a user's. Where an entity's key holds the user's id, all its events are in the
user's partition; others are gathered from all partitions, on a topic that is keyed by the entity.
"""

from dataclasses import dataclass
from typing import Final

from schemas.errors import InvalidDeclaration
from streams.feature_kinds import (
    Feature,
    FieldValue,
    HourOfDay,
    IsAction,
    OneOf,
    RequestTime,
    several,
)

USER_KEY: Final = "user_id"
"""What `user-events` is keyed by."""

USER: Final = "user"
"""The entity that every event is about."""

_OF_THE_EVENT: Final = (FieldValue, HourOfDay, IsAction, OneOf, RequestTime)


@dataclass(frozen=True, slots=True)
class Entity:
    """Something that events are about, told by one of their fields or by several.

    >>> Entity("user_item", ("user_id", "item_id")).is_of_user
    True
    >>> Entity("item", ("item_id",)).is_of_user
    False
    """

    name: str
    """Lower case; the names of its features begin with it."""
    keys: tuple[str, ...]
    """Fields of the event. One that lacks any of them is not about such an entity."""

    def __post_init__(self) -> None:
        if not self.name.isidentifier() or self.name != self.name.lower() or self.name == USER:
            raise InvalidDeclaration(
                f"an entity's name begins those of its features: {self.name!r} cannot"
            )
        if len(set(several(self.keys, f"entity `{self.name}`"))) < len(self.keys):
            raise InvalidDeclaration(f"entity `{self.name}` needs different fields as its key")
        if self.keys == (USER_KEY,):
            raise InvalidDeclaration(
                f"entity `{self.name}` is the user: declare its features among the pipeline's own"
            )

    @property
    def is_of_user(self) -> bool:
        """Whether all its events come in one user's partition."""
        return USER_KEY in self.keys


ITEM: Final = Entity("item", ("item_id",))
SESSION: Final = Entity("session", (USER_KEY, "session_id"))
"""A session is one user's, whoever else uses its id."""
USER_ITEM: Final = Entity("user_item", (USER_KEY, "item_id"))


@dataclass(frozen=True, slots=True)
class FeatureView:
    """See `about`."""

    entity: Entity
    features: tuple[Feature, ...]

    def __post_init__(self) -> None:
        if not self.features:
            raise InvalidDeclaration(f"nothing is declared about entity `{self.entity.name}`")
        for feature in self.features:
            if isinstance(feature, _OF_THE_EVENT):
                raise InvalidDeclaration(
                    f"feature `{feature.names[0]}` is of the very event: declare it among the"
                    f" pipeline's own, not about entity `{self.entity.name}`"
                )


def about(entity: Entity, *features: Feature) -> FeatureView:
    """Declare features of an entity; served under names that begin with the entity's.

    >>> from datetime import timedelta
    >>> from streams.features import count
    >>> about(ITEM, count(over=timedelta(hours=1))).entity.keys
    ('item_id',)
    """
    return FeatureView(entity, features)
