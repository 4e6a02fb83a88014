"""`thalweg models train` on a real broker: who registers, beside whom, and what becomes of it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import msgspec
import pytest
from confluent_kafka import KafkaException, Producer

from agents import cli
from agents.deployments import desk
from agents.kafka.client_settings import KafkaSettings
from agents.learning.restoring import new_learner
from agents.offline import tables
from agents.offline.file_system import FileSystem
from agents.offline.table_writer import TableWriter
from examples.shop.pipeline import PIPELINE
from online_models.signing import Verifier
from online_models.snapshot import Snapshot, decode, environment_of
from schemas import topics
from schemas.errors import ThalwegError
from tests.agents.deployments.published import CHALLENGER, CHAMPION
from tests.agents.deployments.test_commands import Desk, desk_of  # noqa: F401  # a fixture
from tests.agents.outcome_log import FEATURES, FOLD, make_outcomes
from tests.waiting import wait_until

pytestmark = pytest.mark.integration

N, ALL = 60, 100
OUTCOMES = make_outcomes(ALL)
"""Of which the first are archived."""


@pytest.fixture
def trainer(desk_of, tmp_path, monkeypatch):  # noqa: F811  # the fixture
    """A desk with an archive of outcomes."""
    table, files = tables.OUTCOMES, FileSystem(str(tmp_path / "offline"))
    rows = [
        (*table.row(msgspec.msgpack.encode(outcome)), 0, offset)
        for offset, outcome in enumerate(OUTCOMES[:N])
    ]
    writer = TableWriter(files, table.name, table.schema, event_at=table.event_at)
    writer.write("outcomes-0-abc", 0, N, rows)
    monkeypatch.setenv("THALWEG_OFFLINE_STORE", files.root)
    return desk_of


def fails(there: Desk, *words: str) -> str:
    """Tell the last line of what is said, below that of the progress."""
    assert cli.main(["models", *words]) == cli.EX_ERROR
    return there.capsys.readouterr().err.splitlines()[-1]


def decoded(there: Desk, blob: bytes, model: str = CHALLENGER) -> Snapshot:
    return decode(
        blob,
        Verifier([there.signer.public_pem()]),
        model=model,
        schema=FOLD.schema,
        target=PIPELINE.label.target,
        environment=environment_of(there.settings.topic_prefix, PIPELINE.use_case),
    )


@contextmanager
def learner(there: Desk) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "agents.cli", "worker", "learn"]
    with subprocess.Popen(command, env=os.environ | there.env) as worker:
        try:
            yield worker
        finally:
            worker.kill()


def abandoned(there: Desk) -> Producer:
    """Leave half of a registration behind, as who is killed in the middle of it."""
    kafka = KafkaSettings(
        bootstrap=there.settings.kafka_bootstrap,
        group=f"{there.settings.topic_prefix}models-train",
    )
    producer = Producer(kafka.transactional_producer(0) | {"log_level": 0})
    producer.init_transactions(30)
    producer.begin_transaction()
    models = topics.MODELS.named(there.settings.topic_prefix)
    producer.produce(models, b"half", f"{CHALLENGER}@7".encode(), 0)
    assert producer.flush(30) == 0
    return producer


def refused_once_tampered_with(there: Desk, version: str) -> str:
    """Tell what `resume` says of a version of which a byte was changed, which it then has again."""
    good = there.newest(version)
    there.produce(topics.MODELS, good[:-1] + b"!", version.encode())
    said = fails(there, "resume", version, "--why", "w")
    there.produce(topics.MODELS, good, version.encode())
    return said


def test_a_trained_version_is_registered_whole_and_whoever_began_before_is_fenced(trainer):
    """Who reads `models` waits for nobody who is dead: the successor ends what was left open.

    One that learns on comes to what it would have come to had it never been put by, to the last
    bit, though its learner is killed.
    """
    said = trainer.run("train", CHALLENGER)
    before = trainer.parts()
    killed = abandoned(trainer)
    registered = trainer.json("train", CHALLENGER, "--register", "--why", "new prices")
    version = registered["registered"]
    with pytest.raises(KafkaException, match="fenced"):
        killed.commit_transaction(30)
    again = trainer.json("train", CHALLENGER, "--register", "--why", "once more")["registered"]
    after = trainer.parts()
    trainer.run("promote", version, "--why", "better")
    promoted = trainer.parts()[version]
    exported = trainer.json("export", version, trainer.env["THALWEG_TRUSTED_KEYS_DIR"] + "/backup")
    with open(exported["snapshot"], "rb") as file:
        manifest = decoded(trainer, file.read(), version).manifest

    refused = refused_once_tampered_with(trainer, again)
    for outcome in OUTCOMES:
        trainer.produce(topics.OUTCOMES, msgspec.msgpack.encode(outcome), b"")
    with ThreadPoolExecutor(1) as pool, ExitStack() as workers:
        worker = workers.enter_context(learner(trainer))
        resuming = pool.submit(trainer.json, "resume", again, "--why", "it has the new prices")
        wait_until(lambda: CHALLENGER in trainer.log().registry.origins, 20, every_s=0.05)
        with pytest.raises(ThalwegError) as not_yet:
            desk.promote(trainer.settings, PIPELINE, CHALLENGER, by="ada", why="too early")
        worker.kill()
        workers.enter_context(learner(trainer))
        resumed = resuming.result(60)
        shown = trainer.json("show", CHALLENGER)
        trainer.run("promote", CHALLENGER, "--why", "better, too")
        wait_until(
            lambda: decoded(trainer, trainer.newest(CHALLENGER)).manifest.through == ALL - 1, 20
        )
    learned_on = decoded(trainer, trainer.newest(CHALLENGER))
    expected = new_learner(PIPELINE, FEATURES, CHALLENGER)
    for offset, outcome in enumerate(OUTCOMES):
        expected.learn(outcome, offset)

    assert "nothing to go on from: state is not the one that was signed" in refused
    assert f"{CHALLENGER} does not go on from {again} yet" in str(not_yet.value)
    assert resumed["model"] == CHALLENGER
    assert shown["parent"] == again
    assert [each["why"] for each in shown["history"]] == ["it has the new prices"]
    assert learned_on.learner.fingerprint() == expected.fingerprint()
    assert learned_on.manifest.rebuilt == resumed["decision"]
    assert trainer.parts()[CHALLENGER] == ("production", "champion")
    assert "not to be told apart" in said
    assert before.keys() == {CHAMPION, CHALLENGER}  # nothing was published
    assert registered["candidate"]["learned"] == N
    assert after == before | dict.fromkeys((version, again), ("development", "retired"))
    assert (manifest.n_learned, manifest.through) == (N, N - 1)
    assert version == f"{CHALLENGER}@{manifest.version}" < again
    assert promoted == ("production", "champion")
    history = trainer.json("history")
    assert [(each["kind"], each["why"], each["took_effect"]) for each in history] == [
        ("registered", "new prices", True),
        ("registered", "once more", True),
        ("promoted", "better", True),
        ("resumed", "it has the new prices", True),
        ("promoted", "better, too", True),
    ]


def test_what_cannot_be_trained_is_said_in_a_line(trainer, monkeypatch):
    said = {
        "--register needs --why": ("train", CHALLENGER, "--register"),
        "the pipeline does not name `binary_forest_v1`": (
            *("train", "binary_forest_v1", "--register"),
            *("--why", "w"),
        ),
        "no model `tree`": ("train", "tree"),
        "has learned nothing": ("train", CHALLENGER, "--since", "2026-01-01"),
        "--since": ("train", CHALLENGER, "--since", "yesterday"),
    }
    for expected, words in said.items():
        assert expected in fails(trainer, *words)

    monkeypatch.delenv("THALWEG_SIGNING_KEY_FILE")
    words = ("train", CHALLENGER, "--register", "--why", "w")
    assert "THALWEG_SIGNING_KEY_FILE" in trainer.fails(*words, code=cli.EX_CONFIG)
    monkeypatch.setenv("THALWEG_KAFKA_BOOTSTRAP", "127.0.0.1:1")
    against = trainer.json("train", CHALLENGER, "--against", CHAMPION)
    assert against["champion"]["model"] == CHAMPION
