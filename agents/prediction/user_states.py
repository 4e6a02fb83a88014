"""The users' states of one partition: those written under other declarations can be read as well.

Beside the states the changelog holds the layout of each schema that some of them are written in
(`streams.layout`). It goes when the last of them is gone: looked for whenever a partition begins.
"""

from typing import Final

from streams.fold import FeatureFold
from streams.fold_state import UserState
from streams.state import EncodedValues, Table

USER_TABLE: Final = "u"
USER_LAYOUTS: Final = "layout:"


class UserStates:
    """The table of users' states, and their layouts.

    Parameters
    ----------
    fold
        Reads and writes the states; what it learns here of other schemas, all partitions may know.
    singles
        The partition's table that layouts are kept in. Its changes must not come after `table`'s.
    warm, encoded
        See `Table`.
    prefix, layouts
        Of the table's keys in the changelog, and of the layouts' keys in `singles`: those of other
        entities (`agents.entities.entity_states`) stand apart.
    """

    def __init__(
        self,
        fold: FeatureFold,
        singles: Table[bytes],
        *,
        warm: int,
        prefix: str = USER_TABLE,
        layouts: str = USER_LAYOUTS,
        encoded: EncodedValues | None = None,
    ) -> None:
        self._fold = fold
        self._singles = singles
        self._layouts = layouts
        self._own_key = layouts + fold.schema
        self._layout = fold.layout.encode()
        self._unused: list[str] = []
        self.table: Final[Table[UserState]] = Table(
            prefix, fold.encode, self._decode, warm=warm, encoded=encoded
        )
        self.n_begun_anew = 0
        """States that nobody knew how to read any more."""

    def read_layouts(self) -> None:
        """Learn to read what was restored."""
        in_use = set(map(self._fold.schema_of, self.table.logged()))
        self._unused = []
        for key, layout in self._singles.scan():
            if not key.startswith(self._layouts) or key == self._own_key:
                continue
            schema = key.removeprefix(self._layouts)
            if schema in in_use:
                self._fold.adopt(schema, layout)
            else:
                self._unused.append(key)

    def write_layout(self) -> None:
        """Let the changelog know how to read the states of this batch, and what nobody needs."""
        singles, layout = self._singles, self._layout
        if singles.get(self._own_key) != layout:  # what a former release knew of it may be less
            singles.put(self._own_key, layout)
        for key in self._unused:
            if key in singles:
                singles.delete(key)

    def _decode(self, raw: bytes) -> UserState:
        if not self._fold.can_read(raw):
            self.n_begun_anew += 1
        return self._fold.decode(raw)
