"""From an event's intended publication to its prediction at a read_committed reader.

Generator and reader are processes of their own. The generator's loop is open: a stall counts
for every event that was due meanwhile.
"""

import json
import subprocess
import sys
from typing import Any

from agents.kafka.client_settings import Delivery
from benchmarks.rig import Rig

RATE = 1_000
SECONDS = 70
WARM_UP_S = 40
"""The broker runs on a Java that has just started: until it is compiled, it is what is measured."""


def measure(delivery: Delivery) -> dict[str, float]:
    """Measure one delivery."""
    with Rig(delivery) as rig:
        rig.start_worker()
        bootstrap = rig.settings.kafka_bootstrap
        n = RATE * SECONDS
        python = [sys.executable, "-m"]
        reader = subprocess.Popen(
            [*python, "benchmarks.reader", bootstrap, str(n), str(RATE * WARM_UP_S)],
            stdout=subprocess.PIPE,
            text=True,
        )
        subprocess.run(
            [*python, "benchmarks.generator", bootstrap, str(RATE), str(SECONDS)], check=True
        )
        told, _ = reader.communicate()
        figures: dict[str, float] = json.loads(told)
        return figures


def run() -> dict[str, Any]:
    """Measure both deliveries."""
    deliveries: tuple[Delivery, ...] = ("at_least_once", "exactly_once")
    return {
        f"{delivery}_{name}": value
        for delivery in deliveries
        for name, value in measure(delivery).items()
    }
