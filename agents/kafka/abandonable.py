"""Run what may never come back in a thread that can be left behind.

No timeout of Python's ends a call that hangs in a library or a name service; only whoever waits for
it can go on.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def start(run: Callable[[], T], *, name: str) -> "Future[T]":
    """Run in a thread of its own, which does not keep the process from ending.

    Examples
    --------
    >>> start(lambda: 6 * 7, name="doctest").result(timeout=5)
    42
    """
    outcome: Future[T] = Future()

    def guarded() -> None:
        try:
            outcome.set_result(run())
        except BaseException as error:  # noqa: BLE001  # raised again for who waits
            outcome.set_exception(error)

    threading.Thread(target=guarded, name=name, daemon=True).start()
    return outcome
