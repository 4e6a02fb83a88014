import hashlib
import platform

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from online_models import pickling, snapshot
from online_models.learner import Learner
from online_models.signing import Signer, Verifier
from schemas.errors import SnapshotRefused

from .conftest import BINARY, FEATURES, SCHEMA, TARGET, MakeLog

SIGNER = Signer.generate()
VERIFIER = Verifier([SIGNER.public_pem()])
MODEL = "binary_logistic_v1"


def learner_after(n: int, make_log: MakeLog, model: str = MODEL) -> Learner:
    learner = Learner(model, feature_names=FEATURES, schema=SCHEMA, target=TARGET)
    for offset, outcome in enumerate(make_log(1, n)):
        learner.learn(outcome, offset)
    return learner


@pytest.fixture(scope="module")
def blob(make_log) -> bytes:
    return snapshot.encode(learner_after(60, make_log), SIGNER, at_ms=1_704_067_200_000)


@pytest.fixture
def nothing_is_unpickled(monkeypatch):
    def refuse(_: bytes):
        pytest.fail("unpickled what should have been refused before")

    monkeypatch.setattr(pickling, "loads", refuse)


def resigned(blob: bytes, **changes: object) -> bytes:
    """Sign another manifest over the same state, as only the holder of the key can."""
    _, manifest, state = msgspec.msgpack.decode(blob)
    manifest = msgspec.msgpack.encode(msgspec.msgpack.decode(manifest) | changes)
    return msgspec.msgpack.encode((SIGNER.sign(manifest), manifest, state))


@pytest.mark.parametrize("model", BINARY)
def test_a_decoded_learner_goes_on_where_the_encoded_one_was(model, make_log):
    learner = learner_after(300, make_log, model)

    decoded = snapshot.decode(
        snapshot.encode(learner, SIGNER, at_ms=5),
        VERIFIER,
        model=model,
        schema=SCHEMA,
        target=TARGET,
    )

    assert decoded.learner.progress == learner.progress
    assert (decoded.manifest.model, decoded.manifest.created_at) == (model, 5)
    assert decoded.manifest.version == decoded.manifest.n_learned == 300
    assert decoded.manifest.through == 299
    assert len(decoded.manifest.golden) > 0
    later = make_log(1, 400)[300:]
    assert [decoded.learner.learn(o, 300 + i) for i, o in enumerate(later)] == [
        learner.learn(o, 300 + i) for i, o in enumerate(later)
    ]


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_a_single_flipped_bit_is_refused_before_anything_is_unpickled(data, blob):
    bit = data.draw(st.integers(0, len(blob) * 8 - 1))
    flipped = bytearray(blob)
    flipped[bit // 8] ^= 1 << bit % 8

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pickling, "loads", lambda _: pytest.fail("unpickled"))
        with pytest.raises(SnapshotRefused):
            snapshot.decode(bytes(flipped), VERIFIER, model=MODEL, schema=SCHEMA, target=TARGET)


def test_every_bit_of_the_frame_and_of_the_signature_counts(blob, nothing_is_unpickled):
    _, _, state = msgspec.msgpack.decode(blob)
    head, second_head = range(80), range(blob.index(state) - 8, blob.index(state) + 8)
    for bit in (byte * 8 + i for byte in (*head, *second_head) for i in range(8)):
        flipped = bytearray(blob)
        flipped[bit // 8] ^= 1 << bit % 8

        with pytest.raises(SnapshotRefused):
            snapshot.decode(bytes(flipped), VERIFIER, model=MODEL, schema=SCHEMA, target=TARGET)


@given(junk=st.binary(max_size=300))
def test_any_other_bytes_are_refused(junk):
    with pytest.raises(SnapshotRefused):
        snapshot.decode(junk, VERIFIER, model=MODEL, schema=SCHEMA, target=TARGET)


@given(cut=st.integers(0, 1_000_000))
def test_a_part_of_a_snapshot_is_refused(cut, blob):
    with pytest.raises(SnapshotRefused):
        snapshot.decode(
            blob[: cut % len(blob)], VERIFIER, model=MODEL, schema=SCHEMA, target=TARGET
        )


@given(junk=st.binary(max_size=300))
def test_signed_junk_is_refused(junk):
    """Even a key holder's bug ends in a refusal, not in a crash of the predict role."""
    envelope = msgspec.msgpack.encode((SIGNER.sign(junk), junk, b""))

    with pytest.raises(SnapshotRefused):
        snapshot.decode(envelope, VERIFIER, model=MODEL, schema=SCHEMA, target=TARGET)


def test_a_strangers_snapshot_is_refused(blob, nothing_is_unpickled):
    stranger = Verifier([Signer.generate().public_pem()])

    with pytest.raises(SnapshotRefused, match="none of the 1 trusted keys"):
        snapshot.decode(blob, stranger, model=MODEL, schema=SCHEMA, target=TARGET)


def test_a_retired_key_is_trusted_until_it_is_taken_out(blob):
    verifier = Verifier([Signer.generate().public_pem(), SIGNER.public_pem()])

    assert (
        snapshot.decode(
            blob, verifier, model=MODEL, schema=SCHEMA, target=TARGET
        ).manifest.n_learned
        == 60
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model": "binary_hoeffding_tree_v1"}, "model binary_hoeffding_tree_v1, expected binary"),
        ({"format": "thalweg-snapshot-0"}, "format thalweg-snapshot-0"),
        ({"river": "0.25"}, r"River 0\.25, expected"),
        ({"python": "2.7"}, rf"Python 2\.7, expected {platform.python_version()[:4]}"),
        ({"schema": "schema-2"}, "feature schema schema-2, expected schema-1"),
        ({"target": "target-2"}, "label rule target-2, expected target-1"),
        ({"environment": "staging-/intent"}, "environment staging-/intent, expected none"),
        ({"sha256": bytes(32)}, "sha256 differs"),
    ],
)
def test_a_snapshot_for_another_world_is_refused_unopened(
    changes, reason, blob, nothing_is_unpickled
):
    with pytest.raises(SnapshotRefused, match=reason):
        snapshot.decode(
            resigned(blob, **changes), VERIFIER, model=MODEL, schema=SCHEMA, target=TARGET
        )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model": "oracle_v1"}, "no model `oracle_v1`"),
        ({"golden": [[[1.0, 2.0, 0.0, 1.0], 0.999]] * 8}, "loaded model scores"),
        ({"feature_names": ["clicks"]}, "model cannot be loaded: ValueError"),
    ],
)
def test_a_model_that_is_not_what_was_announced_is_refused(changes, reason, blob):
    name = changes.get("model", MODEL)

    with pytest.raises(SnapshotRefused, match=reason):
        snapshot.decode(
            resigned(blob, **changes), VERIFIER, model=name, schema=SCHEMA, target=TARGET
        )


