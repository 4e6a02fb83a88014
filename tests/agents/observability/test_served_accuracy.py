"""Answers are judged as they were served, by who gave them."""

from typing import Any, cast

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from agents.observability.judged_outcomes import judged_outcomes
from agents.observability.metrics import Metrics
from agents.observability.served_accuracy import MOST_MODELS, ServedAccuracy
from online_models.prequential import Prequential
from schemas.outcomes import Outcome
from tests.agents.record import Record

answers = st.lists(
    st.tuples(
        st.sampled_from(["ensemble", "tree", "linear"]),
        st.booleans(),
        st.floats(0, 1),
        st.sampled_from([0.0, 1.0, 5.0]),
        st.sampled_from([0, 7]),
    ),
    max_size=60,
)


def record(model: str, label: bool, score: float, judged: float = 1.0, version: int = 7) -> Any:
    outcome = Outcome(
        *("p", "intent", "u", 0, 1, label, score, model, version, "s", [1.0], "t"),
        judged=judged,
    )
    return Record(msgspec.msgpack.encode(outcome))


def told(served: ServedAccuracy, metrics: Metrics) -> dict[str, float]:
    served.tell()
    return {name: value for name, value in metrics.samples().items() if "served" in name}


@given(answers)
def test_each_is_judged_by_what_it_answered_as_often_as_it_stands_for(found):
    metrics = Metrics()
    expected: dict[str, Prequential] = {}
    served = ServedAccuracy(metrics)
    served.outcomes(judged_outcomes(record(*each) for each in found))
    for model, label, score, judged, version in found:
        if judged > 0 and version > 0:
            expected.setdefault(model, Prequential()).update(label, score, judged)
    samples = told(served, metrics)

    for model, one in expected.items():
        loss = samples[f'thalweg_served_window_log_loss{{model="{model}"}}']
        roc_auc = samples.get(f'thalweg_served_window_roc_auc{{model="{model}"}}')
        assert loss == one.recent_log_loss
        assert roc_auc in (None, one.recent_roc_auc)
        ring = one.ring
        for label in (True, False):
            n = samples[
                f'thalweg_served_window_outcomes{{label="{label}",model="{model}"}}'.lower()
            ]
            assert n == sum(each is label for each, _ in ring)
    assert len({name.rpartition('model="')[2] for name in samples}) == len(expected)


def test_what_is_no_outcome_is_passed_over():
    metrics = Metrics()
    served = ServedAccuracy(metrics)
    served.outcomes(judged_outcomes(cast(Any, [Record(None), Record(b""), Record(b"\x93")])))

    assert told(served, metrics) == {}


def test_who_answers_no_more_is_forgotten():
    metrics = Metrics()
    served = ServedAccuracy(metrics)
    served.outcomes(judged_outcomes([record("first", True, 0.5)]))
    before = told(served, metrics)
    served.outcomes(judged_outcomes(record(f"m{n}", True, 0.5) for n in range(MOST_MODELS)))
    after = told(served, metrics)

    assert len(before) == 3
    assert len(after) == 3 * MOST_MODELS
    assert not any('"first"' in name for name in after)
