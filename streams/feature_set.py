"""All features of a pipeline: the user's, and those of the views of other entities.

`compile_feature_set` compiles each view by the fold that users' features are compiled by. What a
model sees is one row: the user's features, then those of the views whose entity is of the user,
then those of the others, each in the order of their declaration.
"""

import hashlib
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final

from msgspec import inspect

from schemas.errors import InvalidDeclaration
from schemas.events import UserEvent
from streams.clean import MAX_ID_LENGTH
from streams.entities import Entity, FeatureView
from streams.feature_defaults import default_of
from streams.feature_kinds import CurrentSession, Derived, Feature
from streams.fold import FeatureFold, compile_features

_KEY_TYPES: Final = (inspect.StrType, inspect.IntType, inspect.LiteralType, inspect.NoneType)


class CompiledView:
    """A view whose features can be computed; made by `compile_feature_set`.

    Attributes
    ----------
    entity
        What the features are about.
    fold
        Keeps the features of one entity up to date, under names of its own.
    names
        What they are served under, in the fold's order.
    retention_ms
        That of the fold.
    absent
        What is served where there is no entity, or none that did anything: a value for each name.
    """

    def __init__(self, view: FeatureView, record: type[UserEvent]) -> None:
        self.entity: Final = view.entity
        self.fold: Final = compile_features(view.features, record)
        self.retention_ms: Final = self.fold.retention // timedelta(milliseconds=1)
        prefix = f"{view.entity.name}_"
        self.names: Final = tuple(prefix + name for name in self.fold.names)
        self.absent: Final = without_events(view.features)
        self.key: Final = _key_function(view.entity, record)
        """Tells an event's entity as text, as `item:sku-1`; `None` if it is about none."""


class FeatureSet:
    """What a pipeline computes.

    Attributes
    ----------
    user
        The fold of users' features.
    of_user
        Views whose entities' events are all in one user's partition.
    gathered
        Views whose entities' events come from all partitions.
    names
        All features, in the order in which models see them.
    n_exact
        How many of them, from the first, follow from one partition's events alone: those of
        gathered views depend on what is known when an event is predicted for.
    schema
        Hash of all declarations; that of `user` if there are no views.
    """

    def __init__(
        self,
        features: Sequence[Feature],
        views: Sequence[FeatureView],
        record: type[UserEvent],
    ) -> None:
        self.user: Final = compile_features(features, record)
        compiled = [CompiledView(view, record) for view in views]
        self.of_user: Final = tuple(each for each in compiled if each.entity.is_of_user)
        self.gathered: Final = tuple(each for each in compiled if not each.entity.is_of_user)
        self.views: Final = (*self.of_user, *self.gathered)
        exact = (*self.user.names, *(name for view in self.of_user for name in view.names))
        self.n_exact: Final = len(exact)
        self.names: Final = (*exact, *(name for view in self.gathered for name in view.names))
        self.schema: Final = _schema(self.user, self.views)
        _check_unique(self)

    def view(self, entity: str) -> CompiledView:
        """Find a view by the name of its entity.

        Raises
        ------
        InvalidDeclaration
            Names the entities there are.
        """
        for view in self.views:
            if view.entity.name == entity:
                return view
        known = ", ".join(view.entity.name for view in self.views) or "none but the user"
        raise InvalidDeclaration(f"the pipeline has no entity `{entity}`; there is {known}")


