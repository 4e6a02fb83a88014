"""`python -m benchmarks soak`: half an hour of events, and the worker's memory minute by minute."""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any, Final, get_args

from agents.kafka.client_settings import Delivery
from benchmarks.rig import Rig
from benchmarks.soak.reader import Reader

RATE: Final = 5_000
MINUTES: Final = 30.0
WARM_UP_MINUTES: Final = 10.0
"""Until the tables hold as much as they may: ids, and predictions that wait for their labels."""
SAMPLE_EVERY_S: Final = 1.0
MINUTE_S: Final = 60.0
QUIET_S: Final = 30.0
MB: Final = 1_000_000


def run(argv: Sequence[str]) -> int:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks soak", description=__doc__)
    parser.add_argument("--rate", type=int, default=RATE, help="events a second")
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--warm-up", type=float, default=WARM_UP_MINUTES, help="minutes left out")
    parser.add_argument("--delivery", choices=get_args(Delivery), default="exactly_once")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    if options.minutes <= options.warm_up + 1:
        parser.error("nothing is left after the warm-up: more --minutes, or less --warm-up")
    figures = measure(options.delivery, options.rate, options.minutes, options.warm_up)
    print(json.dumps(figures, indent=1) if options.json else _table(figures))
    return 0


def measure(delivery: Delivery, rate: int, minutes: float, warm_up: float) -> dict[str, Any]:
    """Let a worker predict for so long; watch it from outside."""
    n = int(rate * minutes * MINUTE_S)
    per_minute = []
    with Rig(delivery) as rig:
        rig.start_worker()
        reader = Reader(rig.settings.kafka_bootstrap, n)
        generator = subprocess.Popen(
            [
                *(sys.executable, "-m", "benchmarks.soak.generator"),
                *(rig.settings.kafka_bootstrap, str(rate), str(minutes * MINUTE_S)),
            ]
        )
        try:
            while generator.poll() is None:
                per_minute.append(_watch_a_minute(rig, reader))
                _tell(per_minute)
            if generator.returncode:
                raise SystemExit("the generator failed")
            _wait_for_the_rest(reader, n)
        finally:
            generator.kill()
            generator.wait()
            reader.close()
    steady = [minute["memory_mb"] for minute in per_minute[int(warm_up) : int(minutes)]]
    return {
        "delivery": delivery,
        "rate": rate,
        "minutes": minutes,
        "warm_up": warm_up,
        "lost": n - reader.n_seen,
        "duplicated": reader.n_doubled,
        "growth": round(max(steady) / steady[0] - 1, 4),
        "per_minute": per_minute,
    }


def _watch_a_minute(rig: Rig, reader: Reader) -> dict[str, Any]:
    samples = []
    ends_at_s = time.monotonic() + MINUTE_S
    while time.monotonic() < ends_at_s:
        time.sleep(SAMPLE_EVERY_S)
        samples.append(rig.sample("process_resident_memory_bytes") / MB)
    return {
        "memory_mb": round(statistics.median(samples), 1),
        "predictions": reader.n_seen,
        "p99_ms": reader.p99_ms(),
    }


def _wait_for_the_rest(reader: Reader, n: int) -> None:
    n_seen, heard_at_s = reader.n_seen, time.monotonic()
    while reader.n_seen < n and time.monotonic() - heard_at_s < QUIET_S:
        time.sleep(0.1)
        if reader.n_seen > n_seen:
            n_seen, heard_at_s = reader.n_seen, time.monotonic()


def _tell(per_minute: Sequence[dict[str, Any]]) -> None:
    print(f"minute {len(per_minute)}: {per_minute[-1]}", file=sys.stderr, flush=True)


def _table(figures: dict[str, Any]) -> str:
    lines = ["| minute | memory, MB | predictions | p99, ms |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {number} | {each['memory_mb']:,} | {each['predictions']:,} | {each['p99_ms']} |"
        for number, each in enumerate(figures["per_minute"], 1)
    ]
    return "\n".join(
        [
            *lines,
            "",
            f"{figures['delivery']}, {figures['rate']:,} events/s: memory grew by at most"
            f" {figures['growth']:.1%} after {figures['warm_up']:g} minutes;"
            f" lost {figures['lost']:,}, duplicated {figures['duplicated']:,}.",
        ]
    )
