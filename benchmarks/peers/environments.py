"""Environments of their own for peers whose dependencies do not go with ours.

Made once, by pip, from where pip is configured to look; kept in `.benchmarks/`.
"""

import shutil
import subprocess
import sys
import venv
from importlib.metadata import version
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent.parent
DIRECTORY: Final = ROOT / ".benchmarks"
OF_THE_WORK: Final = ("orjson", "river")
"""What the work needs, in the versions that ours has."""
_NOTE: Final = "installed.txt"


class NotInstallable(Exception):
    """A peer cannot be installed; the message is pip's reason."""


def ensure(
    name: str, requirements: tuple[str, ...], of_ours: tuple[str, ...] = OF_THE_WORK
) -> Path:
    """Make an environment, unless it is there; tell its interpreter.

    Parameters
    ----------
    name
        Its directory.
    requirements
        What it holds; nothing: ours does.
    of_ours
        Packages that it holds in the versions that ours has.

    Raises
    ------
    NotInstallable
        In one line, why.
    """
    if not requirements:
        return Path(sys.executable)
    if (programs := made(name, requirements, of_ours)) is not None:
        return programs / "python"
    directory = DIRECTORY / name
    python, wanted = directory / "bin" / "python", _wanted(requirements, of_ours)
    print(f"installing {', '.join(requirements)} into {directory.name}", file=sys.stderr)
    shutil.rmtree(directory, ignore_errors=True)
    venv.create(directory, with_pip=True, symlinks=True)
    quietly = ["--quiet", "--disable-pip-version-check", "--only-binary", ":all:"]
    done = subprocess.run(
        [python, "-m", "pip", "install", *quietly, *wanted],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise NotInstallable(_reason(done.stderr, done.returncode))
    (directory / _NOTE).write_text("\n".join(wanted), encoding="utf-8")
    return python


def made(name: str, requirements: tuple[str, ...], of_ours: tuple[str, ...] = ()) -> Path | None:
    """Tell where the programs of an environment are, if it was made, and for this."""
    note = DIRECTORY / name / _NOTE
    wanted = _wanted(requirements, of_ours)
    if note.exists() and note.read_text(encoding="utf-8").split("\n") == wanted:
        return DIRECTORY / name / "bin"
    return None


def _wanted(requirements: tuple[str, ...], of_ours: tuple[str, ...]) -> list[str]:
    return [*requirements, *(f"{package}=={version(package)}" for package in of_ours)]


def _reason(told: str, code: int) -> str:
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    if any("Retrying (" in line for line in lines):
        return "the package registry cannot be reached"
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return (errors or lines or [f"pip ended with {code}"])[0]
