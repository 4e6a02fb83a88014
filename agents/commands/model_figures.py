"""What the figures of models are called in tables, by task."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from agents.admin.published_models import PublishedModel


class Figure(NamedTuple):
    """One figure: its title, its name, and its name over the last outcomes, if it has one."""

    title: str
    name: str
    recent: str | None


_LOG_LOSS: Final = Figure("log loss", "log_loss", "recent_log_loss")
_ROC_AUC: Final = Figure("ROC AUC", "roc_auc", "recent_roc_auc")
FIGURES: Final[Mapping[str, tuple[Figure, ...]]] = MappingProxyType(
    {
        "binary": (_ROC_AUC, _LOG_LOSS),
        "multiclass": (
            Figure("accuracy", "accuracy", "recent_accuracy"),
            Figure("macro F1", "macro_f1", None),
            _LOG_LOSS,
        ),
        "regression": (
            Figure("MAE", "mae", "recent_mae"),
            Figure("RMSE", "rmse", "recent_rmse"),
            Figure("R2", "r2", None),
        ),
        "anomaly": (_ROC_AUC,),
        "bandit": (
            Figure("reward", "reward", "recent_reward"),
            Figure("by IPS", "ips", None),
            Figure("over chance", "over_chance", None),
            Figure("low", "over_chance_low", None),
            Figure("high", "over_chance_high", None),
            Figure("over best arm", "over_best_arm", None),
            Figure("low", "over_best_arm_low", None),
            Figure("high", "over_best_arm_high", None),
        ),
    }
)


def columns(task: str) -> dict[str, str]:
    """Title the columns of a table of models by the names of their figures.

    >>> list(columns("binary").items())
    [('roc_auc', 'ROC AUC'), ('log_loss', 'log loss'), ('recent_roc_auc', 'of late'),
    ('recent_log_loss', '')]
    """
    figures = FIGURES[task]
    recent = [figure.recent for figure in figures if figure.recent is not None]
    titles = ("of late", *("" for _ in recent[1:]))
    return {each.name: each.title for each in figures} | dict(zip(recent, titles, strict=True))


def written(model: "PublishedModel", name: str) -> str:
    """Write a figure down; what former releases published has some beside `figures`."""
    found: float = model.figures.get(name, getattr(model, name, float("nan")))
    return f"{found:.4f}"


def asking(p99_s: float | None, *, may_serve: bool | None) -> str | None:
    """Write down how long a model takes to answer, and whether it may serve; `None`: unknown.

    >>> asking(0.00034, may_serve=True), asking(0.0041, may_serve=False)
    ('0.34 ms', '4.1 ms, too slow to serve')
    """
    if p99_s is None:
        return None
    told = f"{p99_s * 1_000:.2g} ms"
    return told if may_serve else f"{told}, too slow to serve"
