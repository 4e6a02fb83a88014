"""The newest telemetry of each process: who is ready, and how the models do."""

import time
from collections.abc import Mapping
from typing import Final

import msgspec
from confluent_kafka import Message

from agents.admin import topic_reader
from agents.observability import metric_list
from agents.settings import Settings
from schemas import topics
from schemas.telemetry import Telemetry

_POLL_S: Final = 0.05


class VitalSigns:
    """Follows `telemetry` from now on.

    Examples
    --------
    A record of an earlier process in the same role is no sign of life of this one:

    >>> record = Telemetry(process="predict-0", pid=7, at=0, samples={"thalweg_ready": 1.0})
    >>> is_ready(record, pid=7), is_ready(record, pid=8), is_ready(None, pid=7)
    (True, False, False)
    """

    def __init__(self, settings: Settings) -> None:
        self.newest: dict[str, Telemetry] = {}
        """The newest record of each process."""
        topic = topics.TELEMETRY.named(settings.topic_prefix)
        positions = topic_reader.ends(settings, [topic])
        self._follower = topic_reader.Follower(settings, positions, self._note)

    def start(self) -> None:
        """Begin to read."""
        self._follower.start()

    def stop(self) -> None:
        """End the reading; raises what broke it."""
        self._follower.stop()

    def unready(self, pids: Mapping[str, int]) -> list[str]:
        """Tell which of the processes have not said yet that records can flow."""
        if self._follower.failure is not None:
            raise self._follower.failure
        return [name for name, pid in pids.items() if not is_ready(self.newest.get(name), pid)]

    def wait_until_heard(self, process: str, *, timeout_s: float) -> None:
        """Wait until a process has told how it is from now on, or the time is over."""
        now_ms = time.time_ns() // 1_000_000
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            record = self.newest.get(process)
            if record is not None and record.at >= now_ms:
                return
            time.sleep(_POLL_S)

    def _note(self, message: Message, _arrived_at_s: float) -> None:
        record = msgspec.json.decode(message.value() or b"", type=Telemetry)
        self.newest[record.process] = record


def is_ready(record: Telemetry | None, pid: int) -> bool:
    """Tell whether this very process says that records can flow through it."""
    return (
        record is not None
        and record.pid == pid
        and record.samples.get(metric_list.READY.name) == 1.0
    )
