"""Whether a candidate may serve, as the workers say who would have to serve it."""

import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Final

from agents.admin.asking_times import AskingTime, objection
from agents.kafka import abandonable
from schemas.errors import DeliveryFailed

logger = logging.getLogger(__name__)

FRESH_S: Final = 10.0
"""How old what was told may be when a step is decided."""


class CandidateService:
    """Asks what workers told, in a thread of its own, and only while somebody wants to know.

    Parameters
    ----------
    read
        Reads what every worker of `predict` told last; may take long, or fail.
    stopwatch
        Seconds, by a clock that nobody sets.
    """

    def __init__(
        self,
        read: Callable[[], Mapping[str, AskingTime]],
        *,
        stopwatch: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._stopwatch = stopwatch
        self._known: tuple[float, Mapping[str, AskingTime]] | None = None
        self._reading: Future[Mapping[str, AskingTime]] | None = None

    def objection(self, candidate: str) -> str | None:
        """Tell why a candidate is not to have more users; `None`: it may."""
        now_s = self._stopwatch()
        if self._reading is not None and self._reading.done():
            reading, self._reading = self._reading, None
            try:
                self._known = now_s, reading.result()
            except DeliveryFailed as failure:
                logger.warning("who may serve is asked again: %s", failure)
        if self._known is None or now_s - self._known[0] > FRESH_S:
            if self._reading is None:
                self._reading = abandonable.start(self._read, name="candidate-service")
            return "it is not known yet whether it may serve"
        return objection(candidate, self._known[1])