def compile_feature_set(
    features: Sequence[Feature], views: Sequence[FeatureView], record: type[UserEvent]
) -> FeatureSet:
    """Compile the features of users and of other entities.

    Raises
    ------
    InvalidDeclaration
        As `compile_features`; for an entity that is declared twice, or whose key is no field of
        `record`, or neither text nor an integer.

    Examples
    --------
    >>> from streams.entities import ITEM, USER_ITEM, about
    >>> from streams.features import count
    >>> hourly = count(over=timedelta(hours=1))
    >>> built = compile_feature_set([hourly], [about(ITEM, hourly), about(USER_ITEM, hourly)],
    ...                             UserEvent)
    >>> built.names
    ('event_count_1h', 'user_item_event_count_1h', 'item_event_count_1h')
    >>> built.view("item").key(UserEvent("ada", "view", 0, item_id="sku-1"))
    'item:sku-1'
    >>> built.view("user_item").key(UserEvent("ada", "view", 0))
    """
    return FeatureSet(features, views, record)


def without_events(features: Sequence[Feature]) -> tuple[float, ...]:
    """Tell what is served of who did nothing within any window.

    >>> from streams.features import count, session_events, time_since
    >>> without_events([count(over=timedelta(hours=1)), session_events(), time_since()])
    (0.0, 1.0, 15.866...)
    """
    values: dict[str, float] = {}
    for feature in features:
        values |= zip(feature.names, _without_events(feature, values), strict=True)
    return tuple(values.values())


def _without_events(feature: Feature, values: dict[str, float]) -> tuple[float, ...]:
    match feature:
        case Derived():
            return (_derived(feature, values),)
        case CurrentSession():
            return (float(feature.statistic == "events"),)
    default = default_of(feature)
    if default is None:
        raise InvalidDeclaration(f"feature `{feature.names[0]}` is of no event")
    return (default,) * len(feature.names)


def _derived(feature: Derived, values: dict[str, float]) -> float:
    given = {name: values[name] for name in feature.of}
    try:
        return float(feature.function(*given.values()))
    except Exception as error:
        raise InvalidDeclaration(
            f"feature `{feature.names[0]}` has no value where nothing was done: of {given} its"
            f" function raises {error!r}"
        ) from error


def _key_function(entity: Entity, record: type[UserEvent]) -> Callable[[UserEvent], str | None]:
    described = inspect.type_info(record)
    types = {f.name: f.type for f in described.fields}  # type: ignore[attr-defined]  # a struct
    for name in entity.keys:
        if name not in types:
            raise InvalidDeclaration(
                f"entity `{entity.name}`: {record.__name__} has no field `{name}`"
            )
        options = getattr(types[name], "types", (types[name],))
        if not all(isinstance(option, _KEY_TYPES) for option in options):
            raise InvalidDeclaration(
                f"entity `{entity.name}`: field `{name}` of {record.__name__} is neither text nor"
                " an integer"
            )
    prefix, keys, is_single = f"{entity.name}:", entity.keys, len(entity.keys) == 1

    def key(event: UserEvent) -> str | None:
        parts = []
        for name in keys:
            value = getattr(event, name)
            part = "" if value is None else str(value)
            # Entities are remembered by the million: what is longer is no id.
            if not 0 < len(part) <= MAX_ID_LENGTH:
                return None
            parts.append(part)
        return prefix + (parts[0] if is_single else "|".join(map(_escaped, parts)))

    return key


def _escaped(part: str) -> str:
    r"""Let no two pairs read the same.

    >>> print("|".join(map(_escaped, ("a|b", "c"))))
    a\|b|c
    """
    return part.replace("\\", "\\\\").replace("|", "\\|")


def _check_unique(built: FeatureSet) -> None:
    entities = [view.entity.name for view in built.views]
    if twice := {name for name in entities if entities.count(name) > 1}:
        raise InvalidDeclaration(f"entity `{min(twice)}` is declared twice: one view holds it all")
    if twice := {name for name in built.names if built.names.count(name) > 1}:
        raise InvalidDeclaration(f"feature `{min(twice)}` is declared twice")


def _schema(user: FeatureFold, views: Sequence[CompiledView]) -> str:
    if not views:
        return user.schema
    meaning = repr((user.schema, [(view.entity, view.fold.schema) for view in views]))
    return hashlib.sha256(meaning.encode()).hexdigest()[:16]
