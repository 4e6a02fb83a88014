"""`python -m benchmarks models`: how good each model of the catalogue is, and what it costs.

`--only swap` leaves all else out.
"""

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from typing import Any, Final

from benchmarks.models.accuracy import DELAY_ROWS, accuracies
from benchmarks.models.cost import TAUGHT, cost
from benchmarks.models.learning import FEATURES, learning
from benchmarks.models.swap import swap
from benchmarks.models.tasks import STREAMS, figures_of
from benchmarks.peers.report import table
from online_models import catalogue

ACCURACY: Final = {
    "model": "model",
    "phishing": "Phishing",
    "phishing_log_loss": "log loss",
    "phishing_late": f"{DELAY_ROWS} rows late",
    "bananas": "Bananas",
    "bananas_log_loss": "log loss",
}
COST: Final = {
    "model": "model",
    "ask_p50_us": "ask p50 µs",
    "ask_p99_us": "p99",
    "teach_p50_us": "teach p50 µs",
    "teach_p99_us": "p99",
    "kib": "KiB",
    "write_ms": "write ms",
    "read_ms": "read ms",
    "weights": "heeds weights",
}
LEARNING: Final = {
    "model": "model",
    "outcomes": "outcomes",
    "bare_us": "River alone µs",
    "learner_us": "learner µs",
    "ratio": "of River's speed",
    "snapshot_kib": "snapshot KiB",
    "snapshot_ms": "write ms",
}

SWAP: Final = {
    "model": "model",
    "whole_kib": "KiB, one pickle",
    "pieces_kib": "in pieces",
    "pieces": "pieces",
    "idle_ms": "nothing happens ms",
    "before_ms": "one pickle ms",
    "before_max_ms": "longest",
    "after_ms": "in pieces ms",
    "after_max_ms": "longest",
    "ratio": "before : after",
}


def run(argv: Sequence[str]) -> int:
    """Measure, and print tables or JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks models", description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", choices=("accuracy", "cost", "learning", "swap", "tasks"))
    options = parser.parse_args(argv)
    figures = measure(options.only)
    print(json.dumps(figures, indent=1) if options.json else tables(figures))
    return 0


def measure(only: str | None = None) -> dict[str, Any]:
    """Measure everything, or one of it, one after the other in this process."""
    load_before = os.getloadavg()[0]
    good, dear, taught, swapped = [], [], [], []
    if only in (None, "accuracy"):
        for name, figures in accuracies():
            _tell(f"accuracy of {name}")
            good.append({"model": name, **figures})
    for name in catalogue.names("binary") if only in (None, "cost") else ():
        _tell(f"cost of {name}")
        heeds = "yes" if catalogue.recipe(name).takes_weights else "no"
        dear.append({"model": name, **cost(name), "weights": heeds})
    for name in catalogue.names("binary") if only in (None, "learning") else ():
        _tell(f"learning of {name}")
        taught.append({"model": name, **learning(name)})
    others: dict[str, list[dict[str, Any]]] = {}
    for task in STREAMS if only in (None, "tasks") else ():
        _tell(f"{task}: figures and costs")
        others[task] = list(figures_of(task))
    for name in catalogue.names("binary") if only in (None, "swap") else ():
        _tell(f"swap of {name}")
        swapped.append({"model": name, **swap(name)})
    return {
        "machine": {
            "cores": os.cpu_count(),
            "python": f"Python {platform.python_version()}",
            "load_before": load_before,
        },
        "accuracy": good,
        "cost": dear,
        "learning": taught,
        "tasks": others,
        "swap": swapped,
    }


def tables(figures: dict[str, Any]) -> str:
    """Write the machine, accuracy and cost down."""
    machine = figures["machine"]
    written = [
        f"{machine['cores']} cores, {machine['python']}, "
        f"load average before: {machine['load_before']:.1f}"
    ]
    for title, columns, what in (
        ("Progressive accuracy on River's bundled streams, and log loss:", ACCURACY, "accuracy"),
        (f"Cost after {TAUGHT:,} labels of two features:", COST, "cost"),
        (
            f"Asked and taught outcome by outcome, {len(FEATURES)} features; and one snapshot:",
            *(LEARNING, "learning"),
        ),
        ("Longest time that others wait for the interpreter in a swap:", SWAP, "swap"),
    ):
        if figures[what]:
            written += [title, table(columns, figures[what])]
    for task, rows in figures["tasks"].items():
        columns = {name: name.replace("_", " ") for name in rows[0]}
        written += [f"{task}, on {STREAMS[task].__name__}:", table(columns, rows)]
    return "\n\n".join(written)


def _tell(what: str) -> None:
    print(what, file=sys.stderr, flush=True)
