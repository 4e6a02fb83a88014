"""An event loop on a clock of its own: who sleeps wakes up at once, in order, however long."""

import asyncio
import math
import selectors
from collections.abc import Callable
from typing import Any, Final

PATIENCE_S: Final = 3_600.0
"""How long on the loop's clock something that is awaited may take."""
RESOLUTION_S: Final = 1e-6


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes only when nothing else is left to do.

    Threads (`run_in_executor`) take the time that they take, and the clock stands still meanwhile.
    Sockets are not waited for.

    Examples
    --------
    >>> loop = VirtualTimeLoop()
    >>> loop.run_until_complete(asyncio.sleep(86_400))
    >>> round(loop.time())
    86400
    >>> loop.close()
    """

    def __init__(self, start_s: float = 0.0) -> None:
        self._now_s = start_s
        self._until_s = math.inf
        self._is_done: Callable[[], bool] = _never
        self._n_in_threads = 0
        super().__init__(_Selector(self._nothing_is_ready))
        # What is due sooner than this counts as due. Else asyncio's own, finer than what a float
        # can tell apart of a time since 1970, would let timers of no time wait for ever.
        self._clock_resolution = RESOLUTION_S

    def time(self) -> float:
        """Tell what the clock shows."""
        return self._now_s

    def run_until_idle(self, is_done: Callable[[], bool]) -> bool:
        """Run until nothing is ready to run and `is_done`; tell whether it came to that.

        It does not if all that is left waits for something that never comes, or comes only after
        `PATIENCE_S`.
        """
        self._run(self._now_s + PATIENCE_S, is_done)
        return is_done()

    def run_until(self, at_s: float, *, is_interrupted: Callable[[], bool]) -> bool:
        """Run what is due until the clock shows a time; tell whether that was interrupted."""
        self._run(at_s, is_interrupted)
        if is_interrupted():
            return True
        self._now_s = max(self._now_s, at_s)
        return False

    def _run(self, until_s: float, is_done: Callable[[], bool]) -> None:
        self._until_s, self._is_done = until_s, is_done
        try:
            self.run_forever()
        finally:
            self._until_s, self._is_done = math.inf, _never

    def run_in_executor(  # type: ignore[override]  # whatever the base takes
        self, executor: Any, func: Any, *args: Any
    ) -> asyncio.Future[Any]:
        """Run a function in a thread, and let the clock stand still until it is through."""
        future = super().run_in_executor(executor, func, *args)
        self._n_in_threads += 1
        future.add_done_callback(self._leave_thread)
        return future

    def _leave_thread(self, _: asyncio.Future[Any]) -> None:
        self._n_in_threads -= 1

    def _nothing_is_ready(self, timeout_s: float | None) -> bool:
        """Let time pass, or end; tell whether a thread must be waited for instead."""
        if self._n_in_threads:
            return True
        next_s = math.inf if timeout_s is None else self._now_s + timeout_s
        if self._is_done() or next_s > self._until_s + RESOLUTION_S:
            self.stop()
        elif next_s == math.inf:
            raise RuntimeError("nothing can go on: everything waits for something else")
        else:
            self._now_s = next_s
        return False


def _never() -> bool:
    return False


class _Selector(selectors.DefaultSelector):
    def __init__(self, on_idle: Callable[[float | None], bool]) -> None:
        super().__init__()
        self._on_idle = on_idle

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and (timeout is None or timeout > 0) and self._on_idle(timeout):
            ready = super().select(None)
        return ready
