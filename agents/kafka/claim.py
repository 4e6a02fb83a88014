"""Hold a transactional id, and end once another worker holds it."""

import logging
import threading
from collections.abc import Callable
from typing import Final, TypeVar, cast

from confluent_kafka import KafkaError, KafkaException

from agents.kafka.calls import Calls
from agents.kafka.client_settings import KafkaSettings
from agents.kafka.ownership import Ownership, transaction_owner
from schemas.errors import Fenced

logger = logging.getLogger(__name__)

T = TypeVar("T")

ASK_TIMEOUT_S: Final = 5.0
"""As long as one request may take."""


class Claim:
    """The transactional id of one turn, which this worker initialised."""

    def __init__(self, settings: KafkaSettings, turn: int, calls: Calls) -> None:
        self._settings = settings
        self._turn = turn
        self._calls = calls
        self._owned: Ownership | None = None
        """As whom the broker knows us; `None`: it does not tell."""
        self.has_open = False
        """Whether a transaction was begun whose end is not known. The committer says so."""
        self._staking = threading.Lock()
        self._is_passed_on = False

    def inherited(self) -> "Claim":
        """Tell the same claim to a thread that takes over from one which hangs, lock in hand."""
        heir = Claim(self._settings, self._turn, self._calls)
        heir._owned, heir.has_open = self._owned, self.has_open
        self._is_passed_on = True  # before the heir initialises the id anew
        return heir

    def stake(self, initialise: Callable[[float], T]) -> T:
        """Initialise the id, as often as that may help; whoever had it is fenced."""
        with self._staking:
            made = self._calls.patiently(initialise, KafkaError.retriable)
            self.has_open = False
            try:
                told = self._calls.call(self._ask, timeout_s=ASK_TIMEOUT_S)
                self._owned = cast(Ownership | None, told)
            except KafkaException as exception:
                # Without an answer we go on, and fence whoever has the id when we have to.
                self._owned = None
                _warn(exception)
        return made

    def end_if_lost(self) -> None:
        """Raise `Fenced` if another worker took the id, while we stood still or were cut off."""
        if self._owned is not None:
            found = self._calls.patiently(self._ask, KafkaError.retriable)
            self._end_unless_ours(found, had_open=self.has_open)

    def end_if_known_lost(self) -> None:
        """Do so if the broker can be asked just now. For other threads."""
        # Else the committer has just asked, and the id is in other hands for a moment: its own.
        if self._staking.acquire(blocking=False):
            try:
                had_open = self.has_open  # what is begun while we ask is not given up yet
                found = self._ask(ASK_TIMEOUT_S)
                if not self._is_passed_on:  # else what is found may be the heir's
                    self._end_unless_ours(found, had_open=had_open)
            except KafkaException as exception:
                _warn(exception)
            finally:
                self._staking.release()

    def _ask(self, timeout_s: float) -> Ownership | None:
        return transaction_owner(self._settings, self._turn, timeout_s=timeout_s)

    def _end_unless_ours(self, found: Ownership | None, *, had_open: bool) -> None:
        owned = self._owned
        if owned is not None and not owned.is_continued_by(found, had_open=had_open):
            raise Fenced(
                f"another worker runs as {self._settings.identity}: the broker knows"
                f" {self._settings.transactional_id(self._turn)} as {found}, and us as {owned}"
            )


def _warn(exception: KafkaException) -> None:
    logger.warning("cannot see who runs as us: %s", exception.args[0].str())
