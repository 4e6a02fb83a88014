"""Call librdkafka for transactions: within a time, seen from outside, as often as it may help."""

import threading
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

from confluent_kafka import KafkaError, KafkaException

from agents.kafka.client_settings import TRANSACTION_TIMEOUT_MS
from schemas.errors import DeliveryFailed, Fenced

T = TypeVar("T")

CALL_TIMEOUT_S: Final = 10.0
GRACE_S: Final = 1.0
"""How long after its timeout a call must have come back."""
BROKER_AWAY_S: Final = 300.0
"""How long a broker may be away before its worker ends, and is started anew by who supervises it.
Until then it waits: what it has computed would else be computed again."""
FIRST_PAUSE_S: Final = 0.01
LONGEST_PAUSE_S: Final = 0.5

FENCED: Final = frozenset(
    {
        KafkaError._FENCED,
        KafkaError.INVALID_PRODUCER_EPOCH,
        KafkaError.PRODUCER_FENCED,
    }
)


class Abandoned(Exception):
    """Its call came back long after it was left behind: this thread has nothing more to do."""


class Calls:
    """What one worker's committer calls. One call at a time; others may look on.

    Who looks on may leave a call behind that hangs. Its thread ends by `Abandoned` if it ever comes
    back, and nothing between two calls is ever left behind.

    Parameters
    ----------
    identity
        The worker's, as messages name it.

    Examples
    --------
    >>> calls = Calls("predict-0")
    >>> calls.call(lambda timeout_s: f"within {timeout_s} s", timeout_s=5.0)
    'within 5.0 s'
    >>> calls.is_hung
    False
    """

    def __init__(self, identity: str) -> None:
        self._identity = identity
        self.latest = ""
        """What was called last, for people who ask where it hangs."""
        self.longest_s = 0.0
        """How long the longest call took, since whoever wants to know set this to 0."""
        self.awaits_broker = False
        """Whether nothing gets through because a broker is away, and was not away for too long."""
        self._must_return_by_s: float | None = None
        self._n_abandoned = 0
        self._ending = threading.Lock()

    @property
    def is_hung(self) -> bool:
        """Whether a call is long past its timeout, and will not come back."""
        deadline_s = self._must_return_by_s
        return deadline_s is not None and time.monotonic() > deadline_s

    def abandon(self) -> bool:
        """Leave the call behind that hangs; tell whether one does. For other threads."""
        with self._ending:
            if not self.is_hung:
                return False
            self._n_abandoned += 1
            self._must_return_by_s = None
            return True

    def call(self, call: Callable[..., Any], *arguments: object, timeout_s: float) -> Any:
        """Call with a timeout as its last argument."""
        n_abandoned, started_at = self._n_abandoned, time.monotonic()
        self.latest = getattr(call, "__name__", "") or str(getattr(call, "func", call))
        self._must_return_by_s = started_at + timeout_s + GRACE_S
        try:
            return call(*arguments, timeout_s)
        finally:
            with self._ending:
                if n_abandoned != self._n_abandoned:
                    raise Abandoned
                self._must_return_by_s = None
            self.longest_s = max(self.longest_s, time.monotonic() - started_at)

    def patiently(self, call: Callable[[float], T], may_help: Callable[[KafkaError], bool]) -> T:
        """Repeat a call as long as that may help, and a broker may be away.

        Raises
        ------
        DeliveryFailed, Fenced
            It failed for good.
        """
        deadline_s = time.monotonic() + BROKER_AWAY_S
        attempt = 0
        try:
            while True:
                try:
                    return cast(T, self.call(call, timeout_s=CALL_TIMEOUT_S))
                except KafkaException as exception:
                    error: KafkaError = exception.args[0]
                    self.end_if_refused(error)
                    if not may_help(error) or time.monotonic() > deadline_s:
                        raise DeliveryFailed(error.str()) from exception
                    self.awaits_broker = True
                    time.sleep(pause_s(attempt))
                    attempt += 1
        finally:
            self.awaits_broker = False

    def end_if_refused(self, error: KafkaError) -> None:
        """Raise if an error says that this worker may not go on, whatever it calls next.

        Raises
        ------
        DeliveryFailed, Fenced
            It may not write, or not any more.
        """
        # A new producer would fence our successor in turn.
        if error.code() in FENCED:
            # The broker answers both with the same code.
            raise Fenced(
                f"another worker runs as {self._identity}, or a transaction of ours stood"
                f" open for longer than {TRANSACTION_TIMEOUT_MS / 1_000:.0f} s: {error.str()}"
            )
        if error.code() == KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
            raise DeliveryFailed(
                f"no ACL lets this worker write as {self._identity}-*: it needs Write on"
                f" transactional ids of that prefix: {error.str()}"
            )


def pause_s(attempt: int) -> float:
    """Tell how long to wait after so many attempts that failed.

    >>> [pause_s(attempt) for attempt in range(7)]
    [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.5]
    """
    return min(FIRST_PAUSE_S * 2.0**attempt, LONGEST_PAUSE_S)
