"""Since when the system has been as it is, and what it looked like before. Pure."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from agents.serving.tables import Row

KEPT: Final = 50
"""Spells of trouble that are remembered."""

State = Literal["unknown", "well", "troubled"]


@dataclass(slots=True)
class Spell:
    """A time in which something needed a look; times in ms since the epoch."""

    began_at: int
    ended_at: int | None
    """`None`: it goes on."""
    text: str
    """What was wrong first."""


class Health:
    """Follows what needs a look, as far back as this server has been watching.

    Examples
    --------
    >>> health = Health()
    >>> health.note([], heard=True, now_ms=1_000)
    >>> health.note([{"id": "learn-0 down", "text": "learn-0 is silent"}], heard=True, now_ms=5_000)
    >>> health.state, health.since
    ('troubled', 5000)
    >>> health.note([], heard=True, now_ms=9_000)
    >>> health.state, health.since, [spell.text for spell in health.spells]
    ('well', 9000, ['learn-0 is silent'])
    """

    def __init__(self) -> None:
        self.state: State = "unknown"
        self.since: int | None = None
        """When that began; `None`: nothing is known yet."""
        self.spells: deque[Spell] = deque(maxlen=KEPT)

    def note(self, problems: Sequence[Row], *, heard: bool, now_ms: int) -> None:
        """Take in what needs a look now.

        Parameters
        ----------
        heard
            Whether any process has ever spoken; before that, nothing is known.
        """
        state: State = "unknown" if not heard else "troubled" if problems else "well"
        if state == self.state:
            return
        if self.state == "troubled":
            self.spells[-1].ended_at = now_ms
        if state == "troubled":
            self.spells.append(Spell(now_ms, None, problems[0]["text"]))
        self.state = state
        self.since = None if state == "unknown" else now_ms
