"""What learn tells of labels."""

import pytest

from agents.observability import metric_list
from agents.observability.learner_metrics import LearnerMetrics
from agents.observability.metrics import Metrics
from schemas.outcomes import Outcome


def outcome(delay_ms: int, *, judged: float = 1.0) -> Outcome:
    at = 1_000
    return Outcome(
        *("p", "u", "user", at, at + delay_ms, True, 0.5), "m", 1, "s", [], judged=judged
    )


def test_the_delay_of_a_label_is_from_its_event_to_its_being_known_once_each() -> None:
    metrics = Metrics()
    assumed = outcome(1, judged=0.0)  # told as a negative before anything is known
    LearnerMetrics(metrics).known([outcome(90_000), outcome(600_000), assumed])
    samples, name = metrics.samples(), metric_list.LABEL_DELAY_SECONDS.name

    assert samples[f"{name}_count"] == 2
    assert samples[f"{name}_sum"] == pytest.approx(690.0)
    assert samples[f'{name}_bucket{{le="300.0"}}'] == 1
