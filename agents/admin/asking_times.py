"""How long models take to answer, as the workers that serve them told last."""

from collections.abc import Iterable, Mapping

import msgspec

from agents.admin import newest_telemetry
from agents.observability import metric_list
from agents.prediction.asking_time import BUDGET_S
from agents.serving.samples import parse
from agents.settings import Settings
from schemas.telemetry import Telemetry


class AskingTime(msgspec.Struct, frozen=True):
    """Of one model, in the worker where it took longest."""

    p99_s: float
    may_serve: bool


def read(settings: Settings) -> dict[str, AskingTime]:
    """Read what every worker of `predict` told last; models that none has loaded are missing.

    Raises
    ------
    DeliveryFailed
        The broker cannot be reached.
    """
    return slowest(newest_telemetry.read(settings).values())


def slowest(told: Iterable[Telemetry]) -> dict[str, AskingTime]:
    """Tell of each model how long it takes where it takes longest.

    Examples
    --------
    >>> samples = {
    ...     'thalweg_model_asking_seconds{model="binary_forest_v1"}': 0.004,
    ... }
    >>> slowest([Telemetry("predict-0", pid=7, at=0, samples=samples)])
    {'binary_forest_v1': AskingTime(p99_s=0.004, may_serve=False)}
    """
    found: dict[str, AskingTime] = {}
    for telemetry in told:
        for sample, p99_s in telemetry.samples.items():
            name, labels = parse(sample)
            if name != metric_list.MODEL_ASKING_SECONDS.name:
                continue
            model = labels["model"]
            if model not in found or found[model].p99_s < p99_s:
                found[model] = AskingTime(p99_s, p99_s <= BUDGET_S)
    return found


def objection(model: str, told: Mapping[str, AskingTime]) -> str | None:
    """Tell why a model may not serve; `None`: it may, or nobody is there who serves.

    Examples
    --------
    >>> told = {"binary_forest_v1": AskingTime(0.004, may_serve=False)}
    >>> objection("binary_forest_v1", told)
    'it takes 4.0 ms to answer where it takes longest, more than the 2 ms of who serves'
    >>> objection("binary_ftrl_v1", told)
    'no worker of `predict` has it in service, where others are'
    >>> objection("binary_ftrl_v1", {}) is None
    True
    """
    if not told:
        return None
    if model not in told:
        return "no worker of `predict` has it in service, where others are"
    asked = told[model]
    if asked.may_serve:
        return None
    return (
        f"it takes {asked.p99_s * 1_000:.1f} ms to answer where it takes longest, more than the"
        f" {BUDGET_S * 1_000:.0f} ms of who serves"
    )
