"""What was told last of each signal: a watch that starts anew goes on from there."""

import msgspec

from schemas.alerts import Alert
from schemas.errors import UNREADABLE

_decode = msgspec.json.Decoder(Alert).decode


class StandingAlerts:
    """The last alert of each kind and signal of a use case.

    As far back as `alerts` is kept: who was told longer ago is told again.

    Examples
    --------
    >>> standing, alert = StandingAlerts("intent"), Alert(
    ...     *("a1", "quality", "warning", "intent", "platform.null", 0.2, 0.1, 0)
    ... )
    >>> standing.take(msgspec.json.encode(alert))
    >>> standing.take(b"junk")
    >>> [alert.signal for alert in standing.of("quality")], list(standing.of("drift"))
    (['platform.null'], [])
    """

    def __init__(self, use_case: str) -> None:
        self._use_case = use_case
        self._last: dict[tuple[str, str], Alert] = {}

    def take(self, value: bytes | None) -> None:
        """Take in a record of `alerts`; what is none is passed over."""
        try:
            alert = _decode(value or b"")
        except UNREADABLE:
            return
        if alert.use_case == self._use_case:
            self._last[alert.kind, alert.signal] = alert

    def of(self, kind: str) -> list[Alert]:
        """Tell what stands above normal."""
        return [
            alert
            for (found, _), alert in self._last.items()
            if found == kind and alert.level != "normal"
        ]
