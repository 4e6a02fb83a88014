"""Who wrote a snapshot: Ed25519 over its bytes. Reading key files is the shell's."""

from collections.abc import Iterable
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from schemas.errors import InvalidSetting, SnapshotRefused

SIGNATURE_BYTES: Final = 64


class Signer:
    """Holds the private key of the one who publishes snapshots.

    Examples
    --------
    >>> signer = Signer.generate()
    >>> Signer.from_pem(signer.to_pem()).sign(b"m") == signer.sign(b"m")
    True
    """

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    @classmethod
    def generate(cls) -> "Signer":
        """Make a new key."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_pem(cls, pem: bytes) -> "Signer":
        """Read an unencrypted private key.

        Raises
        ------
        InvalidSetting
            When the bytes are anything else.
        """
        try:
            key = serialization.load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise InvalidSetting(
                f"signing key is no unencrypted private key in PEM: {error}"
            ) from error
        if not isinstance(key, Ed25519PrivateKey):
            raise InvalidSetting(f"signing key is {type(key).__name__}, expected Ed25519")
        return cls(key)

    def to_pem(self) -> bytes:
        """Write the private key, unencrypted (PKCS 8)."""
        return self._key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    def public_pem(self) -> bytes:
        """Write the public key that a `Verifier` needs."""
        return self._key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def sign(self, message: bytes) -> bytes:
        """Sign a message."""
        return self._key.sign(message)


class Verifier:
    """Knows whose snapshots may be loaded.

    Parameters
    ----------
    public_pems
        Trusted public keys. Several are trusted while keys are rotated; with none, nothing is.

    Examples
    --------
    >>> ours, theirs = Signer.generate(), Signer.generate()
    >>> verifier = Verifier([ours.public_pem()])
    >>> verifier.verify(ours.sign(b"model"), b"model")
    >>> verifier.verify(theirs.sign(b"model"), b"model")
    Traceback (most recent call last):
    schemas.errors.SnapshotRefused: signature is by none of the 1 trusted keys
    """

    def __init__(self, public_pems: Iterable[bytes]) -> None:
        self._keys = [_public_key(pem) for pem in public_pems]

    def verify(self, signature: bytes, message: bytes) -> None:
        """Return if a trusted key signed the message.

        Raises
        ------
        SnapshotRefused
            When none did.
        """
        for key in self._keys:
            try:
                key.verify(signature, message)
            except InvalidSignature:
                continue
            return
        raise SnapshotRefused(f"signature is by none of the {len(self._keys)} trusted keys")


def _public_key(pem: bytes) -> Ed25519PublicKey:
    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InvalidSetting(f"trusted key is no public key in PEM: {error}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise InvalidSetting(f"trusted key is {type(key).__name__}, expected Ed25519")
    return key
