"""`python -m benchmarks beside`: predict's latency beside a forest that learns at full speed.

Twice the same load at a read_committed reader, exactly once: alone, and with a learner that has
more outcomes waiting than it can learn meanwhile, and publishes what it learned. The learner has a
core of its own; broker, load, predict and reader share another one, both times. Linux alone can do
that.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from confluent_kafka import Producer

from benchmarks import forest_shop
from benchmarks.models.learning import outcomes
from benchmarks.rig import Rig
from schemas import topics

RATE: Final = 100
"""One core has to do for the broker, the load, predict and the reader."""
SECONDS: Final = 40
WARM_UP_S: Final = 20
"""The broker runs on a Java that has just started."""
N_OUTCOMES: Final = 200_000
"""More than a forest learns in a run."""


def run(argv: Sequence[str]) -> int:
    """Measure both, and print the figures and their ratio."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks beside", description=__doc__)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    if not hasattr(os, "sched_setaffinity") or os.cpu_count() == 1:
        raise SystemExit("this needs Linux and two cores")
    first, other, *_ = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {first})  # what is started from here on is started there
    figures: dict[str, Any] = {"load_before": os.getloadavg()[0]}
    for name, learn_on in (("alone", None), ("beside_a_forest", other)):
        figures |= {f"{name}_{what}": value for what, value in measure(learn_on).items()}
    figures["p99_ratio"] = round(figures["beside_a_forest_p99"] / figures["alone_p99"], 2)
    if options.json:
        print(json.dumps(figures))
    else:
        for what, value in figures.items():
            print(f"  {what:28} {value:>12,}")
    return 0


def measure(learn_on: int | None) -> dict[str, float]:
    """Measure the latency of one run; with a learner, how much its forest learned in it, too.

    Parameters
    ----------
    learn_on
        Core of the learner; `None`: there is none.
    """
    with Rig("exactly_once", pipeline=forest_shop.__name__) as rig:
        rig.start_worker()
        bootstrap = rig.settings.kafka_bootstrap
        if learn_on is not None:
            _write_outcomes(bootstrap)
            os.sched_setaffinity(rig.start_learner(), {learn_on})
        python = [sys.executable, "-m"]
        reader = subprocess.Popen(
            [*python, "benchmarks.reader", bootstrap, str(RATE * SECONDS), str(RATE * WARM_UP_S)],
            stdout=subprocess.PIPE,
            text=True,
        )
        subprocess.run(
            [*python, "benchmarks.generator", bootstrap, str(RATE), str(SECONDS)], check=True
        )
        told, _ = reader.communicate()
        figures: dict[str, float] = json.loads(told)
        if learn_on is not None:
            figures["forest_version"] = rig.sample(
                f'thalweg_model_version{{model="{forest_shop.FOREST}"}}'
            )
        return figures


def _write_outcomes(bootstrap: str) -> None:
    declared = forest_shop.PIPELINE
    fold = declared.compiled()
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 50})
    n_features = len(fold.names)
    for outcome in outcomes(N_OUTCOMES):
        ours = msgspec.structs.replace(
            outcome,
            use_case=declared.use_case,
            schema=fold.schema,
            target=declared.label.target,
            features=(outcome.features * 2)[:n_features],
        )
        producer.produce(topics.OUTCOMES.name, msgspec.msgpack.encode(ours), b"bench")
        producer.poll(0)
    if producer.flush(60) != 0:
        raise SystemExit("the outcomes were not written")
