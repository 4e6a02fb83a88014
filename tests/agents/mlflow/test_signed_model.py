"""What MLflow is given to load, without MLflow; with it: `test_mlflow_loads.py`."""

import ast
from types import SimpleNamespace

import msgspec
import pytest

from agents.mlflow.signed_model import ARTIFACT, CODE, SignedModel
from examples.shop.pipeline import PIPELINE
from online_models import pickling
from online_models.chunks import Envelope
from online_models.learner import Learner
from online_models.signing import Signer
from online_models.snapshot import encode
from schemas.errors import InvalidSetting, SnapshotRefused
from tests.agents.outcome_log import FOLD, make_outcomes

OURS, THEIRS = Signer.generate(), Signer.generate()


def taught() -> Learner:
    made = Learner(
        PIPELINE.champion,
        feature_names=FOLD.names,
        schema=FOLD.schema,
        target=PIPELINE.label.target,
    )
    for offset, outcome in enumerate(make_outcomes(40)):
        made.learn(outcome, offset)
    return made


BY_US, BY_THEM = (encode(taught(), signer, at_ms=0) for signer in (OURS, THEIRS))


@pytest.fixture
def artifact(tmp_path, monkeypatch):
    """Lay a snapshot down as MLflow does, and trust our key, which lies elsewhere."""
    keys = tmp_path / "keys"
    keys.mkdir()
    (keys / "ours.pem").write_bytes(OURS.public_pem())
    monkeypatch.setenv("THALWEG_TRUSTED_KEYS_DIR", str(keys))
    path = tmp_path / "artifacts" / "model.snapshot"
    path.parent.mkdir()
    path.write_bytes(BY_US)
    return path


def loaded(path) -> SignedModel:
    model = SignedModel()
    model.load_context(SimpleNamespace(artifacts={ARTIFACT: str(path)}))
    return model


@pytest.fixture
def nothing_is_unpickled(monkeypatch):
    def loads(*_args, **_kwargs):
        raise AssertionError("bytes were unpickled")

    monkeypatch.setattr(pickling, "loads", loads)


def test_what_a_trusted_key_signed_is_loaded_and_tells_what_it_is(artifact):
    assert loaded(artifact).manifest.n_learned == 40


def test_a_version_that_was_trained_from_the_archive_is_loaded_too(artifact):
    trained = 20261128034512
    artifact.write_bytes(encode(taught(), OURS, at_ms=0, version=trained))

    assert loaded(artifact).manifest.version == trained


@pytest.mark.usefixtures("nothing_is_unpickled")
def test_a_snapshot_by_others_is_refused_before_it_is_read_whatever_lies_beside_it(
    artifact, monkeypatch
):
    artifact.write_bytes(BY_THEM)
    artifact.with_name("theirs.pem").write_bytes(THEIRS.public_pem())
    monkeypatch.chdir(artifact.parent)

    with pytest.raises(SnapshotRefused, match="by none of the 1 trusted keys"):
        loaded(artifact)
    monkeypatch.setenv("THALWEG_TRUSTED_KEYS_DIR", "")  # not where we happen to run
    with pytest.raises(InvalidSetting, match="THALWEG_TRUSTED_KEYS_DIR is not set"):
        loaded(artifact)


@pytest.mark.usefixtures("nothing_is_unpickled")
@pytest.mark.parametrize("part", ["signature", "manifest", "state"])
def test_a_snapshot_of_which_a_bit_was_changed_is_refused_before_it_is_read(artifact, part):
    envelope = msgspec.msgpack.decode(artifact.read_bytes(), type=Envelope)
    changed = bytearray(getattr(envelope, part))
    changed[-1] ^= 1
    other = msgspec.structs.replace(envelope, **{part: bytes(changed)})
    artifact.write_bytes(msgspec.msgpack.encode(other))

    with pytest.raises(SnapshotRefused):
        loaded(artifact)


def test_the_code_in_the_artifact_does_no_more_than_to_name_ours():
    """It is run by whoever loads: so it is short enough to be read at a glance."""
    statements = ast.parse(CODE).body

    assert [type(each) for each in statements] == [
        *(ast.Expr, ast.ImportFrom, ast.ImportFrom, ast.ImportFrom, ast.ClassDef, ast.Expr),
    ]
    assert ast.unparse(statements[-1]) == "set_model(Thalweg())"
