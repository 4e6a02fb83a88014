"""`python -m benchmarks page`: how soon the ops page is there, and how far it is behind.

A real Chromium looks at a live `thalweg up` that replays the shop. `--shots docs` takes the
pictures of the documents, too.
"""

import argparse
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Final

from playwright.sync_api import Browser

from benchmarks.page import visits
from benchmarks.page.behind import ages_ms, delays_ms
from benchmarks.page.live import Live

GOALS_MS: Final = {"first contentful paint": 1_000, "event made -> shown": 1_000}


def run(argv: Sequence[str]) -> int:
    """Measure, and print figures in milliseconds."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks page", description=__doc__)
    parser.add_argument("--rate", type=float, default=200.0, help="events a second")
    parser.add_argument("--visits", type=int, default=7, help="of a browser that knows nothing yet")
    parser.add_argument("--seconds", type=float, default=30.0, help="for which updates are watched")
    parser.add_argument("--shots", type=Path, help="a directory for pictures")
    parser.add_argument("--shots-after", type=int, default=24_000, help="so many events")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    load_before = os.getloadavg()[0]
    # Who is told to end takes along what it started.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    with Live(options.rate) as live, visits.chromium() as browser:
        with visits.visit(browser, live.url) as page:
            visits.wait_for_events(page, int(10 * options.rate))  # it runs, and is warm
        found = [_visit(browser, live.url) for _ in range(options.visits)]
        figures = {name: [each[name] for each in found] for name in found[0]}
        with visits.visit(browser, live.url) as page:
            shown = visits.watch(page, options.seconds)
            published_ms = live.published_ms()
        figures["event made -> shown"] = delays_ms(published_ms, shown)
        figures["age of the newest event, as painted"] = list(ages_ms(published_ms, shown))
        if options.shots is not None:
            with visits.visit(browser, live.url) as page:
                visits.wait_for_events(page, options.shots_after)
            visits.shoot(browser, live.url, options.shots)
    told = {name: _summary(values, GOALS_MS.get(name)) for name, values in figures.items()}
    if options.json:
        print(json.dumps({"load_before": load_before, **told}))
        return 0
    print(f"{'ms':38}{'n':>8}{'median':>9}{'p95':>9}{'most':>9}{'goal':>9}")
    for name, of in told.items():
        goal = "" if of["goal"] is None else f"{of['goal']:,.0f}"
        print(
            f"{name:38}{of['n']:8,}{of['median']:9,.0f}{of['p95']:9,.0f}{of['most']:9,.0f}{goal:>9}"
        )
    return 0


def _visit(browser: Browser, url: str) -> dict[str, float]:
    with visits.visit(browser, url) as page:
        return visits.paints_ms(page)


def _summary(values: Sequence[float], goal: float | None) -> dict[str, float | None]:
    ordered = sorted(values)
    return {
        "n": len(ordered),
        "median": median(ordered),
        "p95": ordered[int(0.95 * (len(ordered) - 1))],
        "most": ordered[-1],
        "goal": goal,
    }
