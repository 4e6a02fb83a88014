"""The broker's jars: exactly those of the lock file, each verified before it is used.

`python -m agents.embedded.jars` fills the cache; `python -m agents.embedded.jars lock` makes the
lock file anew.
"""

import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agents.embedded.errors import DownloadFailed
from agents.embedded.locks import FileLock

if TYPE_CHECKING:
    from agents.embedded.maven import Repositories

ROOTS: Final = ("org.apache.kafka:kafka_2.13:4.4.0", "org.slf4j:slf4j-simple:1.7.36")
"""What the lock file closes over. (`slf4j-nop` would hide the broker's fatal errors.)"""
LOCK_FILE: Final = Path(__file__).with_name("jars.lock")
ATTEMPTS: Final = 3

Progress = Callable[[int, int], None]
"""Called with the number of jars that are there and the number that are needed."""


@dataclass(frozen=True, slots=True)
class Jar:
    """One locked jar.

    Examples
    --------
    >>> jar = Jar.parse("org.slf4j:slf4j-api:1.7.36 d3ef575e")
    >>> jar.file_name
    'slf4j-api-1.7.36.jar'
    >>> jar.sha256
    'd3ef575e'
    """

    group: str
    artifact: str
    version: str
    sha256: str

    @classmethod
    def parse(cls, line: str) -> "Jar":
        """Read one line of the lock file."""
        coordinate, sha256 = line.split()
        group, artifact, version = coordinate.split(":")
        return cls(group, artifact, version, sha256)

    @property
    def path(self) -> str:
        """Where it is in a Maven repository."""
        return f"{self.group.replace('.', '/')}/{self.artifact}/{self.version}/{self.file_name}"

    @property
    def file_name(self) -> str:
        """The jar's name in the cache."""
        return f"{self.artifact}-{self.version}.jar"


def cache_dir() -> Path:
    """Tell where jars are kept: `THALWEG_CACHE_DIR`, else the user's cache directory."""
    if chosen := os.environ.get("THALWEG_CACHE_DIR"):
        return Path(chosen) / "jars"
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "thalweg" / "jars"


def read_lock(path: Path = LOCK_FILE) -> list[Jar]:
    """Read the lock file, in class path order."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [Jar.parse(line) for line in lines if line and not line.startswith("#")]


def ensure(progress: Progress | None = None, *, locked: Sequence[Jar] | None = None) -> list[Path]:
    """Tell where the jars are, after downloading those that are missing or damaged.

    Raises
    ------
    DownloadFailed
        A jar cannot be had, or is not the one that was locked.
    """
    locked = read_lock() if locked is None else locked
    cache = cache_dir()
    try:
        # Verified at every start: 45 jars take 0.06 s, and a damaged one fails in obscure ways.
        if _damaged(locked, cache):
            with FileLock(cache / ".lock"):  # of two first starts at once, one downloads
                missing = _damaged(locked, cache)
                _download_all(missing, cache, len(locked), progress or _silent)
    except OSError as error:
        raise DownloadFailed(
            f"cannot keep jars in {cache}: {error.strerror}; THALWEG_CACHE_DIR names another place"
        ) from error
    return [cache / jar.file_name for jar in locked]


def _damaged(jars: Sequence[Jar], cache: Path) -> list[Jar]:
    return [jar for jar in jars if _sha256(cache / jar.file_name) != jar.sha256]


def _sha256(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None


def _silent(_done: int, _total: int) -> None:
    """Report nothing."""


def _print_progress(done: int, total: int) -> None:
    sys.stdout.write(f"{done}/{total} jars\n")


def _download_all(missing: Sequence[Jar], cache: Path, total: int, progress: Progress) -> None:
    from agents.embedded import maven  # noqa: PLC0415  # 0.3 s of imports only a download needs

    done = total - len(missing)
    progress(done, total)
    with (
        _staging(cache) as stage,
        maven.Repositories() as repositories,
        ThreadPoolExecutor(maven.CONCURRENCY) as pool,
    ):
        downloads = [pool.submit(_download, jar, repositories, stage, cache) for jar in missing]
        try:
            for download in as_completed(downloads):
                download.result()
                done += 1
                progress(done, total)
        except BaseException:  # Ctrl-C too: do not wait for what is still queued
            pool.shutdown(wait=False, cancel_futures=True)
            raise


@contextmanager
def _staging(cache: Path) -> Iterator[Path]:
    """Make a directory on the cache's file system: a rename then moves a jar whole or not."""
    stage = Path(tempfile.mkdtemp(prefix=".stage-", dir=cache))
    try:
        yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _download(jar: Jar, repositories: "Repositories", stage: Path, cache: Path) -> None:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _download_once(jar, repositories, stage, cache)
            return
        except DownloadFailed:
            if attempt == ATTEMPTS:
                raise


def _download_once(jar: Jar, repositories: "Repositories", stage: Path, cache: Path) -> None:
    """Download one jar, verify it, and only then put it into the cache."""
    staged = stage / jar.file_name
    repositories.download(jar.path, into=staged)
    actual = _sha256(staged)
    if actual != jar.sha256:
        raise DownloadFailed(
            f"{jar.file_name} is not the locked one: its sha256 is {actual}, not {jar.sha256}"
        )
    staged.replace(cache / jar.file_name)


def lock(path: Path = LOCK_FILE) -> int:
    """Resolve `ROOTS`, write the lock file and tell how many jars it holds."""
    from agents.embedded import maven  # noqa: PLC0415  # see above

    lines = ["# Made by `python -m agents.embedded.jars lock`, in class path order."]
    with tempfile.TemporaryDirectory() as stage, maven.Repositories() as repositories:
        for group, artifact, version in repositories.closure(ROOTS, Path(stage)):
            jar = Jar(group, artifact, version, sha256="")
            file = Path(stage) / jar.file_name
            repositories.download(jar.path, into=file)
            lines.append(f"{group}:{artifact}:{version} {_sha256(file)}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return len(lines) - 1


def main(arguments: Sequence[str]) -> None:
    """Fill the cache, or make the lock file when asked to `lock`."""
    try:
        if list(arguments) == ["lock"]:
            sys.stdout.write(f"{lock()} jars locked in {LOCK_FILE.name}\n")
        else:
            ensure(_print_progress)
            sys.stdout.write(f"the jars are in {cache_dir()}\n")
    except DownloadFailed as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(sys.argv[1:])
