"""A prediction that waits for its label, with its features as served."""

from collections.abc import Collection
from struct import pack

import msgspec

from schemas.labels import LabelValue
from schemas.outcomes import Outcome
from schemas.trace_context import TraceContext
from streams.reports import Report
from streams.state import Table


class Pending(msgspec.Struct, array_like=True, gc=False):
    """All of an outcome but the label.

    Examples
    --------
    >>> pending = Pending("p1", "e1", "purchase-intent", "ada", event_at=1_000, score=0.5,
    ...                   model="m_v1", model_version=3, schema="5ca1ab1e",
    ...                   features=pack_features([1.0, 0.1]))
    >>> pending.outcome(True, labelled_at=2_000).features
    [1.0, 0.1]
    """

    prediction_id: str
    event_id: str
    use_case: str
    user_id: str
    event_at: int
    """Event time of the prediction, ms."""
    score: float
    model: str
    model_version: int
    schema: str
    features: bytes
    """See `pack_features`."""
    target: str = ""
    """Which label it began to wait for; empty in what was written before there was this field."""
    reports: tuple[Report, ...] = ()
    """What was said of it so far, where nothing is settled before its horizon ends."""
    is_told: bool = False
    """Whether it was told as a negative before its label was known."""
    stands_for: float | None = None
    """How many it stands for if a person judges it; `None`: for itself."""
    arm: str = ""
    """As in `Outcome`; with the next two."""
    propensity: float = 0.0
    arms: tuple[str, ...] = ()
    trace: TraceContext | None = None
    """What the prediction was published with, if that is sampled: its outcome is, too."""
    begins_visit: bool = False

    def outcome(
        self,
        label: LabelValue | None,
        *,
        labelled_at: int,
        target: str = "",
        weight: float = 1.0,
        judged: float = 1.0,
        revises: bool = False,
        by: str = "",
    ) -> Outcome:
        """Put the prediction and its label together.

        `target` is of the rule that settled it. If it began to wait under another one it is an
        outcome of neither, since what it waits for now may have happened before.
        """
        return Outcome(
            self.prediction_id,
            self.use_case,
            self.user_id,
            self.event_at,
            labelled_at,
            label,
            self.score,
            self.model,
            self.model_version,
            self.schema,
            memoryview(self.features).cast("d").tolist(),  # type: ignore[arg-type]  # floats
            target if target == self.target else "",
            weight,
            judged,
            revises,
            by,
            self.arm,
            self.propensity,
            list(self.arms),
            self.begins_visit,
        )


def pack_features(values: Collection[float]) -> bytes:
    """Write feature values without loss, eight bytes each, in the machine's byte order.

    >>> len(pack_features([0.1, 0.2]))
    16
    """
    return pack(f"{len(values)}d", *values)


def pending_table() -> Table[Pending]:
    """Make the table that keeps predictions until they are resolved, by prediction id."""
    decode = msgspec.msgpack.Decoder(Pending).decode
    return Table("p", msgspec.msgpack.Encoder().encode, decode)
