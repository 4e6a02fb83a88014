"""What is measured beside each other does the same."""

import json
from datetime import timedelta
from itertools import islice

import pytest

from benchmarks.features.command import measure, tables
from benchmarks.features.declared import of_span
from benchmarks.features.folds import Effort
from benchmarks.features.load import Click, clicks
from benchmarks.features.peers import STATISTICS, FaustWindows, river_windows
from streams.fold import compile_features

HOUR = timedelta(hours=1)


def some_clicks(n: int) -> list[Click]:
    return list(islice(clicks(7, away=6 * HOUR), n))


def test_a_user_does_the_same_each_time_and_in_order():
    made = some_clicks(100)

    assert made == some_clicks(100)
    assert [click.ts for click in made] == sorted(click.ts for click in made)


def test_rivers_windows_hold_what_ours_do_as_long_as_nothing_has_left_them():
    span = 30 * timedelta(days=1)
    fold, work = compile_features(of_span(STATISTICS, span), Click), river_windows(span)
    state = fold.new()
    for click in some_clicks(50):
        ours, rivers = fold.update(state, click), work(click)

        assert list(ours.values()) == pytest.approx(rivers, abs=1e-5)


def test_fausts_newest_window_holds_what_came_since_it_began():
    windows, step_ms = FaustWindows(HOUR), 300_000
    made = some_clicks(8)
    read = [windows.add(click) for click in made][-1]
    began_ms = made[-1].ts // step_ms * step_ms

    assert read == pytest.approx(sum(c.amount or 0 for c in made if c.ts >= began_ms))


def test_every_figure_is_measured_and_told(monkeypatch):
    monkeypatch.setattr("benchmarks.features.folds.HISTORY", timedelta(days=1))
    monkeypatch.setattr("benchmarks.features.peers.HISTORY", timedelta(days=1))
    figures = measure([100, 300], Effort(users=1, events=2, rounds=1))

    assert json.loads(json.dumps(figures)) == figures
    assert figures["thirty_us"] == pytest.approx(30 * figures["feature_us"])
    assert tables(figures).count("| 90d ") == 2
