"""Files wherever they are: a local directory, or whatever fsspec reaches by its address."""

import os
import posixpath
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import IO, Any, Final

import fsspec  # type: ignore[import-untyped]
from fsspec.implementations.local import LocalFileSystem  # type: ignore[import-untyped]

from schemas.errors import InvalidSetting

UNFINISHED: Final = ".unfinished"


class FileSystem:
    """One directory and what is in it.

    Parameters
    ----------
    address
        A path, or an address with a scheme, such as `s3://bucket/thalweg`.

    Raises
    ------
    InvalidSetting
        Names the package that an address needs.

    Examples
    --------
    >>> files = FileSystem("memory://doctest/offline")
    >>> files.write("a/b.txt", lambda file: file.write(b"text"))
    >>> files.ls("a"), files.read("a/b.txt"), files.ls("nowhere")
    (['b.txt'], b'text', [])
    """

    def __init__(self, address: str) -> None:
        try:
            self._files, self.root = fsspec.url_to_fs(address)
        except (ImportError, ValueError) as error:
            raise InvalidSetting(f"THALWEG_OFFLINE_STORE: {address}: {error}") from error
        self.is_local = isinstance(self._files, LocalFileSystem)

    def write(self, path: str, fill: Callable[[IO[bytes]], object]) -> None:
        """Write a file so that nobody ever sees a part of it; durably where that is ours to say."""
        whole = self.path(path)
        if not self.is_local:  # an object is there once it is whole
            with self._files.open(whole, "wb") as file:
                fill(file)
            return
        os.makedirs(posixpath.dirname(whole), exist_ok=True)
        with open(whole + UNFINISHED, "wb") as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(whole + UNFINISHED, whole)
        _sync_directory(posixpath.dirname(whole))

    def read(self, path: str) -> bytes:
        """Read a whole file."""
        found: bytes = self._files.cat_file(self.path(path))
        return found

    def open(self, path: str) -> IO[bytes]:
        """Open a file to be read."""
        opened: IO[bytes] = self._files.open(self.path(path), "rb")
        return opened

    def ls(self, directory: str) -> list[str]:
        """Name the finished files of a directory, in order; none if there is no such directory."""
        try:
            found: list[Any] = self._files.ls(self.path(directory), detail=False)
        except FileNotFoundError:
            return []
        names = (posixpath.basename(str(each)) for each in found)
        return sorted(name for name in names if not name.endswith(UNFINISHED))

    def find(self, directory: str) -> list[str]:
        """Name all files below a directory, unfinished ones too."""
        found: list[Any] = self._files.find(self.path(directory))
        return sorted(posixpath.relpath(str(each), self.root) for each in found)

    def modified_at(self, path: str) -> datetime | None:
        """Tell when a file was written, by the clock of where it is; `None` if it is gone."""
        try:
            found: datetime = self._files.modified(self.path(path))
        except FileNotFoundError:
            return None
        return found

    def remove(self, path: str) -> None:
        """Remove a file, if it is there."""
        with suppress(FileNotFoundError):
            self._files.rm_file(self.path(path))

    def path(self, path: str) -> str:
        """Tell where a file is, as fsspec's file system names it."""
        return posixpath.join(self.root, path)

    def forget_listings(self) -> None:
        """Ask anew what is there: some file systems remember what they were told."""
        self._files.invalidate_cache()


def _sync_directory(directory: str) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
