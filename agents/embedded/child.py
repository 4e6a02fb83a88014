"""Child processes: their own session, a log file, and an end that comes with ours."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

LOG_LIMIT_BYTES: Final = 10 << 20
_TETHER: Final = str(Path(__file__).with_name("tether.py"))
# The kernel ties a child to the *thread* that started it, so all are started by one that stays.
_STARTER: Final = ThreadPoolExecutor(max_workers=1, thread_name_prefix="child-starter")


def start(
    command: Sequence[str],
    *,
    log_path: Path,
    env: Mapping[str, str] | None = None,
    death_signal: signal.Signals = signal.SIGTERM,
) -> "subprocess.Popen[bytes]":
    """Start a process whose output is appended to a log file.

    It has a session of its own, so that a terminal's Ctrl-C reaches only us and we stop our
    children in order. When we die without stopping it, it gets `death_signal` (on Linux).
    """
    return _STARTER.submit(_start, command, log_path, env, death_signal).result()


def _start(
    command: Sequence[str],
    log_path: Path,
    env: Mapping[str, str] | None,
    death_signal: signal.Signals,
) -> "subprocess.Popen[bytes]":
    rotate(log_path)
    tethered = [sys.executable, "-I", "-S", _TETHER, str(os.getpid()), str(int(death_signal))]
    with log_path.open("ab") as log:
        return subprocess.Popen(  # noqa: S603  # our own commands
            [*tethered, *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=None if env is None else dict(env),
            start_new_session=True,
        )


def stop(process: "subprocess.Popen[bytes]", timeout_s: float) -> int:
    """Ask a process to end, make it end after the timeout; tell its return code."""
    process.terminate()
    try:
        return process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def rotate(log_path: Path, limit_bytes: int = LOG_LIMIT_BYTES) -> None:
    """Put a log file that has grown too long aside; only the last such is kept."""
    log_path.parent.mkdir(parents=True, exist_ok=True)
    if log_path.exists() and log_path.stat().st_size > limit_bytes:
        log_path.replace(log_path.with_suffix(log_path.suffix + ".1"))


def last_line(log_path: Path) -> str:
    """Read the last line of a log file that says anything; empty when there is none."""
    try:
        with log_path.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 8_192))
            lines = log.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
