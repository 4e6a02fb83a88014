"""The doctor names what is wrong, and what to do about it."""

import socket
import uuid
from dataclasses import replace

import pytest

from agents import cli
from agents.admin import doctor, topic_admin
from agents.embedded import jars
from agents.local.data_dir import DataDir
from agents.settings import Settings
from examples.shop.pipeline import PIPELINE
from online_models.signing import Signer
from schemas import topics
from streams.expectations import expect


@pytest.fixture
def nothing_runs(tmp_path, free_port, monkeypatch):
    """Settings that point to free ports and an empty directory."""
    monkeypatch.setattr(topic_admin, "TIMEOUT_S", 0.2)
    monkeypatch.setenv("THALWEG_KAFKA_BOOTSTRAP", f"127.0.0.1:{free_port()}")
    monkeypatch.setenv("THALWEG_REDIS_URL", f"redis://127.0.0.1:{free_port()}/0")
    monkeypatch.setenv("THALWEG_WEB_PORT", str(free_port()))
    monkeypatch.setenv("THALWEG_METRICS_PORT", "0")
    monkeypatch.setenv("THALWEG_DATA_DIR", str(tmp_path / "data"))


def levels() -> dict[str, str]:
    return {finding.subject: finding.level for finding in doctor.examine()}


def test_before_the_first_start_there_is_nothing_to_repair(nothing_runs):
    found = levels()

    assert "fail" not in found.values()
    assert found["kafka"] == found["redis"] == "warn"


def test_a_wrong_setting_ends_the_examination(nothing_runs, monkeypatch):
    monkeypatch.setenv("THALWEG_DELIVERY", "perhaps_once")

    *_, last = doctor.examine()

    assert (last.subject, last.level) == ("settings", "fail")
    assert "THALWEG_DELIVERY" in last.found
    assert "docs/settings.md" in last.advice


def test_a_port_in_use_is_told_with_its_setting(nothing_runs, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setenv("THALWEG_WEB_PORT", str(listener.getsockname()[1]))
        [web] = [finding for finding in doctor.examine() if finding.subject == "web port"]

    assert web.level == "warn"
    assert "THALWEG_WEB_PORT" in web.advice


def test_a_running_system_is_no_reason_to_complain_of_its_ports(nothing_runs, tmp_path):
    running = DataDir(tmp_path / "data")
    running.claim()

    found = levels()

    running.release()
    assert found["data directory"] == "ok"
    assert "web port" not in found


def test_a_directory_of_somebody_else_is_a_failure(nothing_runs, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "thesis.tex").touch()

    assert levels()["data directory"] == "fail"


def test_missing_and_damaged_jars_are_counted(tmp_path, monkeypatch):
    first, *others = jars.read_lock()
    (tmp_path / first.file_name).write_bytes(b"half a jar")
    monkeypatch.setattr(jars, "cache_dir", lambda: tmp_path)

    finding = doctor.check_jars()

    assert finding.level == "warn"
    assert finding.found == f"{len(others)} missing, 1 damaged of {len(others) + 1}"


def test_a_pipeline_that_does_not_exist_is_a_failure():
    finding = doctor.check_pipeline("nobody.has.this")

    assert finding.level == "fail"
    assert "nobody" in finding.found


def test_an_expectation_that_cannot_hold_is_a_failure(monkeypatch):
    wrong = replace(PIPELINE, quality=(expect("colour"),))
    monkeypatch.setattr("examples.shop.pipeline.PIPELINE", wrong)
    finding = doctor.check_pipeline("examples.shop.pipeline")

    assert (finding.level, finding.found) == (
        "fail",
        "the expectation of `colour` is of no field that ShopEvent has",
    )


@pytest.fixture
def with_keys(tmp_path):
    """Make settings with keys on disk: the signing one, and whom readers trust."""

    def make(signing: bytes | None, *trusted: bytes) -> Settings:
        directory = tmp_path / "trusted"
        directory.mkdir()
        for n, pem in enumerate(trusted):
            (directory / f"{n}.pem").write_bytes(pem)
        if signing is not None:
            (tmp_path / "signing.pem").write_bytes(signing)
        return Settings(
            trusted_keys_dir=directory,
            signing_key_file=tmp_path / "signing.pem" if signing is not None else None,
        )

    return make


def test_keys_that_fit_are_in_order(with_keys):
    ours, theirs = Signer.generate(), Signer.generate()
    finding = doctor.check_keys(with_keys(ours.to_pem(), theirs.public_pem(), ours.public_pem()))

    assert (finding.level, finding.found) == ("ok", "2 trusted, the signing key's among them")


def test_who_only_reads_models_needs_no_signing_key(with_keys):
    assert doctor.check_keys(with_keys(None, Signer.generate().public_pem())).level == "ok"


@pytest.mark.parametrize(
    ("signing", "trusted", "found"),
    [
        (Signer.generate().to_pem(), Signer.generate().public_pem(), "none of the 1 trusted keys"),
        (b"no key", Signer.generate().public_pem(), "signing key is no unencrypted private key"),
        (None, b"no key", "trusted key is no public key"),
        (None, None, "THALWEG_TRUSTED_KEYS_DIR: no *.pem in"),
    ],
)
def test_keys_that_would_stop_models_are_a_failure(with_keys, signing, trusted, found):
    finding = doctor.check_keys(with_keys(signing, *([] if trusted is None else [trusted])))

    assert finding.level == "fail"
    assert found in finding.found


def test_a_signing_key_that_is_not_there_is_named(with_keys, tmp_path):
    ours = Signer.generate()
    here = with_keys(ours.to_pem(), ours.public_pem())
    (tmp_path / "signing.pem").unlink()

    assert "THALWEG_SIGNING_KEY_FILE: cannot read" in doctor.check_keys(here).found


@pytest.mark.integration
def test_topics_are_compared_with_their_declaration(kafka, redis_server):
    here = Settings(
        kafka_bootstrap=kafka.bootstrap,
        redis_url=redis_server.url,
        topic_prefix=f"{uuid.uuid4().hex}-",
    )
    *_, missing = doctor.check_kafka(here)
    topic_admin.create(here)
    *_, declared = doctor.check_kafka(here)
    *_, differing = doctor.check_kafka(here.model_copy(update={"partitions": 5}))

    assert (missing.level, declared.level, differing.level) == ("fail", "ok", "warn")
    assert topics.USER_EVENTS.named(here.topic_prefix) in differing.found
    assert doctor.check_redis(here).level == "ok"


def test_the_command_fails_when_a_check_fails(nothing_runs, tmp_path, capsys):
    assert cli.main(["doctor"]) == 0

    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "thesis.tex").touch()

    assert cli.main(["doctor", "--json"]) == 1
    assert '"level":"fail"' in capsys.readouterr().out
