"""How fast each peer works off a backlog.

The broker stamps each prediction when it is appended, and an outsider counts from those stamps:
from the end of the warm-up to the last one. It reads only when the peer is through, so that reading
takes nothing from it.
"""

import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import psutil

from benchmarks.peers.candidates import HAND_WRITTEN, Candidate
from benchmarks.peers.observer import Observer
from benchmarks.peers.stage import Process, Stage
from benchmarks.peers.task import BACKLOG_LINGER_MS

WARM_UP: Final = 0.2
"""Share of the backlog left out: imports, joining the group, first touches."""
TELL_EVERY_S: Final = 5.0

Tell = Callable[[str], None]


@dataclass(slots=True)
class Row:
    """The rounds of one peer."""

    name: str
    delivery: str
    n_events: int
    rounds_per_s: list[float] = field(default_factory=list)
    rounds_cpu_us: list[float] = field(default_factory=list)
    lost: int = 0
    duplicated: int = 0
    failure: str = ""

    @property
    def per_s(self) -> float:
        """Tell the median of the rounds."""
        return statistics.median(self.rounds_per_s) if self.rounds_per_s else 0.0

    def figures(self, baseline: "Row | None") -> dict[str, Any]:
        """Tell all of it; ratios are medians of the rounds' own."""
        told: dict[str, Any] = {"peer": self.name, "delivery": self.delivery.replace("_", " ")}
        if self.failure:
            return told | {"failure": self.failure}
        ratios = [
            mine / theirs
            for mine, theirs in zip(
                self.rounds_per_s, baseline.rounds_per_s if baseline else (), strict=False
            )
            if theirs
        ]
        return told | {
            "events": self.n_events,
            "per_s": round(self.per_s),
            "rounds_per_s": [round(each) for each in self.rounds_per_s],
            "us_per_event": round(1e6 / self.per_s, 1) if self.per_s else None,
            "cpu_us_per_event": round(statistics.median(self.rounds_cpu_us), 1),
            "ratio": round(statistics.median(ratios), 2) if ratios else None,
            "lost": self.lost,
            "duplicated": self.duplicated,
        }


def bare(stage: Stage, n: int, row: Row) -> None:
    """Measure the work alone."""
    argument = json.dumps({"n": n, "n_warm_up": int(n * WARM_UP)})
    with stage.process(f"bare-{len(row.rounds_per_s)}", "benchmarks.peers.bare", argument) as (
        process,
        log,
    ):
        process.wait()
        told = json.loads(log.read_text(encoding="utf-8"))
    row.rounds_per_s.append(told["per_s"])
    row.rounds_cpu_us.append(told["cpu_us"])


def measure(stage: Stage, candidate: Candidate, n: int, row: Row, tell: Tell) -> None:
    """Run one round of one peer."""
    source, target = stage.backlog(n), stage.fresh_topic("target")
    observer = Observer(stage.bootstrap, target)
    cpu: list[tuple[int, float]] = []
    with stage.peer(candidate, source, target, BACKLOG_LINGER_MS) as process:
        tell("started")
        told_at = time.monotonic()

        def note(seen: int) -> None:
            cpu.append((seen, _cpu_s(process)))
            nonlocal told_at
            if time.monotonic() - told_at > TELL_EVERY_S:
                told_at = time.monotonic()
                tell(f"{min(seen / n, 1):.0%}")

        observer.wait_for(n, process, note)
    seen = observer.read(n)
    tell(f"{seen.per_s(int(n * WARM_UP)):,.0f} events/s")
    row.rounds_per_s.append(seen.per_s(int(n * WARM_UP)))
    row.lost += seen.n_lost
    row.duplicated += seen.n_duplicated
    warm = [each for each in cpu if each[0] >= n * WARM_UP] or cpu
    (n_first, cpu_first), (n_last, cpu_last) = warm[0], warm[-1]
    row.rounds_cpu_us.append((cpu_last - cpu_first) / max(n_last - n_first, 1) * 1e6)


def baseline(rows: list[Row]) -> Row | None:
    """Find the row that all are compared with: the hand-written loop, at least once."""
    return next(
        (row for row in rows if row.name == HAND_WRITTEN and row.delivery == "at_least_once"), None
    )


def _cpu_s(process: Process) -> float:
    times = psutil.Process(process.pid).cpu_times()
    return times.user + times.system
