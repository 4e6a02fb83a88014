"""Files of Maven repositories; any trouble with one is a `DownloadFailed` of one line.

Repositories are those of jgo's configuration (`~/.config/jgo.conf`), where a mirror is named::

    [repositories]
    central = ...

jgo also resolves what a jar needs. It does not download for us: it writes files in place, takes a
wrong checksum for a warning and leaves connections open.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

import requests
from jgo.config import GlobalSettings
from jgo.constants import MAVEN_CENTRAL_URL
from jgo.maven import MavenContext, PythonResolver
from requests.adapters import HTTPAdapter

from agents.embedded.errors import DownloadFailed

TIMEOUT_S: Final = 30
CONCURRENCY: Final = 8
_CHUNK_BYTES: Final = 1 << 18


class Repositories:
    """The configured Maven repositories, in the order in which they are asked."""

    def __init__(self) -> None:
        # `requests` does not look at a company's certificates in SSL_CERT_FILE.
        if certificates := os.environ.get("SSL_CERT_FILE"):
            os.environ.setdefault("REQUESTS_CA_BUNDLE", certificates)
        configured = GlobalSettings.load().repositories
        self._addresses = {"central": MAVEN_CENTRAL_URL, **configured}
        self._session = requests.Session()
        self._session.mount("https://", HTTPAdapter(pool_maxsize=CONCURRENCY))

    def download(self, path: str, into: Path) -> None:
        """Write a file of the first repository that has it, unverified.

        Raises
        ------
        DownloadFailed
            No repository has it, or one cannot be reached.
        """
        for address in self._addresses.values():
            try:
                if self._download(f"{address.rstrip('/')}/{path}", into):
                    return
            except requests.RequestException as error:
                raise DownloadFailed(f"cannot download {into.name}: {innermost(error)}") from error
        raise DownloadFailed(f"cannot download {into.name}: no Maven repository has it")

    def _download(self, url: str, into: Path) -> bool:
        with self._session.get(url, stream=True, timeout=TIMEOUT_S) as response:
            if response.status_code == requests.codes.not_found:
                return False
            response.raise_for_status()
            with into.open("wb") as file:
                for chunk in response.iter_content(_CHUNK_BYTES):
                    file.write(chunk)
        return True

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def closure(self, roots: Sequence[str], stage: Path) -> list[tuple[str, str, str]]:
        """Resolve coordinates to group, artifact and version of all that they need at run time."""
        context = MavenContext(
            resolver=PythonResolver(), repo_cache=stage, remote_repos=self._addresses
        )
        inputs, transitive = context.resolver.resolve(
            [context.create_dependency(coordinate) for coordinate in roots]
        )
        ordered = [*inputs, *sorted(transitive, key=lambda d: (d.groupId, d.artifactId))]
        return [(d.groupId, d.artifactId, d.version) for d in ordered]


def innermost(error: BaseException) -> str:
    """Reduce an HTTP client's nested message to its last, telling part.

    >>> innermost(OSError("Max retries exceeded (Caused by NameError('pool: Name not known'))"))
    'Name not known'
    >>> innermost(TimeoutError())
    'TimeoutError'
    """
    text = re.sub(r"\s+", " ", str(error)).partition(" for url: ")[0].rstrip("\"')( ")
    telling = re.split(r"Caused by |: |, ['\"]", text)[-1].strip()
    return telling[:160] or type(error).__name__
