"""What to do about an alert of each kind: a section of the runbook."""

from typing import Final

_PAGE: Final = "docs/operations.md"

RUNBOOKS: Final = {
    "accuracy": f"{_PAGE}#an-accuracy-alert",
    "drift": f"{_PAGE}#a-drift-alert",
    "quality": f"{_PAGE}#a-quality-alert",
    "sample_ratio": f"{_PAGE}#a-sample-ratio-alert",
    "serving": f"{_PAGE}#a-serving-alert",
    "shift": f"{_PAGE}#a-shift-alert",
}
"""By `Alert.kind`."""
