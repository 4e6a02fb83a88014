"""A decision on its way to a person and back, through a real broker and a worker."""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest

from agents import cli
from agents.admin import topic_reader
from examples.shop.pipeline import PIPELINE as SHOP
from online_models.review import Review
from schemas import topics
from schemas.outcomes import Outcome
from tests.agents.deployments.published import Environment
from tests.waiting import wait_until

pytestmark = pytest.mark.integration

PIPELINE = replace(SHOP, review=Review(confidence=1.0, per_day=100))
"""What `THALWEG_PIPELINE` names."""


def test_a_person_is_asked_and_the_answer_is_learned(kafka, tmp_path, monkeypatch, capsys):
    environment = Environment(kafka.bootstrap, tmp_path)
    for name, value in {**environment.env, "THALWEG_PIPELINE": __name__}.items():
        monkeypatch.setenv(name, value)

    def reviews(*words):
        code = cli.main(["reviews", *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    def waiting():
        return json.loads(reviews("ls", "--json")[1])

    def outcomes():
        topic = topics.OUTCOMES.named(environment.settings.topic_prefix)
        return [
            msgspec.msgpack.decode(record.value() or b"", type=Outcome)
            for record in topic_reader.read_to_end(environment.settings, topic)
        ]

    worker = subprocess.Popen(
        [sys.executable, "-m", "agents.cli", "worker", "predict"], env=os.environ
    )
    try:
        now_ms = time.time_ns() // 1_000_000
        long_ago_ms = now_ms - 3 * PIPELINE.label.horizon // timedelta(milliseconds=1)
        for event_id, ts in (("e0", long_ago_ms), ("e1", now_ms)):
            event = {"user_id": "ada", "action": "home", "event_id": event_id, "ts": ts}
            environment.produce(topics.USER_EVENTS, msgspec.json.encode(event), b"ada")
        wait_until(lambda: [each["event_id"] for each in waiting()] == ["e1"], timeout_s=60)
        (item,) = waiting()
        listed = reviews("ls")[1]
        shown = reviews("show", item["prediction_id"])[1]
        too_late = reviews("answer", f"{PIPELINE.use_case}:e0", "true")
        answered = reviews("answer", item["prediction_id"], "true", "--why", "she said so")
        again = reviews("answer", item["prediction_id"], "false")
        wait_until(lambda: len(outcomes()) == 2, timeout_s=30)
        settled, outcome = outcomes()
    finally:
        worker.terminate()
        worker.wait(30)

    assert item["prediction_id"] == f"{PIPELINE.use_case}:e1"
    assert item["prediction_id"] in listed
    assert next(iter(item["features"])) in shown
    assert too_late[0] == cli.EX_ERROR
    assert "the horizon of its label may have passed" in too_late[2]
    assert (settled.label, settled.by) == (False, "")
    assert answered[0] == 0
    assert again[0] == cli.EX_ERROR
    assert f"{outcome.by} said true" in again[2]
    assert (outcome.label, outcome.user_id) == (True, "ada")
    assert "@" in outcome.by
    assert waiting() == []


def test_where_nobody_is_asked_the_command_says_how(monkeypatch, capsys):
    monkeypatch.setenv("THALWEG_PIPELINE", "examples.shop.pipeline")

    assert cli.main(["reviews", "ls"]) == cli.EX_ERROR
    assert "Review(" in capsys.readouterr().err
