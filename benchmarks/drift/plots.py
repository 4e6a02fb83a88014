"""What detectors did with injected drifts, drawn: `make plots`.

matplotlib is in a lock of its own: nothing else needs it.
"""

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.drift.equal_rate import RATE
from benchmarks.drift.families import BETS, NEVER, PERIODIC
from benchmarks.drift.injected import Measured
from benchmarks.drift.kaplan_meier import Survival, delays, run_lengths

_NAME: Final = "drift-detectors.svg"
_OURS: Final = BETS.name
_COLORS: Final[Mapping[str, str]] = {_OURS: "black", PERIODIC.name: "silver"}
"""Of the others, matplotlib's own, in the order of the first row."""


def available() -> None:
    """Make sure that it can be drawn, before anything is measured.

    Raises
    ------
    SystemExit
        Where there is no matplotlib.
    """
    _pyplot()


def draw(measured: Mapping[str, Sequence[Measured]], directory: Path) -> Path:
    """Draw how long detectors run until a false alarm, and how long they take to find a drift."""
    pyplot = _pyplot()
    figure, axes = pyplot.subplots(
        len(measured), 2, figsize=(11, 3.4 * len(measured)), squeeze=False, layout="constrained"
    )
    colors = dict(_COLORS)
    for (told, some), (left, right) in zip(measured.items(), axes, strict=True):
        for each in some:
            if (name := each.family.name) == NEVER.name:
                continue
            color = colors.setdefault(name, f"C{len(colors) - len(_COLORS)}")
            every = [alarms for at in each.at_rate.values() for alarms in at.nearer]
            _step(left, name, color, run_lengths(every))
            _step(right, name, color, delays(every, "abrupt"))
        left.set(title=f"{told}: no false alarm yet", xlabel="rows since start or last alarm")
        right.set(title=f"{told}: abrupt drift not found yet", xlabel="rows since the drift")
        right.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize=8)
    for axis in axes.flat:
        axis.set(ylim=(0, 1), ylabel="share (Kaplan-Meier)")
        axis.set_xlim(left=0)
        axis.grid(visible=True, linewidth=0.3)
    figure.suptitle(f"All at {RATE} false alarms per 1,000 rows")
    path = directory / _NAME
    figure.savefig(path, metadata={"Date": None})
    return path


def _step(axis: Any, name: str, color: str, curve: Survival) -> None:  # noqa: ANN401
    axis.step(
        [0, *curve.times],
        [1, *curve.shares],
        where="post",
        label=name,
        linewidth=2.4 if name == _OURS else 1.0,
        color=color,
    )


def _pyplot() -> Any:  # noqa: ANN401  # a module without types, where it is not installed
    try:
        matplotlib: Any = importlib.import_module("matplotlib")
    except ModuleNotFoundError:
        raise SystemExit("plots need matplotlib: `make plots`") from None
    matplotlib.use("svg")
    matplotlib.rcParams |= {"svg.hashsalt": "thalweg", "svg.fonttype": "none", "font.size": 9}
    return importlib.import_module("matplotlib.pyplot")
