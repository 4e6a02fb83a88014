"""`python -m benchmarks handover`: each way to share out partitions, through the same events."""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, Final

from agents.kafka.client_settings import Rebalancing
from benchmarks.handover.delays import Delays
from benchmarks.peers.stage import Process, Stage

WAYS: Final[tuple[Rebalancing, ...]] = ("range", "cooperative-sticky", "consumer")
RATE: Final = 2_000
SECONDS: Final = 120
WARM_UP_S: Final = 10.0
SETTLE_S: Final = 5.0
"""How long an event is watched once it is over."""
DEATH_S: Final = 16.0
"""How long a death is watched: a session, and some."""
N_WORKERS: Final = 2


def run(argv: Sequence[str]) -> int:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks handover", description=__doc__)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument("--standby", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    with Stage() as stage:
        figures = [Handover(stage, way, options.standby).measure() for way in options.ways]
    print(json.dumps(figures, indent=1) if options.json else _table(figures))
    return 0


class Handover:
    """Two workers under a steady load, and what happens to them."""

    def __init__(self, stage: Stage, way: Rebalancing, standby: int) -> None:
        self._stage, self._way = stage, way
        self._source, self._target = stage.fresh_topic("source"), stage.fresh_topic("target")
        self._settings = {
            "bootstrap": stage.bootstrap,
            "group": f"handover-{way}",
            "rebalancing": way,
            "standby": standby,
            "source": self._source,
            "target": self._target,
            "changelog": stage.fresh_topic("state"),
        }
        self._n_started = 0

    def measure(self) -> dict[str, Any]:
        """Let workers join, leave, restart one by one and die; tell the longest delays."""
        n = RATE * SECONDS
        generated = {
            "bootstrap": self._stage.bootstrap,
            "topic": self._source,
            "rate": RATE,
            "n": n,
            "first_id": 0,
        }
        figures: dict[str, Any] = {"way": self._way, "standby": self._settings["standby"]}
        with ExitStack() as stack:
            self._stack = stack
            delays = Delays(self._stage.bootstrap, self._target)
            stack.callback(delays.close)
            workers = [self._start(0)]
            generator, _ = stack.enter_context(
                self._stage.process(
                    f"generator-{self._way}",
                    "benchmarks.peers.open_loop",
                    json.dumps(generated),
                )
            )
            time.sleep(WARM_UP_S)
            delays.longest_ms()

            def watch(name: str, act: Callable[[], None], for_s: float = SETTLE_S) -> None:
                delays.longest_ms()
                act()
                time.sleep(for_s)
                figures[f"{name}_ms"] = delays.longest_ms()
                _tell(f"{self._way}: {name}: {figures[f'{name}_ms']:,} ms")

            watch("undisturbed", lambda: None)
            watch("join", lambda: workers.append(self._start(1)))
            watch("leave", lambda: _stop(workers.pop()))
            workers.append(self._start(1))
            time.sleep(SETTLE_S)

            def roll() -> None:
                for slot in range(N_WORKERS):
                    _stop(workers[slot])
                    workers[slot] = self._start(slot)
                    time.sleep(SETTLE_S)

            watch("rolling_restart", roll)
            watch("kill", workers[1].kill, DEATH_S)
            generator.wait()
            deadline_s = time.monotonic() + 30
            while len(delays.seen) < n and time.monotonic() < deadline_s:
                time.sleep(0.1)
            figures["lost"] = n - len(delays.seen)
            figures["duplicated"] = delays.n_doubled
        return figures

    def _start(self, slot: int) -> Process:
        """Start a worker, and wait until it has partitions."""
        self._n_started += 1
        process, log = self._stack.enter_context(
            self._stage.process(
                f"{self._way}-{self._n_started}",
                "benchmarks.handover.stateful_worker",
                json.dumps({**self._settings, "slot": slot}),
            )
        )
        while "assigned " not in log.read_text(encoding="utf-8"):
            if process.poll() is not None:
                raise SystemExit(log.read_text(encoding="utf-8")[-2_000:])
            time.sleep(0.05)
        return process


def _stop(process: Process) -> None:
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired as late:
        raise SystemExit("a worker does not end") from late


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _table(figures: Sequence[dict[str, Any]]) -> str:
    names = [name for name in figures[0] if name != "way"]
    lines = ["| way | " + " | ".join(name.replace("_", " ") for name in names) + " |"]
    lines.append("| --- " * (len(names) + 1) + "|")
    lines += [
        f"| {each['way']} | " + " | ".join(f"{each[name]:,}" for name in names) + " |"
        for each in figures
    ]
    return "\n".join(lines)
