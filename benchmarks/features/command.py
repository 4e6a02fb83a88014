"""`python -m benchmarks features`: what rolling features cost, beside River's and Faust's."""

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from typing import Any, Final

from benchmarks.features.declared import SPANS
from benchmarks.features.folds import Effort, by_span, by_users, per_feature
from benchmarks.features.peers import compared
from benchmarks.peers.report import table
from streams.feature_kinds import span_name

USERS: Final = (1_000, 1_000_000)
TURNS: Final = 20
"""Users whose events are worked off in turns, where their number is not what is measured."""
EVENTS: Final = 10_000
ROUNDS: Final = 5
FAUST_SHARE: Final = 10
"""A hopping table gets so much less to do: an event may cost it a millisecond."""


def run(argv: Sequence[str]) -> int:
    """Measure, and print tables or JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks features", description=__doc__)
    parser.add_argument(
        "--users", type=int, nargs="*", default=USERS, help="some 1 GB for a million of them"
    )
    parser.add_argument("--events", type=int, default=EVENTS, help="in each round")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="the fastest counts")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    figures = measure(options.users, Effort(TURNS, options.events, options.rounds))
    print(json.dumps(figures, indent=1) if options.json else tables(figures))
    return 0


def measure(users: Sequence[int], effort: Effort) -> dict[str, Any]:
    """Measure everything, one after the other in this process."""
    load_before = os.getloadavg()[0]
    _tell(f"load average before: {load_before:.1f}")
    figures: dict[str, Any] = {
        "machine": {
            "cores": os.cpu_count(),
            "python": f"Python {platform.python_version()}",
            "load_before": load_before,
        }
    }
    _tell("features")
    figures |= per_feature(effort)
    _tell("spans")
    figures["by_span_us"] = by_span(effort)
    if users:
        _tell(f"users: {', '.join(f'{n:,}' for n in users)}")
        figures["by_users_us"] = {str(n): us for n, us in by_users(users, effort).items()}
    _tell("peers")
    less = Effort(users=2, events=max(effort.events // FAUST_SHARE, 2), rounds=effort.rounds)
    figures["peers_us"] = compared(effort, less)
    return figures


def tables(figures: dict[str, Any]) -> str:
    """Write the figures down."""
    machine, spans = figures["machine"], {span_name(span): span_name(span) for span in SPANS}
    parts = [
        f"{machine['cores']} cores, {machine['python']}, "
        f"load average before: {machine['load_before']:.1f}",
        f"Thirty features: {figures['thirty_us']:.2f} µs an event,"
        f" {figures['feature_us']:.3f} µs a feature. What one more costs, in µs:",
        table(
            {"statistic": "statistic", "us": "µs"},
            [
                {"statistic": name, "us": round(us, 3)}
                for name, us in figures["statistics_us"].items()
            ],
        ),
        "µs an event of the same statistics, by their span:",
        table(
            {"statistics": "statistics", **spans, "ratio": "longest to shortest"},
            [
                {"statistics": name, **_rounded(us), "ratio": _ratio(list(us.values()))}
                for name, us in figures["by_span_us"].items()
            ],
        ),
    ]
    if us := figures.get("by_users_us"):
        parts += [
            "µs an event, state read and written, by the number of users:",
            table(
                {"users": "users", "us": "µs", "ratio": "ratio"},
                [
                    {"users": int(n), "us": round(each, 2), "ratio": _ratio([*us.values()][:i])}
                    for i, (n, each) in enumerate(us.items(), 1)
                ],
            ),
        ]
    parts += [
        "µs a feature, beside others, by span:",
        table(
            {"peer": "peer", **spans},
            [{"peer": name, **_rounded(us)} for name, us in figures["peers_us"].items()],
        ),
    ]
    return "\n\n".join(parts)


def _rounded(us: dict[str, float]) -> dict[str, float]:
    return {span: round(each, 3) for span, each in us.items()}


def _ratio(us: list[float]) -> float:
    return round(us[-1] / us[0], 2)


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
