"""A file lock that its holder's death releases, however it dies."""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self


class FileLock:
    """Exclusive hold on a file, among processes and within one.

    Parameters
    ----------
    path
        File that is locked; made when missing, never removed (removing it would
        let two processes each lock a file of that name).

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "lock"
    >>> first, second = FileLock(path), FileLock(path)
    >>> first.try_acquire(), second.try_acquire()
    (True, False)
    >>> first.release()
    >>> second.try_acquire()
    True
    >>> second.release()
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._fd is not None

    def try_acquire(self) -> bool:
        """Take the lock if nobody has it; tell whether it is ours now."""
        return self._acquire(fcntl.LOCK_EX | fcntl.LOCK_NB)

    def acquire(self) -> None:
        """Wait for the lock and take it."""
        self._acquire(fcntl.LOCK_EX)

    def release(self) -> None:
        """Give the lock back; without effect when it is not ours."""
        if self._fd is not None:
            os.close(self._fd)  # closing the only descriptor unlocks
            self._fd = None

    def _acquire(self, how: int) -> bool:
        if self._fd is not None:
            return True
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, how)
        except BlockingIOError:
            os.close(fd)
            return False
        self._fd = fd
        return True

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()
