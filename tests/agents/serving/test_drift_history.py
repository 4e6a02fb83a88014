"""How the evidence of drift got to where it is."""

from hypothesis import given
from hypothesis import strategies as st

from agents.observability import metric_list
from agents.observability.metrics import Metrics
from agents.serving.drift_history import MAX_SERIES, STEP_S, DriftHistory
from agents.serving.tables import Row
from agents.serving.timeline import SPAN_S
from tests.agents.serving.test_overview import overview, said


@given(st.lists(st.integers(0, 3 * SPAN_S), max_size=400).map(sorted))
def test_the_first_of_each_step_is_kept_for_as_long_as_the_charts_reach(seconds: list[int]) -> None:
    history, firsts = DriftHistory(), dict[int, int]()
    for second in seconds:
        row: Row = {"partition": "1", "signal": "score_mean", "statistic": second / 10}
        history.note([row].copy, second * 1_000)
        firsts.setdefault(second // STEP_S, second)

    kept = list(firsts.values())[-SPAN_S // STEP_S :]
    told = history.of("1").get("score_mean", [])
    assert told == [(second, second / 10, None) for second in kept]
    assert history.of("2") == {}


def test_partitions_without_end_take_no_memory_without_end() -> None:
    history = DriftHistory()
    rows = [{"partition": str(n), "signal": "score_mean"} for n in range(MAX_SERIES + 1)]
    history.note(lambda: rows, 0)

    assert history.of(str(MAX_SERIES - 1)) != {}
    assert history.of(str(MAX_SERIES)) == {}


def test_a_partition_is_told_with_its_threshold_signal_by_signal() -> None:
    page, metrics = overview(), Metrics()
    for signal, statistic in (("score_tail", 2.0), ("score_mean", 3.5)):
        labels = {"partition": 1, "signal": signal}
        metrics.gauge(metric_list.DRIFT_STATISTIC, **labels).set(statistic)
        metrics.gauge(metric_list.DRIFT_THRESHOLD, **labels).set(14.0)
    page.fold(said("predict-0", 7_000, metrics), 7_000)

    assert page.drift_of("1")["signals"] == {
        "score_mean": [(7, 3.5, 14.0)],
        "score_tail": [(7, 2.0, 14.0)],
    }
