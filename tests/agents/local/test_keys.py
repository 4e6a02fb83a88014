"""The keys of a data directory: made once, private, and trusted."""

import pytest

from agents.local.keys import ensure_keys
from online_models.signing import Signer, Verifier


@pytest.fixture
def keys(tmp_path):
    return ensure_keys(tmp_path / "keys")


def test_what_the_key_signs_is_trusted(keys):
    signer = Signer.from_pem(keys.signing_key_file.read_bytes())
    verifier = Verifier(path.read_bytes() for path in keys.trusted_keys_dir.glob("*.pem"))

    verifier.verify(signer.sign(b"model"), b"model")


def test_a_second_start_keeps_the_key(keys):
    before = keys.signing_key_file.read_bytes()

    assert ensure_keys(keys.signing_key_file.parent) == keys
    assert keys.signing_key_file.read_bytes() == before


def test_only_the_owner_can_read_the_key(keys):
    assert keys.signing_key_file.stat().st_mode & 0o777 == 0o600


def test_a_key_that_nobody_trusts_is_replaced(keys):
    """Half of a pair is what a crash while making it leaves behind."""
    [public] = keys.trusted_keys_dir.iterdir()
    public.unlink()

    again = ensure_keys(keys.signing_key_file.parent)

    signer = Signer.from_pem(again.signing_key_file.read_bytes())
    assert public.read_bytes() == signer.public_pem()
