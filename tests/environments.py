"""Programs that tests hold us against, in environments of their own: `make feast` ...

They bring hundreds of megabytes of packages, which nobody else needs.
"""

import re
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType
from typing import Final

from benchmarks.peers import environments


@dataclass(frozen=True, slots=True)
class Peer:
    """What an environment holds."""

    name: str
    requirements: tuple[str, ...]
    of_ours: tuple[str, ...] = ()
    """Packages that it holds in the versions that ours has."""

    def programs(self) -> Path | None:
        """Tell where its programs are, if it was made for these versions."""
        return environments.made(self.name, self.requirements, self.of_ours)

    def make(self) -> None:
        """Make it, unless it is there; raises `environments.NotInstallable`."""
        environments.ensure(self.name, self.requirements, self.of_ours)


def _extra(name: str) -> tuple[str, ...]:
    declared = tomllib.loads((environments.ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return tuple(declared["project"]["optional-dependencies"][name])


def _locked() -> tuple[str, ...]:
    """Name what our environment has of its lock: some packages are for other systems alone."""
    lock = (environments.ROOT / "requirements.lock").read_text(encoding="utf-8")
    return tuple(name for name in re.findall(r"(?m)^([\w.-]+)==", lock) if _is_installed(name))


def _is_installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


FEAST: Final = Peer("feast", ("feast[redis]==0.67.0",))
"""The version whose layout `agents.feast.layout` writes."""
MLFLOW: Final = Peer("mlflow", _extra("mlflow"), _locked())
"""`thalweg[mlflow]`: the command that exports runs in it, and so does who loads what it wrote."""
EVIDENTLY: Final = Peer("evidently", _extra("evidently"), _locked())
"""`thalweg[evidently]`: the command that draws drift runs in it."""
PEERS: Final[Mapping[str, Peer]] = MappingProxyType(
    {each.name: each for each in (FEAST, MLFLOW, EVIDENTLY)}
)


if __name__ == "__main__":
    try:
        PEERS[sys.argv[1]].make()
    except environments.NotInstallable as reason:
        sys.exit(f"{sys.argv[1]} cannot be installed: {reason}")
