"""The figures of the first glance, each beside the goal that the pipeline holds itself to. Pure."""

from collections.abc import Iterator, Mapping, Sequence

from agents.pipeline import Pipeline
from agents.serving.tables import Row

Numbers = Mapping[str, float | None]


def tiles(
    pipeline: Pipeline,
    numbers: Numbers,
    models: Sequence[Row],
    quality: float | None,
    *,
    waits: bool,
) -> list[Row]:
    """Tell each figure, its goal, and whether it misses it; what nobody knows misses nothing.

    Parameters
    ----------
    models
        Rows of `tables.models`; the champion's are judged.
    waits
        Events wait, so that few predictions are not just a quiet night.

    Examples
    --------
    >>> from examples.shop.pipeline import PIPELINE
    >>> told = tiles(PIPELINE, {"latency_p99_seconds": 0.6}, [], None, waits=False)
    >>> [(tile["name"], tile["goal"]) for tile in told if tile["missed"]]
    [('latency_p99', 0.5)]
    """
    return list(_tiles(pipeline, numbers, models, quality, waits=waits))


def _tiles(
    pipeline: Pipeline,
    numbers: Numbers,
    models: Sequence[Row],
    quality: float | None,
    *,
    waits: bool,
) -> Iterator[Row]:
    champion: Row = next((row for row in models if row["part"] == "champion"), {})
    amounts = dict(pipeline.goals.amounts())
    for name, label, format_, value in (
        ("latency_p50", "median latency", "duration", numbers.get("latency_p50_seconds")),
        ("latency_p99", "p99 latency", "duration", numbers.get("latency_p99_seconds")),
        ("predictions_per_second", "predictions", "rate", numbers.get("predictions_per_second")),
        ("roc_auc", "champion's recent AUC", "score", champion.get("window_roc_auc")),
        ("model_age", "champion's age", "duration", champion.get("age_seconds")),
        ("quality_score", "data quality", "score", quality),
    ):
        at_least = name in ("predictions_per_second", "roc_auc", "quality_score")
        if name == "roc_auc" and pipeline.task not in ("binary", "anomaly"):
            continue
        goal = amounts[name]
        is_missed = value is not None and (value < goal if at_least else value > goal)
        yield {
            "name": name,
            "label": label,
            "format": format_,
            "value": value,
            "goal": goal,
            "at_least": at_least,
            "missed": is_missed and (waits or name != "predictions_per_second"),
        }
