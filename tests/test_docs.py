"""The documents say what the code says; whoever changes one is told of the other."""

import importlib
import inspect
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, get_args

import pytest

from agents import sketch, watch, worker
from agents.admin import newest_telemetry
from agents.entities import aggregate_plan
from agents.kafka.client_settings import KafkaSettings
from agents.observability.runbooks import RUNBOOKS
from agents.offline import tables
from agents.prediction import degraded, encode, predict_plan
from agents.prediction.drift_alert import drift_alert
from online_models import catalogue
from online_models.drift import DriftAlarm, TwinAlarm
from online_models.drift.segments import SegmentMove
from schemas import topics
from schemas.reasons import Reason
from schemas.tasks import LABELS
from schemas.topics import Topic
from streams import features, label_rule
from streams.fates import Fates
from streams.frequent import CAPACITY, WITHIN
from streams.quality import Finding
from streams.windows import tile_width_ms
from tests.markdown import anchors, rows, sections

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
HOUR, DAY = 3_600_000, 86_400_000
PACKAGES = ("agents", "streams", "online_models", "schemas", "examples", "benchmarks", "tests")


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    dangling = []
    for link in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text("utf-8"))):
            dangling.append(link)

    assert dangling == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_modules_that_are_named_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = re.findall(rf"`((?:{'|'.join(PACKAGES)})/[\w/.]+\.py)`", text)

    assert [name for name in named if not (ROOT / name).exists()] == []


# ---- catalogue -----------------------------------------------------------------------------------


def test_the_catalogue_tells_of_every_model_what_it_is_how_good_and_how_dear():
    page = read("docs/catalogue.md")
    named = re.findall(r"^\| `(\w+)` ", page, re.MULTILINE)

    assert named == [*catalogue.names("binary")] * 3


def test_the_page_of_tasks_tells_of_every_other_model_what_it_is_and_how_good() -> None:
    page = read("docs/tasks.md")
    described, figures = page.split("## Figures")
    others = [name for name in catalogue.NAMES if name not in catalogue.names("binary")]

    for part in (described, figures):
        assert re.findall(r"^\| `(\w+_v\d+)` ", part, re.MULTILINE) == others
    tasks = re.findall(r"^\| `(\w+)` \| \w.*\?", described, re.MULTILINE)
    assert tasks == [*LABELS]


def test_pipelines_on_the_page_of_tasks_can_be_copied() -> None:
    declared = []
    for written in re.findall(r"```python\n(.*?)```", read("docs/tasks.md"), re.DOTALL):
        copied: dict[str, Any] = {}
        exec(written, copied)  # what a user would copy
        declared.append(copied["PIPELINE"].task)

    assert declared == [task for task in LABELS if task != "binary"]


# ---- labels --------------------------------------------------------------------------------------


def test_label_rules_are_declared_as_the_page_says() -> None:
    page = read("docs/labels.md")
    names = {
        "happens_within": label_rule.happens_within,
        "reported_within": label_rule.reported_within,
        "field_within": label_rule.field_within,
        "MINUTE": timedelta(minutes=1),
        "HOUR": timedelta(hours=1),
        "DAY": timedelta(days=1),
        "float": float,
        "str": str,
    }
    rules = [
        eval(written, names)  # what a user would copy
        for written in re.findall(r"`((?:happens|reported|field)_within\([^`]+\))`", page)
    ]
    choices = dict(re.findall(r"^\| `(\w+)=([^`]+)` \| ", page, re.MULTILINE))
    rules += [replace(rules[0], **{name: eval(value, names)}) for name, value in choices.items()]
    for written in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        copied = names.copy()
        exec(written, copied)
        rules += [each for each in copied.values() if isinstance(each, label_rule.LabelRule)]
    policies = re.findall(r'^\| `"(\w+)"`', page, re.MULTILINE)

    assert len(rules) == len(set(rules)) == 6 + len(choices)
    assert tuple(policies) == get_args(label_rule.Positive)
    assert "`says=str`" in page
    told = {"action", "horizon", "positive", "says", "field", *choices}
    assert told == {field.name for field in fields(label_rule.LabelRule)}


def test_the_glossary_names_every_fate() -> None:
    told = re.search(r"\*\*Fate\*\*: .*?: (.*?) \(", read("docs/glossary.md"), re.DOTALL)

    assert told is not None
    assert {*re.split(r",\s+", told[1])} == {*Fates.__struct_fields__}


# ---- dataflow ------------------------------------------------------------------------------------


