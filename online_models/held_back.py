"""Evaluation without hindsight: which earlier self of a model may judge an outcome.

The labels of one session become known together. A model that scores them one after another
and learns in between has seen the answer: on the shop data, `the last label again` then looks
like a ROC AUC of 0.93, while forecasting at 0.48. So each outcome is scored by a copy of the
model that was frozen before the question was asked.
"""

from dataclasses import dataclass
from typing import Any, Final

from online_models.scorer import Scores

NEVER: Final = -(1 << 62)
"""Before any time an event can have."""

_GROWTH: Final = 20
"""Freeze again after learning 1/20 more: copying stays in proportion to learning."""

_MOST_OUTCOMES: Final = 10_000
"""... and after so many at the latest, so that an old model is not judged by its youth."""


@dataclass(frozen=True, slots=True)
class Frozen:
    """A model as it was at one moment."""

    known_until: int
    """It has learned no label that became known later (event time, ms)."""
    scorer: Scores
    last_label: Any  # as its task has labels
    pickled: bytes
    """Its model as it is carried; nobody teaches it, so this is made once."""


class HeldBack:
    """The two earlier selves of a model that suffice to judge every outcome.

    An outcome is judged by the newest self frozen before its event. Which one that is depends
    on the time of the event alone, not on how long the label took; so neither label is
    favoured. A self is given up once the outcomes that need it must have arrived.

    Parameters
    ----------
    older, newer
        The selves to begin with.
    label_delay_ms
        How long after its event a label becomes known, at most. An outcome that took longer
        may find no self old enough; it is not judged.

    Examples
    --------
    >>> from online_models import catalogue
    >>> from online_models.scorer import Scorer
    >>> scorer = Scorer(catalogue.make("binary_logistic_v1"), n_learned=0)
    >>> untrained = Frozen(NEVER, scorer, False, b"")
    >>> held_back = HeldBack(untrained, untrained, label_delay_ms=1_000)
    >>> held_back.is_due(n_learned=1, known_until=5_000)
    True
    >>> held_back.renew(Frozen(5_000, scorer, True, b""))
    >>> held_back.before(4_999).known_until == NEVER, held_back.before(5_000).known_until
    (True, 5000)
    """

    __slots__ = ("label_delay_ms", "newer", "older")

    def __init__(self, older: Frozen, newer: Frozen, *, label_delay_ms: int) -> None:
        self.older = older
        self.newer = newer
        self.label_delay_ms = label_delay_ms

    def before(self, event_at: int) -> Frozen | None:
        """Find the newest self that cannot know what came of an event."""
        if event_at >= self.newer.known_until:
            return self.newer
        if event_at >= self.older.known_until:
            return self.older
        return None

    def is_due(self, *, n_learned: int, known_until: int) -> bool:
        """Tell whether the model should be frozen again, and the older self given up."""
        then = self.newer.scorer.n_learned
        return (
            n_learned - then >= min(1 + then // _GROWTH, _MOST_OUTCOMES)
            and known_until - self.newer.known_until >= self.label_delay_ms
        )

    def renew(self, frozen: Frozen) -> None:
        """Take in the model as it is now."""
        self.older = self.newer
        self.newer = frozen
