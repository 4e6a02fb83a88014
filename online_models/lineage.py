"""Which of two snapshots of a model is the later one, whoever puts them on `models` in which order.

What was signed once stays signed. Whoever may write to the topic can put an old snapshot there
again, and one of another environment that has the same keys.
"""

import hashlib
from typing import NamedTuple


def lineage_of(*, model: str, schema: str, target: str, first: int, prediction_id: str) -> str:
    """Name what a model comes from: all that learn the same log alike have it in common.

    Parameters
    ----------
    first
        Offset of the first outcome that was learned.
    prediction_id
        Of that outcome: a log that was created anew has the same offsets.

    Examples
    --------
    >>> begun = {"model": "binary_logistic_v1", "schema": "s1", "target": "t1", "first": 0}
    >>> lineage_of(**begun, prediction_id="p0")
    '19286e2a'
    >>> lineage_of(**begun, prediction_id="p1")
    '930b25fd'
    """
    # No part of it holds a NUL: nobody can move the borders between them.
    told = "\0".join((model, schema, target, str(first), prediction_id))
    return hashlib.blake2b(told.encode(), digest_size=4).hexdigest()


class Rebuilt(NamedTuple):
    """What is known of how a model was learned anew."""

    decision: int = -1
    """Offset of the decision that it obeys; -1: there was none."""
    confirmed: bool | None = None
    """Whether the model that had learned all along was the same to the last bit when this one took
    its place; `None`: there was none to compare it with."""


class Position(NamedTuple):
    """How far a snapshot is."""

    lineage: str
    """Empty: it has learned nothing, or a former release wrote it."""
    rebuilt: int
    """Offset of the decision to learn it anew that it obeys; -1: there was none."""
    through: int
    """Offset of the last outcome it has learned."""

    def objection(self, served: "Position") -> str | None:
        """Tell why a snapshot is not to take the place of one that is served; `None`: it may.

        Who learns a model anew because that was decided may fall back; nobody falls behind that.

        Examples
        --------
        >>> served = Position("19286e2a", rebuilt=-1, through=700)
        >>> Position("19286e2a", rebuilt=-1, through=699).objection(served)
        'it has learned up to offset 699, and the one that is served up to 700'
        >>> Position("19286e2a", rebuilt=12, through=699).objection(served) is None
        True
        >>> Position("930b25fd", rebuilt=-1, through=3).objection(served) is None
        True
        """
        if self.rebuilt < served.rebuilt:
            return (
                "it is from before the decision to learn the model anew"
                f" (offset {served.rebuilt} of `deployments`)"
            )
        is_other = self.lineage != served.lineage and self.lineage and served.lineage
        if self.rebuilt > served.rebuilt or is_other or self.through >= served.through:
            return None
        return (
            f"it has learned up to offset {self.through}, and the one that is served up to"
            f" {served.through}"
        )
