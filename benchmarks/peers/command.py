"""`python -m benchmarks peers`: the transport beside a hand-written loop and other frameworks."""

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any, Final

from benchmarks.peers import backlog, latency
from benchmarks.peers.backlog import Row
from benchmarks.peers.candidates import ALL, SHORT, Candidate
from benchmarks.peers.environments import NotInstallable, ensure
from benchmarks.peers.report import tables
from benchmarks.peers.stage import PeerEnded, Stage

N_EVENTS: Final = 300_000
RATES: Final = (2_000, 10_000)
INTERRUPTED: Final = 130


def run(argv: Sequence[str]) -> int:
    """Measure what the arguments ask for; print tables or JSON."""
    options = _options(argv)
    try:
        figures = Peers(options).run()
    except KeyboardInterrupt:
        _tell("interrupted; all processes are ended")
        return INTERRUPTED
    print(json.dumps(figures, indent=1) if options.json else tables(figures))
    return 0


class Peers:
    """One run of the whole benchmark."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        chosen = [each for each in ALL if not options.only or each.short in options.only]
        if options.offline:
            chosen = [each for each in chosen if not each.requirements]
        self._unavailable: dict[Candidate, str] = {}
        self._candidates = chosen
        self._done = 0

    def run(self) -> dict[str, Any]:
        """Install, start the broker, warm it up, measure."""
        load_before = os.getloadavg()[0]
        _tell(f"load average before: {load_before:.1f}")
        for candidate in self._candidates:
            try:
                ensure(candidate.environment, candidate.requirements)
            except NotInstallable as exception:
                self._unavailable[candidate] = f"not installable: {exception}"
        with Stage() as stage:
            self._warm_up(stage)
            return {
                "machine": {
                    "cores": os.cpu_count(),
                    "python": f"Python {platform.python_version()}",
                    "load_before": load_before,
                    "versions": {
                        name: version(name)
                        for name in ("confluent-kafka", "faust-streaming", "aiokafka", "river")
                    },
                },
                "backlog": self._backlog(stage) if self._options.rounds else [],
                "latency": self._latency(stage),
            }

    def _warm_up(self, stage: Stage) -> None:
        """Give the broker's compiler what it will see: both deliveries, unmeasured."""
        for candidate in ALL[:2]:
            row = Row(candidate.name, candidate.delivery, self._options.events)
            say = _teller(f"warm-up, {candidate.delivery.replace('_', ' ')}")
            backlog.measure(stage, candidate, self._options.events, row, say)

    def _backlog(self, stage: Stage) -> list[dict[str, Any]]:
        n_bare = self._options.events
        bare = Row("work alone", "-", n_bare)
        rows = [
            Row(each.name, each.delivery, max(int(self._options.events * each.share), 1))
            for each in self._candidates
        ]
        for number in range(self._options.rounds):
            # In turns, so that whatever else the machine does meets all of them.
            _teller(f"backlog, round {number + 1}, work alone")("started")
            backlog.bare(stage, n_bare, bare)
            for candidate, row in zip(self._candidates, rows, strict=True):
                say = _teller(f"backlog, round {number + 1}, {_name(candidate)}")
                self._guarded(
                    candidate,
                    row,
                    lambda c=candidate, r=row, s=say: backlog.measure(  # type: ignore[misc]
                        stage, c, r.n_events, r, s
                    ),
                )
        beside = backlog.baseline(rows)
        return [row.figures(beside) for row in (bare, *rows)]

    def _latency(self, stage: Stage) -> list[dict[str, Any]]:
        figures: list[dict[str, Any]] = []
        for rate in self._options.rates:
            _teller(f"latency at {rate:,}/s, no peer")("started")
            figures.append(
                latency.bare(
                    stage, rate, seconds=self._options.seconds, warm_up_s=self._options.warm_up
                )
            )
            for candidate in self._candidates:
                if rate > candidate.highest_rate:
                    continue
                row = Row(candidate.name, candidate.delivery, 0)
                say = _teller(f"latency at {rate:,}/s, {_name(candidate)}")
                self._guarded(
                    candidate,
                    row,
                    lambda c=candidate, rate=rate, s=say: figures.append(  # type: ignore[misc]
                        latency.measure(
                            stage,
                            c,
                            rate,
                            seconds=self._options.seconds,
                            warm_up_s=self._options.warm_up,
                            tell=s,
                        )
                    ),
                )
                if row.failure:
                    figures.append({**row.figures(None), "rate": rate})
        return figures

    def _guarded(self, candidate: Candidate, row: Row, measure: Callable[[], None]) -> None:
        """Measure one peer; the others go on when it cannot be."""
        row.failure = row.failure or self._unavailable.get(candidate, "")
        if row.failure:
            return
        try:
            measure()
        except PeerEnded as exception:
            row.failure = f"its process ended: {exception}"


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks peers", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=SHORT, default=[], help="these peers")
    parser.add_argument("--offline", action="store_true", help="no peer that pip must install")
    parser.add_argument("--events", type=int, default=N_EVENTS, help="in the backlog")
    parser.add_argument("--rounds", type=int, default=3, help="of the backlog; 0 leaves it out")
    parser.add_argument(
        "--rates", type=int, nargs="*", default=RATES, help="of latency; none leaves it out"
    )
    parser.add_argument("--seconds", type=float, default=30, help="of latency, after its warm-up")
    parser.add_argument("--warm-up", type=float, default=10, help="seconds of latency left out")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(argv)


def _name(candidate: Candidate) -> str:
    return f"{candidate.name}, {candidate.delivery.replace('_', ' ')}"


def _teller(what: str) -> Callable[[str], None]:
    return lambda how: _tell(f"{what}: {how}")


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
