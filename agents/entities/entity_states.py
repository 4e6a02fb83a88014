"""The states of all entities of one partition, of whatever kind, beside those of users."""

from collections.abc import Iterator, Sequence
from typing import Final

from agents.prediction.user_states import UserStates
from schemas.events import UserEvent
from streams.feature_set import CompiledView
from streams.fold_state import UserState
from streams.state import Change, Table

ENTITY_TABLE: Final = "e"
FORGET_BESIDE_NEW: Final = 100
"""So many more of each kind are forgotten with a batch, at most, than it has events: those who are
new never pile up, and forgetting never stalls a batch."""


class EntityStates:
    """One table for each view, which share a prefix in the changelog (`streams.state.Logged`).

    Keys are what `CompiledView.key` tells, and begin with the entity's name.

    Parameters
    ----------
    views
        Whose entities are kept.
    singles
        The partition's table that layouts are kept in. Its changes must not come after these.
    warm
        See `Table`; of each view.
    """

    prefix: Final = ENTITY_TABLE

    def __init__(self, views: Sequence[CompiledView], singles: Table[bytes], *, warm: int) -> None:
        self._views = {view.entity.name: view for view in views}
        self._states = {
            name: UserStates(
                view.fold,
                singles,
                warm=warm,
                prefix=ENTITY_TABLE,
                layouts=f"layout-{name}:",
            )
            for name, view in self._views.items()
        }
        self._n_begun_anew = dict.fromkeys(self._states, 0)
        # Of entities that are declared no longer: forgotten little by little.
        self._left_over: Table[bytes] = Table(ENTITY_TABLE, bytes, bytes)
        self._tables: Final[list[Table[UserState] | Table[bytes]]] = [
            *(states.table for states in self._states.values()),
            self._left_over,
        ]

    def __len__(self) -> int:
        return sum(map(len, self._tables))

    @property
    def n_begun_anew(self) -> int:
        """Count states that nobody knew how to read any more."""
        return sum(states.n_begun_anew for states in self._states.values())

    # ---- features ------------------------------------------------------------------------------

    def update(
        self, view: CompiledView, key: str, event: UserEvent
    ) -> tuple[int, dict[str, float]]:
        """Add an event to its entity; tell as of when its features are, and the features."""
        table = self._states[view.entity.name].table
        state = table.get(key)
        if state is None:
            state = view.fold.new()
            table.put(key, state)
        else:
            table.mark(key)
        features = view.fold.update(state, event)
        return state.last_ms, features

    def forget_inactive(self, watermark_ms: int, most: int) -> Iterator[str]:
        """Forget entities whose last event no window reaches any more; name them.

        Parameters
        ----------
        watermark_ms
            Whatever is on time is at or after this.
        most
            So many of each kind, at most.
        """
        for name, states in self._states.items():
            view, table = self._views[name], states.table
            horizon_ms = watermark_ms - view.retention_ms
            for _ in range(most):
                key = table.oldest()
                raw = None if key is None else table.raw(key)
                if key is None or raw is None or view.fold.last_event_ms(raw) >= horizon_ms:
                    break
                table.delete(key)
                yield key
        for _ in range(most):
            if (key := self._left_over.oldest()) is None:
                return
            self._left_over.delete(key)
            yield key

    # ---- the changelog -------------------------------------------------------------------------

    def restore(self, key: str, raw: bytes | None) -> None:
        """Take over one changelog record."""
        states = self._states.get(key.partition(":")[0])
        (self._left_over if states is None else states.table).restore(key, raw)

    def read_layouts(self) -> None:
        """Learn to read what was restored."""
        for states in self._states.values():
            states.read_layouts()

    def write_layouts(self) -> None:
        """Let the changelog know how to read the states of this batch."""
        for states in self._states.values():
            states.write_layout()

    def staged(self) -> list[Change]:
        """Encode what changed since the last `log`, one record for each entity."""
        return [change for table in self._tables for change in table.staged()]

    def log(self, staged: list[Change]) -> None:
        """Take over what `staged` told: it cannot be undone any more."""
        for table in self._tables:
            n = table.n_changed
            table.log(staged[:n])
            staged = staged[n:]
        self._n_begun_anew = {name: each.n_begun_anew for name, each in self._states.items()}

    def undo(self) -> None:
        """Forget what changed since the last `log`."""
        for table in self._tables:
            table.undo()
        for name, n in self._n_begun_anew.items():
            self._states[name].n_begun_anew = n
