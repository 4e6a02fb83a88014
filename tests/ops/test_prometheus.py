"""A real Prometheus scrapes a live system: every panel shows something, every rule evaluates."""

import math
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from msgspec.structs import replace
from prometheus_client import start_http_server

from agents.goals import Goals
from agents.local import fleet
from agents.observability import metric_list
from agents.observability.learner_metrics import LearnerMetrics
from agents.observability.metrics import Metrics
from agents.settings import Settings
from online_models.learner import Learner
from ops.monitoring.__main__ import OPS, RULES
from ops.monitoring.dashboard import panels
from ops.monitoring.quantities import MIN_CLASSIFIED
from schemas.outcomes import Outcome
from tests.ops.test_rules import promtool
from tests.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

N_EVENTS = 40_000
"""Of the shop's history: enough for a champion whose scores are watched for drift."""
WITHIN_S = 120
NO_CLIENTS = 20_000, 32_000
"""Ports that Linux gives to nobody who only connects: they stay free until workers listen there."""
N_WORKERS = sum(each.metrics_port > 0 for each in fleet.processes(Settings(), 1))


def test_the_configuration_of_compose_is_one(program: Callable[[str], str]) -> None:
    promtool(program, "check", "config", OPS / "prometheus/prometheus.yml")


class Prometheus:
    """A server that scrapes the workers of `thalweg up`."""

    def __init__(self, url: str, log: Path) -> None:
        self._url = url
        self._log = log

    @property
    def said(self) -> str:
        """What it and the system it scrapes said last."""
        return self._log.read_text(encoding="utf-8")[-2_000:]

    def get(self, path: str, **parameters: str) -> Any:
        answer = requests.get(f"{self._url}/api/v1/{path}", parameters, timeout=10)
        return answer.json()["data"]

    def values(self, expr: str) -> list[float]:
        """Ask for what a panel shows now."""
        found = self.get("query", query=expr.replace("$__rate_interval", "1m"))["result"]
        return [value for each in found if not math.isnan(value := float(each["value"][1]))]

    def is_up(self) -> bool:
        try:
            return requests.get(f"{self._url}/-/ready", timeout=1).ok
        except requests.ConnectionError:
            return False


def is_free(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) != 0


@pytest.fixture(scope="module")
def classes(free_port: Callable[[], int]) -> Iterator[int]:
    """Serve what is told of a champion that names classes, as the shop's does not; tell where."""
    learner = Learner("multiclass_logistic_v1", feature_names=("clicks",), schema="s1")
    like = Outcome("p", "shop", "u", 0, 0, "yes", 0.5, "", 0, "s1", [1.0])
    for at in range(2 * MIN_CLASSIFIED):
        outcome = replace(like, prediction_id=f"p{at}", event_at=at * 3_600_000 * 2)
        learner.learn(replace(outcome, labelled_at=outcome.event_at + 1), at)
    metrics = Metrics()
    LearnerMetrics(metrics).tell([learner])
    metrics.gauge(metric_list.CHAMPION, model=learner.model).set(1)
    for quantity, amount in Goals().amounts():
        metrics.gauge(metric_list.GOAL, quantity=quantity).set(amount)
    port = free_port()
    server, thread = start_http_server(port, "127.0.0.1", metrics.registry)
    yield port
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def prometheus(
    program: Callable[[str], str],
    free_port: Callable[[], int],
    classes: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Prometheus]:
    path = tmp_path_factory.mktemp("prometheus")
    first_port = next(
        port
        for port in (random.randrange(*NO_CLIENTS) for _ in count())
        if all(is_free(port + n) for n in range(N_WORKERS))
    )
    workers = fleet.processes(Settings(metrics_port=first_port), 1)
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES)],
        "scrape_configs": [
            {
                "job_name": "thalweg-classes",
                "static_configs": [{"targets": [f"127.0.0.1:{classes}"]}],
            },
            {
                "job_name": "thalweg",
                "static_configs": [
                    {
                        "targets": [f"127.0.0.1:{each.metrics_port}"],
                        "labels": {"role": each.name.partition("-")[0]},
                    }
                    for each in workers
                    if each.metrics_port
                ],
            },
        ],
    }
    (path / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    ports = {name: free_port() for name in ("kafka", "redis", "web", "prometheus")}
    up = [
        *(sys.executable, "-m", "agents.cli", "up", "--limit", str(N_EVENTS)),
        *("--data-dir", str(path / "data"), "--metrics-port", str(first_port)),
        *(f"--{name}-port={ports[name]}" for name in ("kafka", "redis", "web")),
    ]
    server = [
        program("prometheus"),
        f"--config.file={path / 'prometheus.yml'}",
        f"--storage.tsdb.path={path / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{ports['prometheus']}",
        "--log.level=warn",
    ]
    with ExitStack() as closing, (path / "log").open("w") as log:
        for command in (server, up):
            process = subprocess.Popen(command, cwd=OPS.parent, stdout=log, stderr=log)
            closing.callback(process.wait)
            closing.callback(process.send_signal, signal.SIGINT)
        running = Prometheus(f"http://127.0.0.1:{ports['prometheus']}", path / "log")
        wait_until(running.is_up, 30)
        yield running


def test_every_panel_shows_something(prometheus: Prometheus) -> None:
    asked = {
        f"{panel.title}: {legend}": expr for panel in panels() for expr, legend in panel.series
    }

    def is_all_shown() -> bool:
        for name, expr in [*asked.items()]:
            if prometheus.values(expr):
                del asked[name]
        return not asked

    try:
        wait_until(is_all_shown, WITHIN_S, every_s=1)
    except TimeoutError:
        pytest.fail(f"nothing to show: {sorted(asked)}\n{prometheus.said}")


def test_every_rule_evaluates(prometheus: Prometheus) -> None:
    def all_rules() -> list[dict[str, Any]]:
        return [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]

    wait_until(lambda: all(rule["health"] != "unknown" for rule in all_rules()), 30, every_s=0.5)

    assert {rule["name"]: rule["lastError"] for rule in all_rules() if rule.get("lastError")} == {}


def test_a_healthy_system_raises_no_alarm(prometheus: Prometheus) -> None:
    # What the first weeks of a shop bring, and what a machine is that others keep busy, too.
    others = 'alertname!~"ThalwegDrift|ThalwegShift|ThalwegLatency.*", signal!="predictions_slow"'
    found = prometheus.get("query", query=f'ALERTS{{alertstate="firing", {others}}}')["result"]
    told = [each["metric"] for each in found]
    firing = [(each["alertname"], each.get("signal")) for each in told]

    assert prometheus.values('up{job="thalweg"}') == [1.0] * N_WORKERS
    assert firing == []
