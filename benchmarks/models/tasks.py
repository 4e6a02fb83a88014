"""How good and how dear models are that are not asked yes or no, on River's bundled streams."""

import time
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from types import MappingProxyType
from typing import Any, Final

from river import datasets
from river.datasets import base as base_dataset

from benchmarks.peers.percentiles import percentiles
from online_models import catalogue, pickling
from online_models.bandit_scorer import ArmChoice
from online_models.held_back import NEVER, Frozen
from schemas.outcomes import Outcome

STREAMS: Final[Mapping[str, Callable[[], base_dataset.Dataset]]] = MappingProxyType(
    {
        "multiclass": datasets.ImageSegments,
        "regression": datasets.TrumpApproval,
        "anomaly": datasets.Shuttle,
        "bandit": datasets.ImageSegments,
    }
)
BASELINES: Final = {"base_rate": "base rate (no model)", "last_class": "last label (no model)"}
MOST_ROWS: Final = 6_000


def figures_of(task: str) -> Iterator[dict[str, Any]]:
    """Yield a row for each model of a task, and one for each baseline: asked, then taught."""
    progress: Any = None
    for name in catalogue.names(task):
        progress, row = _progressive(name, STREAMS[task]())
        yield row
    for baseline, title in BASELINES.items():
        evaluation = getattr(progress, baseline, None)
        if evaluation is not None:
            yield {"model": title, **_rounded(evaluation.figures())}


def _progressive(name: str, dataset: base_dataset.Dataset) -> tuple[Any, dict[str, Any]]:
    model: Any = catalogue.recipe(name).make()
    progress = catalogue.task(name).progress()
    asked: list[float] = []
    taught: list[float] = []
    rows = [*islice(dataset, MOST_ROWS)]
    arms = tuple(sorted({str(label) for _, label in rows})) if name.startswith("bandit_") else ()
    for n, (features, label) in enumerate(rows):
        outcome = Outcome(str(n), "", "", n, n, _label(label, name), 0.0, name, 0, "", [])
        then = Frozen(NEVER, progress.scorer(model), progress.last_label, b"")
        if arms:
            _choose(outcome, arms, then.scorer, features)
        begun = time.perf_counter_ns()
        progress.judge(outcome, features, then)
        between = time.perf_counter_ns()
        progress.teach(model, features, outcome, takes_weights=False)
        asked.append((between - begun) / 1_000)
        taught.append((time.perf_counter_ns() - between) / 1_000)
        progress.learned(outcome)
    ask, teach = percentiles(asked), percentiles(taught)
    return progress, {
        "model": name,
        **_rounded(progress.prequential.figures()),
        "ask_p50_us": ask["p50"],
        "ask_p99_us": ask["p99"],
        "teach_p50_us": teach["p50"],
        "teach_p99_us": teach["p99"],
        "kib": round(len(pickling.dumps((model,))) / 1024, 1),
    }


def _choose(outcome: Outcome, arms: tuple[str, ...], scorer: Any, features: dict[Any, Any]) -> None:  # noqa: ANN401  # of arms
    """Choose a class; to guess the right one is worth 1."""
    choice = ArmChoice(arms, scorer)
    choice.choose(outcome.prediction_id, features)
    outcome.label = float(choice.arm == outcome.label)
    outcome.arm, outcome.propensity, outcome.arms = choice.arm, choice.propensity, [*arms]


def _label(label: Any, name: str) -> Any:  # noqa: ANN401  # as the stream has it
    return bool(label) if name.startswith("anomaly_") else label


def _rounded(figures: Mapping[str, float]) -> dict[str, float]:
    return {
        name: round(value, 4) for name, value in figures.items() if not name.startswith("recent_")
    }
