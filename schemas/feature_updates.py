"""What a user's features are now: the record of `feature-updates`, for the online store."""

from typing import Final

import msgspec

STATE_HEADER: Final = "state"
"""Header with what the features were computed from, as `schema` encodes it: for a look later."""


class FeatureUpdate(msgspec.Struct, gc=False):
    """All features of one user after a batch of events; a tombstone when they are forgotten.

    The hot path writes this record field by field (`agents.prediction.encode`).
    """

    user_id: str
    as_of: int
    """Event time of the user's newest event, ms."""
    schema: str
    """Hash of the declarations the features were computed from."""
    features: dict[str, float]
