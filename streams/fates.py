"""What becomes of predictions that wait for their labels, and of labels, in numbers."""

import msgspec


class Fates(msgspec.Struct):
    """How many predictions and labels ended in which way, since the join was made."""

    positive: int = 0
    negative: int = 0
    late: int = 0
    """Predictions that came when their horizon had passed; they are not enrolled."""
    refused: int = 0
    """Predictions that found no room, whatever became of them; they have no outcome."""
    unknown: int = 0
    """Labels that no prediction waited for, nor came for in time, as far as is remembered."""
    duplicate: int = 0
    """Labels that say again what is known."""
    conflicting: int = 0
    """Labels that contradict what is known. The first one stands, or what is later by its time
    where nothing is settled before the horizon ends."""
    early: int = 0
    """Labels that came before any prediction they could mean. They wait for it, and are counted
    once more, as unknown, if it does not come."""
    overdue: int = 0
    """Labels dated after the horizon of their prediction, where nothing is settled before it ends,
    or after it may be revised. They count no more."""
    sampled_out: int = 0
    """Predictions counted as negative that gave no outcome: others stand for them."""
    revised: int = 0
    """Labels that say otherwise than what was settled, and later; they give an outcome more."""
    fake: int = 0
    """Predictions that were told as negatives before their labels were known."""
    labelled: int = 0
    """Predictions of which a class or an amount became known."""
    unreported: int = 0
    """Predictions of which nothing was said, where that does not mean no."""
    unusable: int = 0
    """Events whose field, which the label rule names, holds what no label can be."""
    crowded: int = 0
    """Predictions whose users said more within the horizon than is kept, or some of it under
    another rule: no label is known."""
