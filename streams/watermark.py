"""How far event time has come, per partition."""

from datetime import timedelta


class Watermark:
    """Largest event time seen minus the allowed lateness; it never goes back.

    Parameters
    ----------
    allowed_lateness
        How far events may be out of order and still be on time.

    Examples
    --------
    >>> watermark = Watermark(timedelta(seconds=5))
    >>> watermark.advance(20_000)
    >>> watermark.at_ms
    15000
    >>> watermark.is_late(15_000), watermark.is_late(14_999)
    (False, True)
    """

    __slots__ = ("_lateness_ms", "at_ms")

    def __init__(self, allowed_lateness: timedelta) -> None:
        self._lateness_ms = allowed_lateness // timedelta(milliseconds=1)
        self.at_ms = 0
        """Whatever is on time is at or after this, ms since the epoch."""

    def advance(self, event_ms: int) -> None:
        """Take note of an event's time; what is older than the newest changes nothing."""
        at_ms = event_ms - self._lateness_ms
        if at_ms > self.at_ms:  # noqa: PLR1730 - max() costs twice as much here
            self.at_ms = at_ms

    def is_late(self, event_ms: int) -> bool:
        """Tell whether an event comes later than allowed."""
        return event_ms < self.at_ms
