"""What all of these tests do without."""

import pytest

from agents.prediction import asking_time


@pytest.fixture(autouse=True)
def nobody_measures_how_long_answers_take(monkeypatch):
    """Each of a thousand snapshots would be asked three hundred times before it is served."""
    monkeypatch.setattr(asking_time, "RUNS", 1)
    monkeypatch.setattr(asking_time, "ASKED", 1)