@pytest.mark.parametrize("model", BINARY)
def test_a_model_may_be_asked_where_it_is_taught(model, make_log):
    """So a snapshot's golden scores need no copy of it: asking changes nothing."""
    learner = learner_after(120, make_log, model)
    unseen = [outcome.features for outcome in make_log(9, 40)]
    before = learner.state().model
    scores = learner.scores(unseen)
    scorer = learner.scorer()

    assert learner.state().model == before
    assert scores == [scorer.score(dict(zip(FEATURES, each, strict=True))) for each in unseen]


def test_a_snapshot_costs_one_pickle_of_the_model_and_no_copy(make_log, monkeypatch):
    learner = learner_after(60, make_log)
    pickled = []
    dumps = pickling.dumps

    def counted(models):
        pickled.append(models)
        return dumps(models)

    monkeypatch.setattr(pickling, "dumps", counted)
    monkeypatch.setattr(pickling, "loads", lambda _: pytest.fail("unpickled"))
    snapshot.encode(learner, SIGNER, at_ms=0)

    assert len(pickled) == 1


def without(blob: bytes, *fields: str) -> bytes:
    """Leave fields out of the manifest, as a former release did."""
    _, manifest, state = msgspec.msgpack.decode(blob)
    told = msgspec.msgpack.decode(manifest)
    manifest = msgspec.msgpack.encode({name: told[name] for name in told if name not in fields})
    return msgspec.msgpack.encode((SIGNER.sign(manifest), manifest, state))


def test_a_snapshot_that_does_not_say_where_it_is_from_can_be_read_anywhere(blob):
    former = without(blob, "environment", "lineage", "first", "rebuilt", "confirmed")
    ours = {"model": MODEL, "schema": SCHEMA, "target": TARGET, "environment": "-/intent"}
    found = snapshot.decode(former, VERIFIER, **ours)

    assert found.manifest.position == ("", -1, 59)
    assert found.learner.n_learned == 60


def test_a_snapshot_of_a_former_release_is_gone_on_from(make_log):
    """It has the pickles of both earlier selves in one."""
    learner = learner_after(200, make_log)
    held_back = learner._held_back
    together = pickling.dumps((held_back.older.scorer.model, held_back.newer.scorer.model))
    state = msgspec.to_builtins(learner.state(), builtin_types=(bytes,))
    del state["older_model"], state["newer_model"]
    state = msgspec.msgpack.encode(state | {"earlier_models": together})
    signature, manifest, _ = msgspec.msgpack.decode(snapshot.encode(learner, SIGNER, at_ms=0))
    blob = msgspec.msgpack.encode((signature, manifest, state))
    ours = {"model": MODEL, "schema": SCHEMA, "target": TARGET}
    former = snapshot.decode(
        resigned(blob, sha256=hashlib.sha256(state).digest()), VERIFIER, **ours
    ).learner
    again = snapshot.decode(snapshot.encode(former, SIGNER, at_ms=0), VERIFIER, **ours).learner

    assert former.progress == learner.progress
    later = list(enumerate(make_log(1, 400)[200:], start=200))
    expected = [learner.learn(outcome, offset) for offset, outcome in later]
    assert [former.learn(outcome, offset) for offset, outcome in later] == expected
    assert [again.learn(outcome, offset) for offset, outcome in later] == expected


def test_a_snapshot_of_before_there_were_other_tasks_is_gone_on_from(blob):
    """Its manifest has no figures beside those with fields of their own."""
    _, manifest, state = msgspec.msgpack.decode(blob)
    told = msgspec.msgpack.decode(manifest)
    figures = told.pop("figures")
    former = msgspec.msgpack.encode(told)
    former_blob = msgspec.msgpack.encode((SIGNER.sign(former), former, state))

    read = snapshot.decode(former_blob, VERIFIER, model=MODEL, schema=SCHEMA, target=TARGET)
    assert {name: getattr(read.manifest, name) for name in figures} == figures
    assert read.learner.n_learned == 60
