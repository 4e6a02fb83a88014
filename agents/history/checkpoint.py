"""How far a replay has come, kept in a file so that the next one goes on from there."""

import os
from pathlib import Path

import msgspec

from schemas.errors import UNREADABLE


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """What one replay has done.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "replay" / "clicks.json"
    >>> Checkpoint.load(path) is None
    True
    >>> Checkpoint(fingerprint="ab", destination="c/user-events", acknowledged=7).save(path)
    >>> Checkpoint.load(path).acknowledged
    7
    """

    fingerprint: str
    """Of the file whose events these are."""
    destination: str
    """Cluster and topic they went to."""
    acknowledged: int = 0
    """So many events from the beginning, in time order, are in Kafka."""
    outputs: dict[str, list[int]] = {}
    """Where each output topic's partitions ended before the first event was published."""

    @classmethod
    def load(cls, path: Path) -> "Checkpoint | None":
        """Read a checkpoint; `None` when there is none that can be read."""
        try:
            return msgspec.json.decode(path.read_bytes(), type=cls)
        except (FileNotFoundError, *UNREADABLE):
            return None

    def save(self, path: Path) -> None:
        """Replace the file as a whole: a crash leaves the old one or the new one."""
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".unfinished")
        with unfinished.open("wb") as file:
            file.write(msgspec.json.encode(self))
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
