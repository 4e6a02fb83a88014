"""The figures of the first glance, each beside the goal that the pipeline holds itself to. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from agents.pipeline import Pipeline
from agents.serving.tables import Row
from online_models.standard_error import MIN_PER_LABEL

Numbers = Mapping[str, float | None]

_WITHIN_30_DAYS: Final = frozenset({"prompt_ratio"})
"""Held to over a month: to miss it now spends of what the month may miss."""
_UNITS: Final = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"), (1.0, "s"))


@dataclass(frozen=True, slots=True)
class _Figure:
    name: str
    """As in `Goals`."""
    label: str
    format: str
    """As `format.js` names them."""
    value: float | None
    at_least: bool = False
    note: str = ""
    """What the value is of."""
    counts: bool = True
    """Whether the goal holds now."""


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
    goals = dict(pipeline.goals.amounts())
    return [
        _told(figure, goals[figure.name])
        for figure in _figures(pipeline, numbers, models, quality, waits=waits)
    ]


def missed(told: Sequence[Row]) -> Iterator[Row]:
    """Say in words which goals are missed.

    >>> from examples.shop.pipeline import PIPELINE
    >>> numbers = {"latency_p99_seconds": 0.6, "prompt_ratio": 0.5}
    >>> [row["text"] for row in missed(tiles(PIPELINE, numbers, [], None, waits=False))]
    ['p99 latency is 600 ms, its goal at most 500 ms']
    """
    for tile in told:
        if tile["missed"] and not tile["is_budget"]:
            value, goal = (_in_words(tile[each], tile["format"]) for each in ("value", "goal"))
            which = "at least" if tile["at_least"] else "at most"
            text = f"{tile['label']} is {value}, its goal {which} {goal}"
            yield {"id": f"goal {tile['name']}", "text": text}


def _figures(
    pipeline: Pipeline,
    numbers: Numbers,
    models: Sequence[Row],
    quality: float | None,
    *,
    waits: bool,
) -> Iterator[_Figure]:
    champion: Row = next((row for row in models if row["part"] == "champion"), {})
    get = numbers.get
    seconds, minute = "last 10 s", "last minute"
    p50, p99 = get("latency_p50_seconds"), get("latency_p99_seconds")
    yield _Figure("latency_p50", "median latency", "duration", p50, note=seconds)
    yield _Figure("latency_p99", "p99 latency", "duration", p99, note=seconds)
    prompt = get("prompt_ratio")
    yield _Figure("prompt_ratio", "within 50 ms", "ratio", prompt, at_least=True, note=minute)
    yield _Figure(
        "predictions_per_second",
        *("predictions", "rate", get("predictions_per_second")),
        at_least=True,
        note="while events wait",
        counts=waits,
    )
    yield _Figure("error_ratio", "errors", "ratio", get("error_ratio"), note=minute)
    if pipeline.task in ("binary", "anomaly"):
        n = min(champion.get("window_positives", 0.0), champion.get("window_negatives", 0.0))
        yield _Figure(
            "roc_auc",
            *("champion's AUC", "score", champion.get("window_roc_auc")),
            at_least=True,
            note="latest outcomes" if n >= MIN_PER_LABEL else "too few outcomes yet",
            counts=n >= MIN_PER_LABEL,
        )
    if pipeline.task == "multiclass":
        right = champion.get("recent_accuracy")
        yield _Figure("accuracy", "champion's accuracy", "score", right, at_least=True)
    age = champion.get("age_seconds")
    yield _Figure("model_age", "champion's age", "duration", age, note="its snapshot")
    yield _Figure("quality_score", "data quality", "score", quality, at_least=True, note="latest")
    worst = get("features_missing_ratio")
    yield _Figure(
        "features_missing_ratio", "features missing", "ratio", worst, note="the worst one"
    )


def _told(figure: _Figure, goal: float) -> Row:
    value = figure.value
    is_missed = value is not None and (value < goal if figure.at_least else value > goal)
    return {
        "name": figure.name,
        "label": figure.label,
        "format": figure.format,
        "value": value,
        "goal": goal,
        "at_least": figure.at_least,
        "note": figure.note,
        "missed": is_missed and figure.counts,
        "is_budget": figure.name in _WITHIN_30_DAYS,
    }


def _in_words(value: float, format_: str) -> str:
    """Write a figure as the page does.

    >>> [_in_words(x, "duration") for x in (0.082, 7.0, 300.0, 604_800.0)]
    ['82 ms', '7 s', '5 min', '7 d']
    >>> _in_words(0.0123, "ratio"), _in_words(1_000.0, "rate"), _in_words(0.7, "score")
    ('1.23 %', '1,000/s', '0.700')
    """
    if format_ == "ratio":
        return f"{value * 100:.3g} %"
    if format_ == "rate":
        return f"{value:,.0f}/s"
    if format_ == "score":
        return f"{value:.3f}"
    unit_s, unit = next(((s, name) for s, name in _UNITS if value >= s), (0.001, "ms"))
    return f"{value / unit_s:.0f} {unit}"
