"""Who leaves its group says so when it could not."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from confluent_kafka import Consumer, KafkaError

from agents.kafka import departure
from agents.kafka.client_settings import KafkaSettings
from agents.kafka.departure import leave_group

SETTINGS = KafkaSettings(bootstrap="127.0.0.1:1", group="leaving")
MEMBER = cast(Consumer, SimpleNamespace(memberid=lambda: "leaving-0-1"))


def answer(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def ask(*_: Any, **__: Any) -> SimpleNamespace:
        return SimpleNamespace(error_code=code)

    monkeypatch.setattr(departure, "ask_coordinator", ask)


def test_a_refusal_is_told(monkeypatch, caplog):
    answer(monkeypatch, KafkaError.NOT_COORDINATOR)
    leave_group(SETTINGS, MEMBER)

    assert "leaving-0 could not leave its group" in caplog.text
    assert "coordinator" in caplog.text.lower()


@pytest.mark.parametrize("code", [KafkaError.NO_ERROR, KafkaError.UNKNOWN_MEMBER_ID])
def test_who_is_gone_is_gone(monkeypatch, caplog, code):
    answer(monkeypatch, code)
    leave_group(SETTINGS, MEMBER)

    assert caplog.text == ""


def test_a_broker_that_is_away_is_told(caplog):
    leave_group(SETTINGS, MEMBER)

    assert "others wait for the end of its session" in caplog.text


def test_a_way_to_connect_that_only_librdkafka_knows_is_told(caplog):
    extra = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "OAUTHBEARER"}
    leave_group(KafkaSettings(bootstrap="127.0.0.1:1", group="leaving", extra=extra), MEMBER)

    assert "cannot connect with these settings" in caplog.text
