"""Read `sketches` and their references, in a thread of its own: no group, no commits."""

import logging
import threading
from typing import Final

import msgspec
from confluent_kafka import KafkaException, Message

from agents.admin import topic_reader
from agents.monitoring.shift_history import Compared, ShiftHistory
from agents.serving import shift_told
from agents.serving.shift_told import ShiftTold
from agents.settings import Settings
from online_models.sketch import UnreadableSketch
from schemas import topics
from schemas.errors import UNREADABLE, DeliveryFailed
from schemas.sketches import SketchMinute, SketchReference

RETRY_S: Final = 1.0
STOP_TIMEOUT_S: Final = 2.0

logger = logging.getLogger(__name__)

_decode: Final = msgspec.json.Decoder(SketchMinute).decode
_decode_reference: Final = msgspec.json.Decoder(SketchReference).decode


class SketchFeed:
    """Folds all sketches that are kept, then all that come; whoever asks gets what is known by now.

    A month of minutes takes some time to read, and the page does not wait for it.
    """

    def __init__(self, settings: Settings, use_case: str) -> None:
        self._settings = settings
        self._sketches = topics.SKETCHES.named(settings.topic_prefix)
        self._references = topics.SKETCH_REFERENCES.named(settings.topic_prefix)
        self._use_case = use_case
        self._history = ShiftHistory(use_case)
        self._next_offset = 0
        self._lock = threading.Lock()
        """Held while the history changes, or is read."""
        self._told: ShiftTold | None = ShiftTold()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sketches", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; one that waits for a broker ends with the process."""
        self._stopping.set()
        self._thread.join(STOP_TIMEOUT_S)

    def told(self) -> ShiftTold:
        """Tell what is known; the same object while nothing was added."""
        with self._lock:
            if self._told is None:
                self._told = shift_told.take(self._history)
            return self._told

    def of(self, signal: str, model: str) -> list[Compared]:
        """Tell how a signal got to where it is."""
        with self._lock:
            return self._history.of(signal, model)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                both = (self._references, self._sketches)
                positions = topic_reader.ends(self._settings, both)
                # First what was chosen, or kept when `sketches` reached further back.
                for topic in both:
                    for message in topic_reader.read_to_end(self._settings, topic):
                        self._note(message)
                        if self._stopping.is_set():
                            return
            except (DeliveryFailed, KafkaException):
                self._stopping.wait(RETRY_S)  # then it is read again; what is known is passed over
                continue
            follower = topic_reader.Follower(self._settings, positions, self._note)
            follower.start()
            self._stopping.wait()
            follower.stop()

    def _note(self, message: Message, _arrived_at_s: float = 0.0) -> None:
        is_sketch = message.topic() == self._sketches
        try:
            with self._lock:
                if is_sketch:
                    self._fold(message)
                elif (value := message.value()) is not None:
                    self._hold_against(_decode_reference(value))
        except (*UNREADABLE, UnreadableSketch) as error:
            logger.warning("no %s: %s", "sketch" if is_sketch else "reference", error)

    def _fold(self, message: Message) -> None:
        offset = message.offset() or 0
        if offset < self._next_offset:  # it would count twice
            return
        self._next_offset = offset + 1
        record = _decode(message.value() or b"")
        if record.use_case == self._use_case:
            self._history.fold(record)
            self._told = None

    def _hold_against(self, reference: SketchReference) -> None:
        if reference.use_case == self._use_case:
            self._history.hold_against(reference)
            self._told = None
