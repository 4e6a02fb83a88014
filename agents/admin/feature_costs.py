"""What a pipeline's features cost to keep, told from their declarations before there are users."""

import random
import sys
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import msgspec
import orjson
from msgspec import inspect

from agents.pipeline import Pipeline
from schemas.events import UserEvent
from streams.feature_set import CompiledView
from streams.fold import FeatureFold, compile_features

USER_ID: Final = "user-" + "0" * 12
ID: Final = USER_ID
"""As long as the id of an item or of a session is taken to be."""
_HOUR_MS: Final = 3_600_000
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
    """In the online store."""
    known: int = 0
    """In each predict worker, of what is gathered."""


def costs(pipeline: Pipeline) -> tuple[FeatureCosts, FeatureCosts]:
    """Tell the costs of a user who came once, and of one who never leaves.

    The second has an event in every tile of the widest window, each with other values.
    """
    fold = compile_features(pipeline.features, pipeline.event)
    actions = sorted(pipeline.actions)
    once = _costs(fold, _events(pipeline.event, actions, hours=0))
    busy = _costs(
        fold, _events(pipeline.event, actions, hours=fold.retention // timedelta(hours=1))
    )
    return once, busy


def entity_costs(pipeline: Pipeline) -> dict[str, tuple[FeatureCosts, FeatureCosts]]:
    """Tell likewise what one entity of each other kind costs, by its name."""
    actions = sorted(pipeline.actions)
    found = {}
    for view in pipeline.compiled().views:
        hours = view.retention_ms // _HOUR_MS
        histories = [_events(pipeline.event, actions, hours=each) for each in (0, hours)]
        once, busy = (_entity_costs(view, each) for each in histories)
        found[view.entity.name] = once, busy
    return found


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
        known=0 if view.entity.is_of_user else packed + key + TABLE_ENTRY,
    )


def changelog_bytes_per_s(busy: FeatureCosts, users: float, events_per_day: float) -> float:
    """Tell what the changelog takes at most: a batch writes each user once, however many events."""
    return users * events_per_day / _DAY_S * (busy.state + RECORD)


def _costs(fold: FeatureFold, events: Iterator[UserEvent]) -> FeatureCosts:
    state, features = fold.new(), dict[str, float]()
    for event in events:
        features = fold.update(state, event)
    key, raw = f"u{USER_ID}", fold.encode(state)
    pairs = sum(len(name) + len(orjson.dumps(value)) + PAIR for name, value in features.items())
    return FeatureCosts(
        state=len(key) + len(raw),
        memory=sys.getsizeof(USER_ID) + sys.getsizeof(raw) + TABLE_ENTRY,
        redis=HASH + STRING + 2 * len(USER_ID) + pairs + len(b64encode(raw)),
    )


def _events(record: type[UserEvent], actions: list[str], *, hours: int) -> Iterator[UserEvent]:
    """Make events in the order of time: each hour, in the end every few minutes."""
    chance = random.Random(1)  # noqa: S311 - no secret
    fine = range(hours * 12 - 12 * 12, hours * 12 + 1) if hours else range(1)
    steps = [*range(0, max(hours * 12 - 12 * 12, 0), 12), *fine]
    for number, step in enumerate(steps):
        values = {
            each.name: _value(each.type, number, chance)
            for each in inspect.type_info(record).fields  # type: ignore[attr-defined]  # a struct
        }
        yield msgspec.convert(
            {
                **values,
                "user_id": USER_ID,
                "action": actions[number % len(actions)],
                "ts": _START_MS + step * _HOUR_MS // 12,
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
