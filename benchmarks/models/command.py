"""`python -m benchmarks models`: how good each model of the catalogue is, and what it costs."""

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from typing import Any, Final

from benchmarks.models.accuracy import DELAY_ROWS, accuracies
from benchmarks.models.cost import TAUGHT, cost
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


def run(argv: Sequence[str]) -> int:
    """Measure, and print tables or JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks models", description=__doc__)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    figures = measure()
    print(json.dumps(figures, indent=1) if options.json else tables(figures))
    return 0


def measure() -> dict[str, Any]:
    """Measure everything, one after the other in this process."""
    load_before = os.getloadavg()[0]
    good = []
    for name, figures in accuracies():
        _tell(f"accuracy of {name}")
        good.append({"model": name, **figures})
    dear = []
    for name in catalogue.NAMES:
        _tell(f"cost of {name}")
        heeds = "yes" if catalogue.recipe(name).takes_weights else "no"
        dear.append({"model": name, **cost(name), "weights": heeds})
    return {
        "machine": {
            "cores": os.cpu_count(),
            "python": f"Python {platform.python_version()}",
            "load_before": load_before,
        },
        "accuracy": good,
        "cost": dear,
    }


def tables(figures: dict[str, Any]) -> str:
    """Write the machine, accuracy and cost down."""
    machine = figures["machine"]
    return "\n\n".join(
        (
            f"{machine['cores']} cores, {machine['python']}, "
            f"load average before: {machine['load_before']:.1f}",
            "Progressive accuracy on River's bundled streams, and log loss:",
            table(ACCURACY, figures["accuracy"]),
            f"Cost after {TAUGHT:,} labels of two features:",
            table(COST, figures["cost"]),
        )
    )


def _tell(what: str) -> None:
    print(what, file=sys.stderr, flush=True)
