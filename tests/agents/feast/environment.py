"""Feast in an environment of its own: `make feast`. It brings half a gigabyte of packages."""

import sys
from pathlib import Path
from typing import Final

from benchmarks.peers import environments

NAME: Final = "feast"
REQUIREMENTS: Final = ("feast[redis]==0.67.0",)
"""The version whose layout `agents.feast.layout` writes."""


def directory() -> Path | None:
    """Tell where the programs of the environment are, if it was made for this version."""
    made = environments.DIRECTORY / NAME
    note = made / "installed.txt"
    if note.exists() and note.read_text(encoding="utf-8").split("\n") == list(REQUIREMENTS):
        return made / "bin"
    return None


if __name__ == "__main__":
    try:
        environments.ensure(NAME, REQUIREMENTS, of_ours=())
    except environments.NotInstallable as reason:
        sys.exit(f"Feast cannot be installed: {reason}")
