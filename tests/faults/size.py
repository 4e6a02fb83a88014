"""How much of everything: little on one broker in every run, more on three by `make faults`."""

import os
from dataclasses import dataclass
from typing import Final

import pytest


@dataclass(frozen=True, kw_only=True)
class Size:
    """How hard a run is.

    Parameters
    ----------
    rate
        Events in a second.
    n_faults
        How often a fault happens in its test.
    n_between
        How many answers there are between two faults, at most.
    n_events
        How many events there are, at least.
    """

    n_brokers: int
    n_workers: int
    rate: float
    n_faults: int
    n_between: int
    n_events: int


SMALL: Final = Size(n_brokers=1, n_workers=2, rate=1_000, n_faults=3, n_between=1_500, n_events=0)
FULL: Final = Size(
    n_brokers=3, n_workers=3, rate=1_000, n_faults=30, n_between=4_000, n_events=100_000
)
SIZE: Final = FULL if os.environ.get("FAULTS") == "full" else SMALL
only_full: Final = pytest.mark.skipif(SIZE is SMALL, reason="takes long: `make faults`")
