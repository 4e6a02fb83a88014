"""What a pipeline's features cost to keep, told from their declarations before there are users."""

import random
import sys
from base64 import b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

import msgspec
import orjson
from msgspec import inspect

from agents.feast import layout
from agents.pipeline import Pipeline
from agents.prediction import encode
from agents.prediction.encode import Envelope
from agents.prediction.predict_plan import SOURCE
from schemas.cloudevents import rfc3339
from schemas.events import UserEvent
from schemas.feature_updates import STATE_HEADER
from streams.feature_kinds import Derived, Feature, RequestTime
from streams.feature_set import CompiledView
from streams.fold import FeatureFold, compile_features

USER_ID: Final = "user-" + "0" * 12
ID: Final = USER_ID
"""As long as the id of an item or of a session is taken to be."""
_START_MS: Final = 1_704_067_200_000
_DAY_S: Final = 86_400
TABLE_ENTRY: Final = 100
"""Bytes of a dict's entry and of its place in the order, some growth included."""
RECORD: Final = 12
"""Bytes of a record beside key and value within a batch of Kafka's, headers aside."""
HASH: Final = 250
"""Bytes of a small hash in Redis beside its key and pairs, with its expiry."""
STRING: Final = 150
"""Bytes of a string in Redis beside its key and value, with its expiry."""
PAIR: Final = 6
"""Bytes of a pair of a small hash beside its name and value."""


@dataclass(frozen=True, slots=True)
class FeatureCosts:
    """Bytes of one user, or one other entity."""

    state: int
    """In the changelog: key and value."""
    memory: int
    """In the worker that has its partition: of predict, or of aggregate for what is gathered."""
    redis: int
    """In the online store, for Feast a second time if that is asked for."""
    update: int
    """In `feature-updates`, or `entity-features`."""
    known: int = 0
    """In each predict worker, of what is gathered."""


def costs(
    pipeline: Pipeline, *, events_per_day: float = 24, feast_project: str = ""
) -> tuple[FeatureCosts, FeatureCosts]:
    """Tell the costs of a user who came once, and of one who never leaves.

    The second has so many events a day, evenly, at least one an hour and at most one a minute, for
    as long as anything looks back; each with other values.
    """
    fold = compile_features(list(map(_harmless, pipeline.features)), pipeline.event)
    histories = _histories(pipeline, fold.retention, events_per_day)
    once, busy = (_costs(fold, each, feast_project) for each in histories)
    return once, busy


def entity_costs(
    pipeline: Pipeline, *, events_per_day: float = 24
) -> dict[str, tuple[FeatureCosts, FeatureCosts]]:
    """Tell likewise what one entity of each other kind costs, by its name."""
    found = {}
    for view in pipeline.compiled().views:
        histories = _histories(pipeline, view.fold.retention, events_per_day)
        once, busy = (_entity_costs(view, each) for each in histories)
        found[view.entity.name] = once, busy
    return found


def _harmless(feature: Feature) -> Feature:
    """Put a number for what a function gives: it knows nothing of values that nobody sent."""
    if isinstance(feature, Derived | RequestTime):
        return replace(feature, function=lambda *_: 1 / 3)
    return feature


def _histories(
    pipeline: Pipeline, retention: timedelta, events_per_day: float
) -> tuple[Iterator[UserEvent], Iterator[UserEvent]]:
    actions = sorted(pipeline.actions)
    step_ms = round(_DAY_S * 1_000 / min(max(events_per_day, 24), 24 * 60))
    steps = range(0, retention // timedelta(milliseconds=1) + 1, step_ms)
    return tuple(_events(pipeline.event, actions, at) for at in ((0,), steps))  # type: ignore[return-value]  # of two


def _entity_costs(view: CompiledView, events: Iterator[UserEvent]) -> FeatureCosts:
    kept = _costs(view.fold, events)
    key_bytes = len(view.entity.name) + len(ID) * len(view.entity.keys)
    prefixes = sum(map(len, view.names)) - sum(map(len, view.fold.names))
    packed = sys.getsizeof(b"") + 8 * len(view.names)
    key = sys.getsizeof("") + key_bytes
    return FeatureCosts(
        state=kept.state - len(USER_ID) + key_bytes,
        memory=kept.memory - len(USER_ID) + key_bytes,
        redis=kept.redis - len(USER_ID) + key_bytes + prefixes,
        update=kept.update + prefixes + key_bytes - len(USER_ID),
        known=0 if view.entity.is_of_user else packed + key + TABLE_ENTRY,
    )


def written_bytes_per_s(record_bytes: int, users: float, events_per_day: float) -> float:
    """Tell what a topic takes at most: a batch writes each user once, however many events."""
    return users * events_per_day / _DAY_S * (record_bytes + RECORD)


def _costs(fold: FeatureFold, events: Iterator[UserEvent], feast_project: str = "") -> FeatureCosts:
    state, features = fold.new(), dict[str, float]()
    for event in events:
        features = fold.update(state, event)
    key, raw = f"u{USER_ID}", fold.encode(state)
    pairs = sum(len(name) + len(orjson.dumps(value)) + PAIR for name, value in features.items())
    return FeatureCosts(
        state=len(key) + len(raw),
        memory=sys.getsizeof(USER_ID) + sys.getsizeof(raw) + TABLE_ENTRY,
        redis=HASH
        + STRING
        + 2 * len(USER_ID)
        + pairs
        + len(b64encode(raw))
        + (_in_feast(fold, feast_project) if feast_project else 0),
        update=_update(fold, features, raw),
    )


def _in_feast(fold: FeatureFold, project: str) -> int:
    """Tell the bytes of a user's hash as Feast has it."""
    pair = len(layout.field("view", "feature")) + len(layout.value(1 / 3)) + PAIR
    times = 3 * (len(layout.time_field("view")) + len(layout.timestamp(_START_MS + 1)) + PAIR)
    return HASH + len(layout.entity_key(project, USER_ID)) + len(fold.names) * pair + times


def _update(fold: FeatureFold, features: dict[str, float], raw: bytes) -> int:
    """Tell the bytes of a record of `feature-updates`: key, value and headers."""
    value = encode.feature_update(USER_ID, _START_MS, fold.schema, features)
    envelope = Envelope("thalweg.feature-update", SOURCE)
    envelope.at(rfc3339(_START_MS))
    headers = [*envelope.headers(USER_ID), (STATE_HEADER, raw)]
    return len(USER_ID) + len(value) + sum(len(name) + len(each) for name, each in headers)


def _events(
    record: type[UserEvent], actions: list[str], steps_ms: Iterable[int]
) -> Iterator[UserEvent]:
    """Make events in the order of time."""
    chance = random.Random(1)  # noqa: S311 - no secret
    for number, step_ms in enumerate(steps_ms):
        values = {
            each.name: _value(each.type, number, chance)
            for each in inspect.type_info(record).fields  # type: ignore[attr-defined]  # a struct
        }
        yield msgspec.convert(
            {
                **values,
                "user_id": USER_ID,
                "action": actions[number % len(actions)],
                "ts": _START_MS + step_ms,
                "session_id": f"session-{number // 10}",
            },
            record,
        )


def _value(kind: inspect.Type, number: int, chance: random.Random) -> Any:  # noqa: ANN401  # of any field
    for option in getattr(kind, "types", (kind,)):
        match option:
            case inspect.StrType():
                return f"value-{number}"
            case inspect.LiteralType(values=values):
                return values[number % len(values)]
            case inspect.IntType():
                return chance.randrange(10_000)
            case inspect.FloatType():
                return chance.randrange(1_000_000) / 100
    return None
