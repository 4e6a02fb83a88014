"""Read the key files that settings point to."""

from pathlib import Path

from agents.settings import Settings
from schemas.errors import InvalidSetting


def trusted_keys(settings: Settings) -> list[bytes]:
    """Read the public keys whose snapshots may be loaded.

    Raises
    ------
    InvalidSetting
        The setting is missing or empty, or one of them cannot be read.

    Examples
    --------
    >>> trusted_keys(Settings(trusted_keys_dir=""))
    Traceback (most recent call last):
    schemas.errors.InvalidSetting: THALWEG_TRUSTED_KEYS_DIR is not set: no model could be trusted
    """
    directory = settings.trusted_keys_dir
    if directory is None:
        raise InvalidSetting("THALWEG_TRUSTED_KEYS_DIR is not set: no model could be trusted")
    return [_read(path, "THALWEG_TRUSTED_KEYS_DIR") for path in sorted(directory.glob("*.pem"))]


def signing_key(settings: Settings) -> bytes:
    """Read the private key that snapshots are signed with.

    Raises
    ------
    InvalidSetting
        The setting is missing, or the key cannot be read.
    """
    path = settings.signing_key_file
    if path is None:
        raise InvalidSetting("THALWEG_SIGNING_KEY_FILE is not set: learn could not sign snapshots")
    return _read(path, "THALWEG_SIGNING_KEY_FILE")


def _read(path: Path, setting: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidSetting(f"{setting}: cannot read {path}: {error.strerror}") from error
