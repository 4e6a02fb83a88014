"""What operators are handed fits the product: names in it exist, and it names no registry."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from agents.observability import metric_list
from agents.observability.metric_spec import MetricSpec
from agents.settings import PREFIX, Settings
from ops.monitoring.dashboard import SOURCE, panels
from ops.monitoring.rules import rules

ROOT = Path(__file__).resolve().parent.parent
METRICS = {spec.name for spec in vars(metric_list).values() if isinstance(spec, MetricSpec)}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    return dict(loaded["services"])


def test_panels_and_rules_ask_for_metrics_that_exist() -> None:
    written = [rule for group in rules()["groups"] for rule in group["rules"]]
    asked = {
        re.sub("_(bucket|count)$", "", name)
        for expr in (
            *(rule["expr"] for rule in written),
            *(expr for panel in panels() for expr, _ in panel.series),
        )
        for name in re.findall(r"(?<!:)\bthalweg_\w+|\w+:thalweg_\w+:\w+", expr)
    }

    assert asked <= METRICS | {rule.get("record") for rule in written}


def test_compose_runs_every_role(compose: dict[str, Any]) -> None:
    roles = {service.get("command", [""])[0:2][-1] for service in compose.values()}

    assert {"predict", "aggregate", "learn", "store", "watch", "archive", "serve"} <= roles


def test_compose_sets_only_settings_that_exist(compose: dict[str, Any]) -> None:
    named = {
        name.removeprefix(PREFIX).lower()
        for service in compose.values()
        for name in service.get("environment", {})
        if name.startswith(PREFIX)
    }

    assert named <= set(Settings.model_fields)


def test_prometheus_scrapes_services_of_compose(compose: dict[str, Any]) -> None:
    config = yaml.safe_load((ROOT / "ops/prometheus/prometheus.yml").read_text(encoding="utf-8"))
    hosts = {
        target.split(":")[0]
        for job in config["scrape_configs"]
        for group in job["static_configs"]
        for target in group["targets"]
    }

    assert hosts <= set(compose)


def test_grafana_finds_the_dashboard_and_its_source_where_compose_puts_them(
    compose: dict[str, Any],
) -> None:
    def provisioned(what: str) -> list[dict[str, Any]]:
        (file,) = (ROOT / "ops/grafana/provisioning" / what).iterdir()
        return list(yaml.safe_load(file.read_text(encoding="utf-8"))[what_of[what]])

    what_of = {"dashboards": "providers", "datasources": "datasources"}
    grafana = compose["grafana"]
    mounted = {
        inside: ROOT / outside
        for outside, inside, _ in (each.split(":") for each in grafana["volumes"])
    }
    (provider,), (source,) = provisioned("dashboards"), provisioned("datasources")
    host, port = source["url"].removeprefix("http://").split(":")

    assert mounted["/etc/grafana/provisioning"] == ROOT / "ops/grafana/provisioning"
    folder = provider["options"]["path"]
    assert (mounted[folder] / "thalweg.json").is_file()
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{folder}/thalweg.json"
    assert (source["uid"], source["type"]) == (SOURCE.uid, SOURCE.type_val)
    assert compose[host]["ports"] == [f"127.0.0.1:{port}:{port}"]


def test_prometheus_finds_the_rules_where_compose_puts_them(compose: dict[str, Any]) -> None:
    config = yaml.safe_load((ROOT / "ops/prometheus/prometheus.yml").read_text(encoding="utf-8"))
    folders = [each.split(":")[:2] for each in compose["prometheus"]["volumes"]]

    assert ["./ops/prometheus", "/etc/prometheus"] in folders
    assert [(ROOT / "ops/prometheus" / name).is_file() for name in config["rule_files"]] == [True]
    discovered = {
        name
        for job in config["scrape_configs"]
        for found in job["dns_sd_configs"]
        for name in found["names"]
    }
    assert discovered == {name for name, each in compose.items() if "profiles" in each}


@pytest.mark.parametrize(
    "lock", sorted(ROOT.glob("requirements*.lock")), ids=lambda lock: lock.name
)
def test_a_lock_holds_a_hash_for_every_package_and_no_address(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    entries = re.split(r"\n(?=[a-z])", text.strip())

    assert "://" not in text
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []


def test_every_target_of_the_makefile_is_listed() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert phony is not None

    assert set(phony[1].split()) == set(re.findall(r"^([a-z]+):.*## ", makefile, re.MULTILINE))
