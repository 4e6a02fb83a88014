"""What needs a look: alerts on `alerts`."""

from typing import Any, Literal

import msgspec

Level = Literal["normal", "warning", "critical", "emergency"]


class Alert(msgspec.Struct):
    """One raised alert, with the evidence a person needs to judge it."""

    alert_id: str
    kind: str
    """What was seen: `drift`, `accuracy`, `stall` ..."""
    level: Level
    use_case: str
    signal: str
    """The observed quantity, such as `score_mean`."""
    value: float
    threshold: float
    raised_at: int
    """Wall time, ms since the epoch; the event time of what was seen is in `evidence`."""
    evidence: dict[str, Any] = {}
    action: str = "none"
    """What the system did about it by itself; `none: ...` says why nothing."""
    runbook: str = ""
    """Where it says what to do: a section of the documents."""
