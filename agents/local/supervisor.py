"""Keep child processes running: a dead one comes back, each time a little later.

No thread of its own: whoever owns a `Supervisor` calls `poll` in its loop, a few times a second.
"""

import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from os import EX_CONFIG
from pathlib import Path
from typing import Final

from agents.embedded import child

FIRST_DELAY_S: Final = 0.5
LONGEST_DELAY_S: Final = 10.0
HEALTHY_AFTER_S: Final = 30.0
"""A child that lived this long did not die of its start: the next delay is the first again."""


@dataclass(frozen=True, slots=True)
class Child:
    """What to run.

    Parameters
    ----------
    name
        Names its log file and what is said about it.
    argv
        Its command line.
    env
        Its whole environment; `None` passes ours on.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Death:
    """What is reported of a child that ended by itself.

    Parameters
    ----------
    name
        The child's.
    returncode
        Its exit code, or the negative number of the signal that killed it.
    restart_in_s
        When it comes back; `None`: never, since nothing but its configuration would change that.
    last_words
        The last line of its log.
    """

    name: str
    returncode: int
    restart_in_s: float | None
    last_words: str


@dataclass(frozen=True, slots=True)
class Status:
    """How a child is; `pid` and `since` are `None` while it is not running."""

    name: str
    pid: int | None
    restarts: int
    since: datetime | None


@dataclass(slots=True)
class _Run:
    """One child's fortune so far."""

    what: Child
    log_path: Path
    process: "subprocess.Popen[bytes] | None" = None
    started_at: float = 0.0
    """On the monotonic clock, as `restart_at`."""
    since: datetime | None = None
    restarts: int = 0
    deaths_in_a_row: int = 0
    restart_at: float | None = None

    def launch(self) -> None:
        """Start the child, for the first time or again."""
        self.process = child.start(
            self.what.argv,
            log_path=self.log_path,
            env=self.what.env,
            # Workers survive anything; one that lingers would hold ports and transactions.
            death_signal=signal.SIGKILL,
        )
        self.started_at, self.since = time.monotonic(), datetime.now(UTC)
        self.restart_at = None

    @property
    def status(self) -> Status:
        """How the child is."""
        pid = None if self.process is None else self.process.pid
        return Status(self.what.name, pid, self.restarts, self.since)


class Supervisor:
    """Runs child processes until it is told to stop.

    Parameters
    ----------
    children
        In the order of their start; they are stopped in the opposite one.
    log_dir
        Gets `<name>.log` of each.
    on_death
        Told of each child that ended by itself.
    """

    def __init__(
        self, children: Sequence[Child], log_dir: Path, on_death: Callable[[Death], None]
    ) -> None:
        self._log_dir = log_dir
        self._runs = [self._run_of(what) for what in children]
        self._on_death = on_death

    @property
    def children(self) -> list[Status]:
        """How each child is just now."""
        return [run.status for run in self._runs]

    def start(self) -> None:
        """Start all children, without waiting for what they say."""
        for run in self._runs:
            run.launch()

    def add(self, what: Child) -> None:
        """Start one more, which is the first to be stopped."""
        run = self._run_of(what)
        run.launch()
        self._runs.append(run)

    def poll(self) -> None:
        """Notice who died and start whose time has come; returns at once."""
        for run in self._runs:
            if run.process is not None and (returncode := run.process.poll()) is not None:
                self._bury(run, returncode)
            elif run.restart_at is not None and time.monotonic() >= run.restart_at:
                run.restarts += 1
                run.launch()

    def stop(self, timeout_s: float = 10) -> None:
        """Ask all children to end, the last one first, and end those that are not done in time.

        A Ctrl-C meanwhile means: now.
        """
        deadline = time.monotonic() + timeout_s
        running = [run.process for run in reversed(self._runs) if run.process is not None]
        for process in running:
            process.terminate()
        try:
            for process in running:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(max(0.0, deadline - time.monotonic()))
        finally:
            for process in running:
                process.kill()  # without effect on one that ended
                process.wait()
            for run in self._runs:
                run.process = run.since = run.restart_at = None

    def _run_of(self, what: Child) -> _Run:
        return _Run(what, self._log_dir / f"{what.name}.log")

    def _bury(self, run: _Run, returncode: int) -> None:
        lived_s = time.monotonic() - run.started_at
        run.process = run.since = None
        run.deaths_in_a_row = 1 if lived_s >= HEALTHY_AFTER_S else run.deaths_in_a_row + 1
        delay_s = None if returncode == EX_CONFIG else restart_delay_s(run.deaths_in_a_row)
        run.restart_at = None if delay_s is None else time.monotonic() + delay_s
        last_words = child.last_line(run.log_path)
        self._on_death(Death(run.what.name, returncode, delay_s, last_words))


def restart_delay_s(deaths_in_a_row: int) -> float:
    """Tell how long a child rests after it died that often without living well in between.

    >>> [restart_delay_s(deaths) for deaths in range(1, 7)]
    [0.5, 1.0, 2.0, 4.0, 8.0, 10.0]
    """
    return float(min(FIRST_DELAY_S * 2 ** (deaths_in_a_row - 1), LONGEST_DELAY_S))