def test_every_topic_has_its_section_in_the_registrys_order() -> None:
    told = sections(sections(read("docs/dataflow.md"), 2)["Topics"], 3)

    assert [topic.name for topic in topics.ALL] == list(told)


@pytest.mark.parametrize("topic", topics.ALL, ids=lambda topic: topic.name)
def test_a_topics_section_says_what_the_registry_says(topic: Topic) -> None:
    told = " ".join(sections(read("docs/dataflow.md"), 3)[topic.name].split())

    assert f"Keyed by {topic.key}" in told
    assert ("one partition" in told) == (not topic.partitioned)
    assert ("compacted" in told) == ("compact" in topic.cleanup)
    assert ("kept for ever" in told) == (topic.cleanup == "delete" and topic.retention is None)


def test_records_without_a_class_of_their_own_have_the_fields_that_are_told() -> None:
    shadow = encode.shadow_prediction(
        prediction_id="", event_id="", use_case="", score=0.0, model="", model_version=0
    )
    written = {
        "shadow-predictions": shadow,
        "feature-updates": encode.feature_update("", 0, "", {}),
    }
    page = sections(read("docs/dataflow.md"), 3)
    for topic, record in written.items():
        fields = page[topic].partition("Fields:")[2]

        assert re.findall(r"`(\w+)`", fields) == list(json.loads(record))


# ---- access --------------------------------------------------------------------------------------

NAMES_TOPICS: Mapping[str, tuple[ModuleType | Callable[..., object], ...]] = {
    "predict": (worker._predict, worker._follow_deployments, worker._follow_entities, predict_plan),
    "aggregate": (worker._aggregate, aggregate_plan),
    "learn": (worker._learn, worker._follow_deployments, newest_telemetry),
    "store": (worker._store,),
    "watch": (worker._watch, worker._follow_deployments, watch, sketch),
    "archive": (tables,),
}
"""Role -> where the topics are named that it reads or writes."""


def test_the_table_of_access_names_the_topics_that_each_role_reads_or_writes() -> None:
    page = sections(read("docs/operations.md"), 2)["What each role may do"]
    told = {
        role: [set(re.findall(r"`([a-z-]+)`", cell)) for cell in cells]
        for role, *cells in re.findall(r"^\| `(\w+)` \| (.*) \| (.*) \|$", page, re.MULTILINE)
    }

    assert told.keys() == NAMES_TOPICS.keys()
    for role, sources in NAMES_TOPICS.items():
        source = "".join(map(inspect.getsource, sources))
        named = {
            topic.name
            for topic in topics.ALL
            if re.search(rf"topics\.{topic.name.upper().replace('-', '_')}\b", source)
        }
        reads, writes = told[role]
        assert reads | writes == named | {topics.TELEMETRY.name}, role
        assert reads >= {topic.name for topic in worker._READS[role]}, role
        assert topics.TELEMETRY.name in writes


# ---- decisions -----------------------------------------------------------------------------------


def test_the_index_of_decisions_is_complete() -> None:
    records = sorted((ROOT / "docs/adr").glob("[0-9]*.md"))
    titles = [record.read_text(encoding="utf-8").splitlines()[0] for record in records]
    index = [
        f"{number}. [{title}]({record.name})"
        for record, heading in zip(records, titles, strict=True)
        for number, title in [heading.removeprefix("# ").split(". ", 1)]
    ]

    assert index == re.findall(r"^\d+\. .*$", read("docs/adr/README.md"), re.MULTILINE)


@pytest.mark.parametrize(
    "record", sorted((ROOT / "docs/adr").glob("[0-9]*.md")), ids=lambda record: record.stem
)
def test_a_decision_has_its_four_parts(record: Path) -> None:
    parts = list(sections(record.read_text(encoding="utf-8"), 2))

    assert parts == ["Context", "Decision", "Rejected", "Consequences"]


# ---- operations ----------------------------------------------------------------------------------


def test_the_runbook_explains_every_reason_of_a_dead_letter() -> None:
    told = rows(sections(read("docs/operations.md"), 2)["Dead letters rise"])

    assert list(Reason) == list(told)


def test_the_runbook_explains_every_degradation() -> None:
    told = rows(sections(read("docs/operations.md"), 2)["Predictions are degraded"])

    assert set(told) == set(degraded.REASONS)


def test_the_runbook_has_a_section_for_every_kind_of_alert() -> None:
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "agents").rglob("*_alert.py")]
    kinds = {kind for source in sources for kind in re.findall(r'kind="(\w+)"', source)}
    told = set(re.findall(r"^Kind `(\w+)`", read("docs/operations.md"), re.MULTILINE))

    assert kinds == told


