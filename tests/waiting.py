"""Wait for what is expected, never for a while."""

import time
from collections.abc import Callable


def wait_until(
    predicate: Callable[[], object], timeout_s: float = 10, *, every_s: float = 0.02
) -> None:
    """Return as soon as the predicate holds; fail when it does not in time.

    Raises
    ------
    TimeoutError
        Names the predicate.
    """
    deadline = time.monotonic() + timeout_s
    while not predicate():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout_s} s: {predicate}")
        time.sleep(every_s)
