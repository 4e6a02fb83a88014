"""Worker processes that are killed, paused and brought back, as a supervisor would."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, NamedTuple, Self

import psutil

from tests.agents.kafka import counting_app
from tests.waiting import wait_until

SUPERVISE_EVERY_S = 0.05
STOP_TIMEOUT_S = 30


class End(NamedTuple):
    """A worker that ended without having been told to."""

    slot: int
    returncode: int
    log: str


class Workers:
    """Counting apps, one for each slot that was started.

    Who ends is started again at once, unless it was stopped. Each process has a log of its own.
    """

    def __init__(self, log_dir: Path, **settings: Any) -> None:
        self.ends: list[End] = []
        """Who ended by itself."""
        self._log_dir = log_dir
        self._settings = settings
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._logs: dict[int, Path] = {}
        self._n_started = 0
        self._lock = threading.RLock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._supervise, daemon=True)

    def start(self, slot: int) -> None:
        """Start a worker; it is brought back until it is stopped."""
        with self._lock:
            self._n_started += 1
            path = self._log_dir / f"worker-{slot}-{self._n_started}.log"
            with path.open("wb") as log:
                self._processes[slot] = subprocess.Popen(
                    [
                        sys.executable,
                        str(counting_app.__file__),
                        json.dumps({**self._settings, "slot": slot}),
                    ],
                    stdout=log,
                    stderr=log,
                    env={**os.environ, "PYTHONPATH": "."},
                )
            self._logs[slot] = path

    def kill(self, slot: int) -> None:
        """Kill a worker; the next one of its slot starts at once."""
        with self._lock:
            self._processes[slot].kill()
            self._processes[slot].wait()
            self.start(slot)

    def stop(self, slot: int) -> None:
        """Tell a worker to end, and wait until it did, within a time in which it should."""
        with self._lock:
            process = self._processes.pop(slot)
        process.terminate()
        process.wait(STOP_TIMEOUT_S)

    def pause(self, slot: int) -> None:
        """Freeze a worker."""
        self._processes[slot].send_signal(signal.SIGSTOP)

    def resume(self, slot: int) -> None:
        """Let a frozen worker go on."""
        self._processes[slot].send_signal(signal.SIGCONT)

    def resident_mb(self) -> float:
        """Tell how much memory the largest worker has."""
        sizes = [psutil.Process(each.pid).memory_info().rss for each in self._processes.values()]
        return max(sizes) / 1e6

    def path(self, slot: int) -> Path:
        """Tell where the log of the slot's present process is, or of its last one."""
        return self._logs[slot]

    def log(self, slot: int) -> str:
        """Read that log."""
        return self.path(slot).read_text(errors="replace")

    @property
    def slots(self) -> list[int]:
        """Who should be running."""
        return sorted(self._processes)

    def wait_assigned(self, *slots: int, timeout_s: float = 60) -> None:
        """Wait until these workers have been told their partitions."""
        wait_until(lambda: all("assigned " in self.log(slot) for slot in slots), timeout_s)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._thread.join()
        for process in self._processes.values():
            process.kill()
            process.wait()

    def _supervise(self) -> None:
        while not self._closing.wait(SUPERVISE_EVERY_S):
            with self._lock:
                for slot, process in list(self._processes.items()):
                    if (returncode := process.poll()) is not None:
                        self.ends.append(End(slot, returncode, self.log(slot)))
                        self.start(slot)
