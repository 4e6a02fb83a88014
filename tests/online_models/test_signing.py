import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from online_models.signing import Signer, Verifier
from schemas.errors import InvalidSetting, SnapshotRefused

SIGNER = Signer.generate()
ELLIPTIC = ec.generate_private_key(ec.SECP256R1())


@given(message=st.binary(max_size=100), other=st.binary(max_size=100))
def test_a_signature_fits_its_message_only(message, other):
    verifier = Verifier([SIGNER.public_pem()])
    signature = SIGNER.sign(message)

    verifier.verify(signature, message)
    if other != message:
        with pytest.raises(SnapshotRefused):
            verifier.verify(signature, other)


@given(signature=st.binary(max_size=100))
def test_a_made_up_signature_is_refused(signature):
    with pytest.raises(SnapshotRefused):
        Verifier([SIGNER.public_pem()]).verify(signature, b"message")


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"no key",
        SIGNER.public_pem(),
        ELLIPTIC.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    ],
    ids=["empty", "text", "public key", "other algorithm"],
)
def test_a_wrong_signing_key_stops_the_start(pem):
    with pytest.raises(InvalidSetting, match="signing key"):
        Signer.from_pem(pem)


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        SIGNER.to_pem(),
        ELLIPTIC.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ),
    ],
    ids=["empty", "private key", "other algorithm"],
)
def test_a_wrong_trusted_key_stops_the_start(pem):
    with pytest.raises(InvalidSetting, match="trusted key"):
        Verifier([pem])
