"""The directory of one running system: one owner at a time, and never somebody else's."""

import shutil
from pathlib import Path
from typing import Final

from agents.embedded.errors import DataDirInUse
from agents.embedded.locks import FileLock
from agents.settings import OFFLINE
from schemas.errors import InvalidSetting

MARKER: Final = "thalweg-data"
"""A file of this name says that the directory is ours; without it nothing is deleted."""
_LOCK: Final = "up.lock"


class DataDir:
    """The data directory of one `thalweg up`, held by at most one process.

    Parameters
    ----------
    path
        Made when missing. A directory that holds something but not our marker is refused.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "data"
    >>> first = DataDir(path)
    >>> first.claim()
    >>> DataDir(path).claim()
    Traceback (most recent call last):
    agents.embedded.errors.DataDirInUse: ... is in use by another `thalweg up`: ...
    >>> first.release()
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self._lock = FileLock(self.path / _LOCK)

    def claim(self) -> None:
        """Take the directory.

        Raises
        ------
        InvalidSetting
            It holds what is not ours.
        DataDirInUse
            Another process has it.
        """
        prepare(self.path)
        if not self._lock.try_acquire():
            raise DataDirInUse(
                f"{self.path} is in use by another `thalweg up`: stop it, or choose another "
                "directory with --data-dir"
            )

    def release(self) -> None:
        """Give the directory back."""
        self._lock.release()

    def empty(self) -> None:
        """Delete what the directory holds; only for its owner."""
        for entry in self.path.iterdir():
            # A lock's file names the lock, and a pid file the orphan that has to end first.
            if entry.name == MARKER or entry.suffix in (".lock", ".pid"):
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()


def prepare(path: Path) -> None:
    """Make a data directory, or see that what is there is one.

    Raises
    ------
    InvalidSetting
        It holds what is not ours.
    """
    try:
        _prepare(path)
    except OSError as error:
        raise InvalidSetting(f"--data-dir: cannot use {path}: {error.strerror}") from error


def _prepare(path: Path) -> None:
    marker = path / MARKER
    if marker.exists():
        return
    # A backfill, or an archive on its own, may have been the first to write there.
    if path.exists() and (
        not path.is_dir() or any(entry.name != OFFLINE for entry in path.iterdir())
    ):
        raise InvalidSetting(
            f"--data-dir: {path} is not empty, and not a data directory of Thalweg (it has no file "
            f"`{MARKER}`): choose another"
        )
    path.mkdir(parents=True, exist_ok=True)
    marker.write_text("A data directory of Thalweg: `thalweg up --fresh` empties it.\n", "utf-8")
