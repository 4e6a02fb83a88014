"""The features of every event of a history, by the fold that serves online.

What predict would have served, had these events come in this order: the same cleaning before it,
the same deduplication, the same compiled update function.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Final, TypeVar

from schemas.events import UserEvent
from streams.deduplicate import Deduplicator, segment_table
from streams.feature_set import CompiledView
from streams.fold import FeatureFold
from streams.fold_state import UserState

K = TypeVar("K", str, str | int)
"""What states are kept by."""

SEAL_EVERY: Final = 500
"""Event ids that are remembered together, as those of a batch are."""


class FeatureHistory:
    """The users of one history; one whom no window reaches any more is forgotten, as predict does.

    Parameters
    ----------
    deduplication, max_event_ids, lateness
        As in the pipeline's declaration.
    views
        Of other entities, whose features follow those of users.
    """

    def __init__(
        self,
        fold: FeatureFold,
        *,
        deduplication: timedelta,
        max_event_ids: int,
        lateness: timedelta,
        views: Sequence[CompiledView] = (),
    ) -> None:
        self._fold = fold
        self._views = views
        self._users: OrderedDict[str | int, UserState] = OrderedDict()
        self._entities: OrderedDict[str, UserState] = OrderedDict()
        """Of both, who had an event last comes last."""
        late_ms = lateness // timedelta(milliseconds=1)
        self._keep_ms = fold.retention // timedelta(milliseconds=1) + late_ms
        self._keep_entities_ms = max((view.retention_ms for view in views), default=0) + late_ms
        self._seen = Deduplicator(segment_table(), retention=deduplication, capacity=max_event_ids)
        self._newest_ms = 0
        self._n = 0

    def __len__(self) -> int:
        """How many users are remembered."""
        return len(self._users)

    @property
    def n_entities(self) -> int:
        """How many entities of the views are remembered."""
        return len(self._entities)

    def advance(self, at_ms: int) -> None:
        """Let time go on, as an event of another history's user does."""
        self._newest_ms = max(self._newest_ms, at_ms)

    def add(self, event: UserEvent) -> dict[str, float] | None:
        """Take in a cleaned event; tell the features as of it, `None` if it came before.

        What a feature raises is raised, and its user's state is as it was.
        """
        at_ms: int = event.ts  # type: ignore[assignment]  # milliseconds, once cleaned
        self._n += 1
        if self._n % SEAL_EVERY == 0:
            self._seen.seal()
        self.advance(at_ms)
        if not self._seen.is_new(event.event_id or "", self._newest_ms):
            return None
        undo: list[Callable[[], None]] = []
        try:
            features = _fold(self._fold, self._users, event.user_id, event, undo)
            for view in self._views:
                key = view.key(event)
                if key is None:
                    features |= zip(view.names, view.absent, strict=True)
                else:
                    of_entity = _fold(view.fold, self._entities, key, event, undo)
                    features |= zip(view.names, of_entity.values(), strict=True)
        except Exception:
            for step in undo:
                step()
            raise
        _forget_inactive(self._users, self._newest_ms - self._keep_ms, came=1)
        _forget_inactive(
            self._entities, self._newest_ms - self._keep_entities_ms, came=len(self._views)
        )
        return features


def _forget_inactive(states: OrderedDict[K, UserState], horizon_ms: int, *, came: int) -> None:
    """Forget a few: one more than may have come with an event."""
    for _ in range(came + 1):
        key = next(iter(states), None)
        if key is None or states[key].last_ms >= horizon_ms:
            return
        del states[key]


def _fold(
    fold: FeatureFold,
    states: OrderedDict[K, UserState],
    key: K,
    event: UserEvent,
    undo: list[Callable[[], None]],
) -> dict[str, float]:
    """Add an event to one of the states; append how to take that back."""
    state = states.get(key)
    if state is None:
        state = states[key] = fold.new()
        undo.append(lambda: states.__delitem__(key))
    else:
        before = fold.encode(state)
        undo.append(lambda: states.__setitem__(key, fold.decode(before)))
    features = fold.update(state, event)
    states.move_to_end(key)
    return features


def feature_history(
    fold: FeatureFold,
    events: Iterable[UserEvent],
    *,
    deduplication: timedelta,
    max_event_ids: int,
    lateness: timedelta,
    on_failure: Callable[[UserEvent, Exception], None],
    views: Sequence[CompiledView] = (),
) -> Iterator[tuple[UserEvent, dict[str, float]]]:
    """Yield each event that is new with the features as of it, the event included.

    Parameters
    ----------
    events
        Cleaned, in the order in which they came, each with an `event_id`.
    deduplication, max_event_ids, lateness, views
        As of `FeatureHistory`.
    on_failure
        Called with an event that makes a feature raise. It changes nothing: predict sets it aside.

    Examples
    --------
    >>> from streams.features import count
    >>> from streams.fold import compile_features
    >>> fold = compile_features([count(over=timedelta(hours=1))], UserEvent)
    >>> ada = [UserEvent("ada", "home", n * 60_000, f"e{n}") for n in (0, 30, 30, 95)]
    >>> hour, day = timedelta(hours=1), timedelta(days=1)
    >>> history = feature_history(
    ...     fold, ada, deduplication=day, max_event_ids=9, lateness=hour, on_failure=print
    ... )
    >>> [(event.event_id, features["event_count_1h"]) for event, features in history]
    [('e0', 1.0), ('e30', 2.0), ('e95', 1.0)]
    """
    history = FeatureHistory(
        fold,
        deduplication=deduplication,
        max_event_ids=max_event_ids,
        lateness=lateness,
        views=views,
    )
    for event in events:
        try:
            features = history.add(event)
        except Exception as error:  # noqa: BLE001  # whatever it is, the history goes on
            on_failure(event, error)
        else:
            if features is not None:
                yield event, features
