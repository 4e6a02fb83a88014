"""Run a state machine through many random histories, and keep count of them.

A failure prints its shrunk history and the line that repeats it (`@reproduce_failure`); it is saved
in `.hypothesis/` too, and comes first in the next run. `--hypothesis-seed=N` repeats a whole run.
"""

from collections import Counter
from typing import cast

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from tests.faults.size import FULL, SIZE

STEPS = 16
PART = 1 if SIZE is FULL else 4
"""What part of them an ordinary run tries: one of so many, others each time."""
counted: Counter[str] = Counter()
"""Histories by machine; told at the end of the test run."""


def run_histories(machine: type[RuleBasedStateMachine], *, n: int, settled: bool = True) -> None:
    """Run `n` histories, or an ordinary run's part of them.

    Parameters
    ----------
    settled
        Whether none may fail. Otherwise stop at the first failure, which is looked for among all
        `n`, unshrunk and unsaved.
    """
    n_runs = 0
    n = n // PART if settled else n

    def made() -> RuleBasedStateMachine:
        nonlocal n_runs
        n_runs += 1
        return machine()

    factory = cast("type[RuleBasedStateMachine]", made)

    chosen = settings(
        max_examples=n,
        stateful_step_count=STEPS,
        deadline=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow],
    )
    if settled:
        run_state_machine_as_test(factory, settings=chosen)
        counted[machine.__name__] += n_runs
        assert n_runs >= n
    else:
        first = settings(
            chosen, phases=[Phase.generate], database=None, print_blob=False, derandomize=True
        )
        run_state_machine_as_test(factory, settings=first)
