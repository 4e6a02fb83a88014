"""Metrics: what is written is what Prometheus and telemetry read."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from agents.observability import metric_list
from agents.observability.instruments import Histogram
from agents.observability.metric_spec import CounterSpec, HistogramSpec, MetricSpec
from agents.observability.metrics import Metrics

BASE_UNITS = ("seconds", "bytes", "ratio", "total")
SIZES = HistogramSpec("thalweg_size_bytes", "bytes", "Sizes.", buckets=(1, 10, 100))
NASTY = CounterSpec("thalweg_nasty_total", "1", "Any label.", ("a", "b"))


def exposed(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    text = generate_latest(metrics.registry).decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("thalweg_")
    }


def test_each_metric_has_a_name_of_its_own_in_prometheus_form() -> None:
    names = [spec.name for spec in metric_list.ALL]

    assert len(set(names)) == len(names)
    for spec in metric_list.ALL:
        assert re.fullmatch(r"thalweg_[a-z_]+", spec.name)
        assert spec.name.endswith("_total") == isinstance(spec, CounterSpec)
        assert spec.meaning.endswith(".")
        if spec.unit in BASE_UNITS:
            assert spec.name.endswith(f"_{spec.unit}")


def test_labels_stand_in_the_order_prometheus_writes_them() -> None:
    for spec in metric_list.ALL:
        assert list(spec.labels) == sorted(spec.labels)


def test_buckets_ascend() -> None:
    for spec in metric_list.ALL:
        if isinstance(spec, HistogramSpec):
            assert list(spec.buckets) == sorted(set(spec.buckets))


def test_the_list_holds_every_metric_of_its_module() -> None:
    declared = [value for value in vars(metric_list).values() if isinstance(value, MetricSpec)]

    assert set(declared) == set(metric_list.ALL)


def test_the_page_on_metrics_is_the_list() -> None:
    page = Path(metric_list.__file__).parents[2] / "docs" / "metrics.md"

    assert page.read_text(encoding="utf-8") == metric_list.markdown()


@given(values=st.lists(st.floats(0, 1_000)))
def test_a_histogram_counts_each_value_up_to_its_bounds(values: list[float]) -> None:
    one_by_one, at_once = Histogram(SIZES), Histogram(SIZES)
    for value in values:
        one_by_one.observe(value)
    at_once.observe_many(values)

    expected = [sum(value <= bound for value in values) for bound in (1, 10, 100, float("inf"))]
    assert expected == one_by_one.cumulative() == at_once.cumulative()
    assert sum(values) == pytest.approx(at_once.sum)


@given(values=st.lists(st.floats(0, 1_000)), more=st.lists(st.floats(0, 1_000)))
def test_counts_made_elsewhere_add_up_with_those_made_here(
    values: list[float], more: list[float]
) -> None:
    whole, elsewhere, here = Histogram(SIZES), Histogram(SIZES), Histogram(SIZES)
    whole.observe_many(values + more)
    elsewhere.observe_many(more)
    here.observe_many(values)
    here.add_counts(elsewhere.counts, elsewhere.sum)

    assert whole.counts == here.counts
    assert whole.sum == pytest.approx(here.sum)


def test_counts_of_other_buckets_are_not_added() -> None:
    with pytest.raises(ValueError, match="shorter"):
        Histogram(SIZES).add_counts([1, 2], 3.0)


@given(a=st.text(st.characters(exclude_categories=["Cs"])), b=st.text('\\"\n,=}{ x'))
def test_samples_are_what_prometheus_is_told(a: str, b: str) -> None:
    metrics = Metrics()
    metrics.counter(NASTY, a=a, b=b).inc(3)
    metrics.gauge(metric_list.MODEL_ROC_AUC, model="m").set(0.75)
    metrics.histogram(metric_list.FRESHNESS_SECONDS, model="m").observe(0.2)

    text = "\n".join(f"{name} {value}" for name, value in metrics.samples().items())
    told = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }

    assert exposed(metrics) == told


def test_the_same_labels_name_the_same_instrument() -> None:
    metrics = Metrics()
    metrics.gauge(metric_list.LAG_RECORDS, group="predict", topic="labels").set(3)

    assert metrics.gauge(metric_list.LAG_RECORDS, topic="labels", group="predict").value == 3


def test_a_gauge_says_nothing_before_it_is_set_or_once_it_is_removed() -> None:
    metrics = Metrics()
    auc = metrics.gauge(metric_list.MODEL_ROC_AUC, model="m")
    before = metrics.samples()
    auc.set(0.0)
    meanwhile = metrics.samples()
    metrics.remove(metric_list.MODEL_ROC_AUC, model="m")

    assert (before, metrics.samples()) == ({}, {})
    assert meanwhile == {'thalweg_model_roc_auc{model="m"}': 0.0}
    assert exposed(metrics) == {}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_gauge_says_nothing_while_it_is_no_finite_number(value: float) -> None:
    metrics = Metrics()
    metrics.gauge(metric_list.MODEL_ROC_AUC, model="m").set(0.5)
    metrics.gauge(metric_list.MODEL_ROC_AUC, model="m").set(value)

    assert metrics.samples() == {}
    assert exposed(metrics) == {}


def test_a_metric_is_not_written_with_labels_it_does_not_have() -> None:
    with pytest.raises(ValueError, match=r"thalweg_events_total has the labels \('topic',\)"):
        Metrics().counter(metric_list.EVENTS, user="u1")
