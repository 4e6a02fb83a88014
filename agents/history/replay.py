"""Replay a file of events into `user-events`, from where the last replay of it ended."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from agents.admin import topic_admin, topic_reader
from agents.history import event_file
from agents.history.checkpoint import Checkpoint
from agents.history.event_file import FileEvent, UnreadableFile
from agents.history.publisher import publish
from agents.pipeline import Pipeline
from agents.settings import Settings
from schemas import topics

DIRECTORY: Final = "replay"
"""Where in the data directory checkpoints are kept."""
OUTPUTS: Final = (topics.PREDICTIONS, topics.DEAD_LETTERS, topics.ALERTS)
"""Where it shows what became of the events."""
CHECKPOINT_S: Final = 1.0

Report = Callable[[int, int], None]
"""Called with the number of events that the broker has, and of all."""


class Replay:
    """One file's way into `user-events`.

    Events that the broker acknowledged but no checkpoint noted (a second's worth at most, after a
    crash) are published again; their ids let the predict role drop them.

    Parameters
    ----------
    limit
        Only the file's first so many events, in time order.
    from_start
        Forget how far an earlier replay of this file came.

    Raises
    ------
    UnreadableFile
        The file cannot be mapped, or is not the one whose replay began.
    DeliveryFailed
        The broker cannot be reached, or a topic is missing.
    """

    def __init__(
        self,
        path: Path,
        settings: Settings,
        pipeline: Pipeline,
        *,
        limit: int | None = None,
        from_start: bool = False,
    ) -> None:
        columns = pipeline.replay.columns if pipeline.replay is not None else {}
        self.name = event_file.stem(path)
        self.events = event_file.read(path, pipeline.event, columns)[:limit]
        self._settings = settings
        self._topic = topics.USER_EVENTS.named(settings.topic_prefix)
        self._checkpoint_path = settings.data_dir / DIRECTORY / f"{self.name}.json"
        self.checkpoint = self._resume(path, from_start=from_start)

    @property
    def published(self) -> list[FileEvent]:
        """The events that the broker has for sure."""
        return self.events[: self.checkpoint.acknowledged]

    def run(
        self,
        rate: float,
        *,
        on_acknowledged: Callable[[str], None] = lambda event_id: None,
        report: Report = lambda acknowledged, total: None,
    ) -> int:
        """Publish what is left, and wait until the broker has it; tell how many that were.

        Parameters
        ----------
        rate
            Events a second, in an open loop; 0 for as fast as the broker takes them.
        on_acknowledged
            Called with an event's id once the broker has the event.

        Raises
        ------
        DeliveryFailed
            The broker did not take an event.
        """
        first = self.checkpoint.acknowledged
        left = self.events[first:]
        n_acknowledged = 0
        saved = time.monotonic()
        try:
            for n_acknowledged in publish(left, rate, self._settings, self._topic, on_acknowledged):
                report(first + n_acknowledged, len(self.events))
                if time.monotonic() - saved >= CHECKPOINT_S:
                    saved = time.monotonic()
                    self._save(first + n_acknowledged)
        finally:
            self._save(first + n_acknowledged)
        return n_acknowledged

    def _resume(self, path: Path, *, from_start: bool) -> Checkpoint:
        """Read the checkpoint; begin a new one where there is none of this very replay."""
        fingerprint = event_file.fingerprint(path)
        destination = f"{topic_admin.cluster_id(self._settings)}/{self._topic}"
        found = None if from_start else Checkpoint.load(self._checkpoint_path)
        if found is None or found.destination != destination:
            names = [topic.named(self._settings.topic_prefix) for topic in OUTPUTS]
            outputs = topic_reader.ends(self._settings, names)
            return Checkpoint(fingerprint=fingerprint, destination=destination, outputs=outputs)
        if found.fingerprint != fingerprint:
            raise UnreadableFile(
                f"{path} has changed since its replay began: publish it anew with --from-start"
            )
        return found

    def _save(self, acknowledged: int) -> None:
        self.checkpoint = msgspec.structs.replace(self.checkpoint, acknowledged=acknowledged)
        self.checkpoint.save(self._checkpoint_path)
