"""One jar from a Maven repository, by jgo: every trouble with it is a `DownloadFailed` of one line.

A company's mirror is named in jgo's own configuration, `~/.config/jgo.conf`::

    [repositories]
    central = ...
"""

import logging
import os
import re
from pathlib import Path
from typing import Final

from jgo.config import GlobalSettings
from jgo.constants import MAVEN_CENTRAL_URL
from jgo.maven import MavenContext

from agents.embedded.errors import DownloadFailed

TIMEOUT_S: Final = 30


def open_context(stage: Path) -> MavenContext:
    """Open the configured repositories; what is downloaded lands in `stage`."""
    # jgo uses `requests`, which does not look at a company's certificates in SSL_CERT_FILE.
    if certificates := os.environ.get("SSL_CERT_FILE"):
        os.environ.setdefault("REQUESTS_CA_BUNDLE", certificates)
    logging.getLogger("jgo").setLevel(logging.ERROR)  # we verify ourselves, and fail on it
    return MavenContext(
        repo_cache=stage,
        remote_repos={"central": MAVEN_CENTRAL_URL, **GlobalSettings.load().repositories},
        timeout=TIMEOUT_S,
    )


def download(group: str, artifact: str, version: str, maven: MavenContext) -> Path:
    """Download one jar into the context's stage, unverified.

    Raises
    ------
    DownloadFailed
        No repository has it, or none can be reached.
    """
    jar = maven.project(group, artifact).at_version(version).artifact()
    try:
        return jar.resolve()
    except RuntimeError as error:
        raise DownloadFailed(
            f"cannot download {jar.filename}: no Maven repository has it"
        ) from error
    except OSError as error:  # `requests` derives its errors from it
        # jgo writes in place: the beginning of a broken transfer would pass for the jar.
        if jar.cached_path is not None:
            jar.cached_path.unlink(missing_ok=True)
        raise DownloadFailed(f"cannot download {jar.filename}: {innermost(error)}") from error


def innermost(error: BaseException) -> str:
    """Reduce an HTTP client's nested message to its last, telling part.

    >>> innermost(OSError("Max retries exceeded (Caused by NameError('pool: Name not known'))"))
    'Name not known'
    >>> innermost(TimeoutError())
    'TimeoutError'
    """
    text = re.sub(r"\s+", " ", str(error)).rstrip("\"')( ")
    telling = re.split(r"Caused by |: |, ['\"]", text)[-1].strip()
    return telling[:160] or type(error).__name__