def test_the_runbook_that_an_alert_names_is_there() -> None:
    headings = sections(read("docs/operations.md"), 2)
    anchors = {heading.lower().replace(" ", "-").replace(",", ""): heading for heading in headings}
    for kind, link in RUNBOOKS.items():
        page, _, anchor = link.partition("#")

        assert page == "docs/operations.md"
        assert headings[anchors[anchor]].lstrip().startswith(f"Kind `{kind}`")


def test_every_alert_names_its_runbook() -> None:
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "agents").rglob("*_alert.py")]
    for kind in RUNBOOKS:
        assert any(f'runbook=RUNBOOKS["{kind}"]' in source for source in sources), kind
    assert all(source.count(" Alert(") == source.count("runbook=RUNBOOKS[") for source in sources)


def test_the_evidence_that_the_runbook_names_is_in_the_alerts() -> None:
    alarm = DriftAlarm("score_mean", 0.2, 0.1, statistic=3.0, threshold=2.0, n=100)
    alert = drift_alert(
        TwinAlarm(
            *(alarm, True, "world", SegmentMove("platform=mobile", "score", 5.0)),
            of_action="checkout_bug",
        ),
        use_case="",
        partition=0,
        event_id="",
        event_at=0,
        raised_at=0,
        model="",
        model_version=0,
    )
    told = re.findall(r"`evidence\.(\w+)`", read("docs/operations.md"))

    assert len(told) > 0
    assert set(told) <= set(alert.evidence)


def test_log_lines_that_the_runbook_quotes_are_logged() -> None:
    section = sections(read("docs/operations.md"), 2)["A worker dies"]
    quoted = re.findall(r"^- `([^`]+)`:", section, re.MULTILINE)
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "agents").rglob("*.py"))

    assert len(quoted) > 0
    assert [line for line in quoted if line not in sources] == []


def test_the_waits_of_the_runbook_are_those_of_the_code() -> None:
    consumer = KafkaSettings(bootstrap="", group="").consumer()
    told = rows(sections(read("docs/operations.md"), 2)["Waits worth knowing"])
    for name, value in told.items():
        module, _, constant = name.rpartition(".")
        actual = consumer.get(name) or getattr(importlib.import_module(module), constant)

        assert float(value) == actual, name


def test_the_features_page_has_every_declaration() -> None:
    declarations = [
        name
        for name, declare in vars(features).items()
        if isinstance(declare, FunctionType)
        and declare.__module__ == features.__name__
        and name != "action"
    ]
    page = read("docs/features.md")

    assert len(declarations) > 0
    assert [name for name in declarations if f"`{name}`" not in page] == []


def test_the_error_of_the_most_frequent_value_is_that_of_the_code() -> None:
    section = sections(read("docs/features.md"), 2)["Statistics"]
    told = re.findall(r"^\| `top_\w+` .*", section, re.MULTILINE)

    assert len(told) == 2
    for line in told:
        assert f"none for up to {CAPACITY} values" in line
        assert f"a {1 / WITHIN:.0f}th" in line


def test_the_tiles_of_the_features_page_are_those_of_the_code() -> None:
    minute = 60_000
    spans = {"below 5 min": (1, 5 * minute - 1), "5 min to below 1 h": (5 * minute, HOUR - 1)}
    spans["1 h to below 12 h"] = (HOUR, 12 * HOUR - 1)
    spans["12 h to below 12 d"] = (12 * HOUR, 12 * DAY - 1)
    spans["from 12 d on"] = (12 * DAY, 90 * DAY)
    widths = {"1 s": 1_000, "15 s": 15_000, "5 min": 5 * minute, "1 h": HOUR, "1 d": DAY}
    section = sections(read("docs/features.md"), 2)["Windows"]
    told = dict(re.findall(r"^\| ([^|]*\d[^|]*) \| ([^|]*) \|", section, re.MULTILINE))

    assert told.keys() == spans.keys()
    for name, width in told.items():
        assert {tile_width_ms(span) for span in spans[name]} == {widths[width]}


# ---- data quality --------------------------------------------------------------------------------


def test_the_quality_page_explains_every_finding() -> None:
    told = rows(sections(read("docs/data-quality.md"), 2)["What is found"])

    assert list(Finding) == list(told)[: len(Finding)]


def test_the_figures_of_the_quality_page_are_those_of_the_code() -> None:
    told = rows(sections(read("docs/data-quality.md"), 2)["Alerts"])

    assert len(told) > 0
    for name, value in told.items():
        module, _, constant = name.rpartition(".")
        assert float(value) == getattr(importlib.import_module(module), constant), name
