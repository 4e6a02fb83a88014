"""How the evidence of drift got to where it is."""

from itertools import groupby

from hypothesis import given
from hypothesis import strategies as st

from agents.observability import metric_list
from agents.observability.metrics import Metrics
from agents.serving.drift_history import MAX_SERIES, POINTS, STEPS_S, DriftHistory
from agents.serving.tables import Row
from tests.agents.serving.test_overview import overview, said

FINEST_S = min(STEPS_S.values())

seen = st.lists(
    st.tuples(st.integers(0, 20 * max(STEPS_S.values())), st.integers(0, 50)), max_size=300
)


@given(seen.map(sorted))
def test_each_span_keeps_the_most_evidence_of_each_of_its_latest_steps(
    said_at: list[tuple[int, int]],
) -> None:
    history = DriftHistory()
    for second, statistic in said_at:
        row: Row = {"partition": "1", "signal": "score_mean", "statistic": statistic}
        history.note([row].copy, second * 1_000)

    firsts = [next(group) for _, group in groupby(said_at, lambda each: each[0] // FINEST_S)]
    for span, step_s in STEPS_S.items():
        steps = [list(group) for _, group in groupby(firsts, lambda each: each[0] // step_s)]  # noqa: B023
        expected = [(step[-1][0], max(statistic for _, statistic in step)) for step in steps]
        told = history.of("1")[span].get("score_mean", [])
        assert [(at, statistic) for at, statistic, _ in told] == expected[-POINTS:]
    assert not any(history.of("2").values())


def test_partitions_without_end_take_no_memory_without_end() -> None:
    history = DriftHistory()
    rows = [{"partition": str(n), "signal": "score_mean"} for n in range(MAX_SERIES + 1)]
    history.note(lambda: rows, 0)

    assert history.of(str(MAX_SERIES - 1))["6 h"] != {}
    assert history.of(str(MAX_SERIES))["6 h"] == {}


def test_a_partition_is_told_with_its_threshold_signal_by_signal() -> None:
    page, metrics = overview(), Metrics()
    for signal, statistic in (("score_tail", 2.0), ("score_mean", 3.5)):
        labels = {"partition": 1, "signal": signal}
        metrics.gauge(metric_list.DRIFT_STATISTIC, **labels).set(statistic)
        metrics.gauge(metric_list.DRIFT_THRESHOLD, **labels).set(14.0)
    page.fold(said("predict-0", 7_000, metrics), 7_000)

    assert page.drift_of("1")["spans"]["15 min"] == {
        "score_mean": [(7, 3.5, 14.0)],
        "score_tail": [(7, 2.0, 14.0)],
    }
