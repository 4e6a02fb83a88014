"""What a peer is told, and how it begins: the same for all of them."""

import gc
import json
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass

from benchmarks.peers.work import Work

N_PARTITIONS = 4
LATENCY_LINGER_MS = 1
BACKLOG_LINGER_MS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One run of one peer.

    Parameters
    ----------
    source, target
        Topics: an event from the one, its prediction to the other.
    group
        A consumer group that nobody used before.
    directory
        For whatever the peer keeps on disk.
    linger_ms
        How long the producers of peers wait for more, where a peer leaves that to its user.
    """

    bootstrap: str
    source: str
    target: str
    group: str
    directory: str
    delivery: str
    linger_ms: int

    def to_json(self) -> str:
        """Write it as the argument of a peer's process.

        >>> task = Task(
        ...     bootstrap="b", source="s", target="t", group="g", directory="d",
        ...     delivery="exactly_once", linger_ms=1,
        ... )
        >>> Task(**json.loads(task.to_json())) == task
        True
        """
        return json.dumps(asdict(self))


def begin() -> tuple[Task, Work]:
    """Read the task, and make the work ready.

    Garbage collection is tuned as an expert would: what lives since the start is frozen, and full
    collections, which stop a process for 100 ms, do not come.
    """
    task, work = Task(**json.loads(sys.argv[1])), Work()
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 1_000_000)
    return task, work


def until_told_to_stop() -> Callable[[], bool]:
    """Tell, from now on, whether the process was asked to end."""
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda _signal, _frame: stopping.set())
    return stopping.is_set
