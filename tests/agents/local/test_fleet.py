"""What each worker process is told."""

import sys
from pathlib import Path

import pytest

from agents.local import fleet
from agents.local.keys import KeyFiles
from agents.settings import Settings

KEYS = KeyFiles(Path("keys/signing.pem"), Path("keys/trusted"))


def environments(environ: dict[str, str], predict_workers: int = 2) -> dict[str, dict[str, str]]:
    settings = Settings()
    return {
        process.name: dict(fleet.child(process, settings, KEYS, environ).env or {})
        for process in fleet.processes(settings, predict_workers)
    }


def test_the_command_line_tells_the_role():
    settings = Settings()
    predict = fleet.processes(settings, 1)[0]

    argv = fleet.child(predict, settings, KEYS, {}).argv

    assert argv == [sys.executable, "-m", "agents.cli", "worker", "predict", "--slot", "0"]


def test_only_the_archive_gives_way_to_others():
    children = (
        fleet.child(process, Settings(), KEYS, {}) for process in fleet.processes(Settings(), 1)
    )

    assert [each.name for each in children if tuple(each.argv[:3]) == fleet.NICE] == ["archive-0"]


def test_no_two_processes_share_a_metrics_port():
    ports = [each.metrics_port for each in fleet.processes(Settings(), 3) if each.metrics_port]

    assert ports == [9600, 9601, 9602, 9603, 9604, 9605, 9606]


def test_metrics_that_are_off_are_off_everywhere():
    assert {each.metrics_port for each in fleet.processes(Settings(metrics_port=0), 2)} == {0}


@pytest.mark.parametrize("environ", [{}, {"THALWEG_SIGNING_KEY_FILE": "/theirs.pem"}])
def test_only_the_learner_is_told_where_the_signing_key_is(environ):
    told = {
        name: env.get("THALWEG_SIGNING_KEY_FILE") for name, env in environments(environ).items()
    }

    assert told.pop("learn-0") == str(KEYS.signing_key_file)
    assert set(told.values()) == {None}


def test_the_rest_of_the_environment_is_passed_on():
    for env in environments({"PATH": "/bin", "THALWEG_DELIVERY": "at_least_once"}).values():
        assert env["PATH"] == "/bin"
        assert env["THALWEG_DELIVERY"] == "at_least_once"
