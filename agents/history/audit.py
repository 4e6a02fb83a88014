"""Watch a replay from outside: read what becomes visible, as a downstream service would."""

import threading
import time
from typing import Final, Self

import msgspec
import orjson
from confluent_kafka import Message

from agents.admin import topic_reader
from agents.admin.topic_reader import Follower, Positions
from agents.history.accounting import Accounting, Figures
from agents.settings import Settings
from schemas import dead_letters, topics
from schemas.alerts import Alert

QUIET_S: Final = 30.0
"""What has not been answered after so long without any answer is lost: a transaction that hangs is
aborted, and its batch done again, well within it."""
_POLL_S: Final = 0.1


class _Answer(msgspec.Struct):
    """What an audit needs of a prediction."""

    event_id: str
    published_at: int


class Audit:
    """Reads predictions, dead letters and alerts, and keeps the books.

    Parameters
    ----------
    outputs
        Where the replay's outputs begin: a replay that was interrupted is audited as a whole.
    """

    def __init__(self, settings: Settings, outputs: Positions) -> None:
        self._books = Accounting()
        self._lock = threading.Lock()  # events and answers are noted by two threads
        self._answered_at = time.monotonic()
        self._decode_answer = msgspec.json.Decoder(_Answer).decode
        prefix = settings.topic_prefix
        # What is there already became visible at a time that nobody noted.
        self._live_from = topic_reader.ends(settings, [*outputs])
        handlers = {
            topics.PREDICTIONS.named(prefix): self._on_prediction,
            topics.DEAD_LETTERS.named(prefix): self._on_dead_letter,
            topics.ALERTS.named(prefix): self._on_alert,
        }
        self._follower = Follower(
            settings, outputs, lambda message, at: handlers[message.topic() or ""](message, at)
        )

    def __enter__(self) -> Self:
        self._follower.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._follower.stop()

    def sent(self, event_id: str) -> None:
        """Note an event that Kafka has acknowledged."""
        with self._lock:
            self._books.sent(event_id)

    def wait_until_answered(self) -> None:
        """Wait until every event is answered, or no answer has come for a long while."""
        self._answered_at = time.monotonic()
        while (
            self._books.n_unanswered
            and self._follower.failure is None
            and time.monotonic() - self._answered_at < QUIET_S
        ):
            time.sleep(_POLL_S)

    def figures(self) -> Figures:
        """Tell what was found until now."""
        with self._lock:
            return self._books.figures()

    def _on_prediction(self, message: Message, arrived_at_s: float) -> None:
        answer = self._decode_answer(message.value() or b"")
        live = self._is_live(message)
        latency_ms = arrived_at_s * 1_000 - answer.published_at if live else None
        with self._lock:
            self._books.predicted(answer.event_id, latency_ms)
            self._answered_at = time.monotonic()

    def _on_dead_letter(self, message: Message, _arrived_at_s: float) -> None:
        reason = dict(message.headers() or ()).get(dead_letters.REASON) or "unknown"
        if isinstance(reason, bytes):
            reason = reason.decode()
        with self._lock:
            self._books.set_aside(_event_id(message.value()), reason)
            self._answered_at = time.monotonic()

    def _on_alert(self, message: Message, _arrived_at_s: float) -> None:
        alert = msgspec.json.decode(message.value() or b"", type=Alert)
        with self._lock:
            self._books.alarmed(alert)

    def _is_live(self, message: Message) -> bool:
        ends = self._live_from[message.topic() or ""]
        return (message.offset() or 0) >= ends[message.partition() or 0]


def _event_id(value: bytes | None) -> str | None:
    """Read the id of a record that was set aside, as far as it can be read.

    >>> _event_id(b'{"event_id": "e1", "ts": -1}'), _event_id(b'{"event_id": ')
    ('e1', None)
    """
    try:
        record = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        return None
    event_id = record.get("event_id") if isinstance(record, dict) else None
    return None if event_id is None else str(event_id)
