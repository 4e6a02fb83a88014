"""Remove from a table what nobody reads any more: what was merged, and what the killed left."""

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from agents.offline.file_system import FileSystem
from agents.offline.manifests import DIRECTORY, Manifests

KEEP: Final = timedelta(days=1)
"""How long what was replaced stays for those who are reading it, and what has no manifest for those
who are writing it; a writer gives up long before (`table_writer.WRITE_WITHIN_S`)."""


def sweep(files: FileSystem, table: str, *, now: datetime, keep: timedelta = KEEP) -> int:
    """Remove replaced manifests and the files that no manifest names; tell how many files went.

    Any number may do it at the same time, beside readers and writers; a crash leaves something for
    the next time.

    Parameters
    ----------
    now
        The present.
    keep
        How long what was replaced or left behind must have been there.
    """
    manifests = Manifests(files, table)
    n_removed = 0
    for each, by in manifests.replaced():
        # Its files go below, or by the next sweep if this one is killed in between.
        if _is_old(files, manifests.path(by), now - keep):
            files.remove(manifests.path(each))
            n_removed += 1
    # Before the manifests are looked at: what becomes part of the table meanwhile is among them.
    candidates = [path for path in files.find(table) if _is_old(files, path, now - keep)]
    named: set[str] = set()
    for each in manifests.all():
        with suppress(FileNotFoundError):  # somebody else swept it
            (manifest,) = manifests.read([each])
            named.update(f"{table}/{path}" for path in manifest.files)
    directory = f"{table}/{DIRECTORY}/"
    for path in candidates:
        is_manifest = path.startswith(directory) and path.endswith(".json")
        if not is_manifest and path not in named:
            files.remove(path)
            n_removed += 1
    return n_removed


def _is_old(files: FileSystem, path: str, before: datetime) -> bool:
    modified_at = files.modified_at(path)
    return modified_at is not None and modified_at <= before
