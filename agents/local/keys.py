"""The keys of one deployment: who may sign model snapshots, and whom readers trust."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from online_models.signing import Signer

SIGNING_KEY: Final = "signing.pem"
TRUSTED: Final = "trusted"


@dataclass(frozen=True, slots=True)
class KeyFiles:
    """Where the keys lie; the names are those of the settings."""

    signing_key_file: Path
    trusted_keys_dir: Path


def ensure_keys(directory: Path) -> KeyFiles:
    """Make the signing key of a data directory unless it has one, and trust it.

    The private key can be read by its owner alone.

    Examples
    --------
    >>> import tempfile
    >>> first = ensure_keys(Path(tempfile.mkdtemp()) / "keys")
    >>> oct(first.signing_key_file.stat().st_mode)[-3:]
    '600'
    >>> [path.name for path in first.trusted_keys_dir.iterdir()]
    ['signing.pem']
    """
    keys = KeyFiles(directory / SIGNING_KEY, directory / TRUSTED)
    keys.trusted_keys_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    public = keys.trusted_keys_dir / SIGNING_KEY
    if not (keys.signing_key_file.exists() and public.exists()):
        signer = Signer.generate()
        # The public half first: a crash in between leaves no private key that nobody trusts.
        _write(public, signer.public_pem())
        _write(keys.signing_key_file, signer.to_pem())
    return keys


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, readable by its owner alone from its first byte."""
    unfinished = path.with_suffix(".unfinished")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    unfinished.replace(path)
