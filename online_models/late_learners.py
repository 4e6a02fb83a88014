"""Learners that lag behind: they catch up in slices, while the others go on and nobody waits.

A challenger that is new, or whose last snapshot is old, has to learn again what the log holds
since. Until it has, the others learn without it. It learns the same outcomes in the same order as
if it had always been there, so it comes to the same model.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from online_models.learner import Learner
from schemas.outcomes import Outcome

MOST_KEPT: Final = 10_000
"""Outcomes that are kept in memory for who is nearly there; what is older is read again."""

At = tuple[int, Outcome]
"""An outcome and its offset."""


class Gap(NamedTuple):
    """Offsets of the log that have to be read: from the first up to but without the last."""

    start: int
    end: int


class LateLearners:
    """Those that lag behind, the least late one first.

    Parameters
    ----------
    learners
        Who lags behind.
    position
        Offset of the next outcome that those are given who do not.
    most_kept
        Outcomes to keep in memory, and to read at once.

    Examples
    --------
    >>> late = LateLearners([Learner("binary_ftrl_v1", feature_names=("clicks",), schema="s1")], 2)
    >>> late.gap()
    Gap(start=0, end=2)
    >>> log = [
    ...     (at, Outcome(f"p{at}", "intent", "u", at, at, True, 0.5, "", 0, "s1", [3.0]))
    ...     for at in range(3)
    ... ]
    >>> late.went_on(log[2:], position=3)  # the others did
    >>> late.fill(Gap(0, 2), log[:2])
    >>> [learner.n_learned for learner in late.teach(lambda: True)]
    [3]
    """

    def __init__(
        self, learners: Iterable[Learner], position: int, *, most_kept: int = MOST_KEPT
    ) -> None:
        self._late = sorted(learners, key=lambda learner: learner.through)
        self._most_kept = most_kept
        self._position = position
        self._kept: deque[At] = deque()
        self._kept_from = position
        self._at_hand: deque[At] = deque()
        self._next = position
        """Offset from which the least late one goes on."""
        self._known_to = position
        """Offset before which nothing is missing from what is at hand."""
        self._begin()

    @property
    def learners(self) -> tuple[Learner, ...]:
        """Those that have not caught up."""
        return tuple(self._late)

    def begin_anew(self, learner: Learner) -> None:
        """Take in one more, behind all who have learned more; whoever is taught now goes first."""
        if not self._late:
            self._kept_from = self._position  # what others learned meanwhile was not kept
        place = sum(each.through < learner.through for each in self._late[:-1])
        self._late.insert(place, learner)
        if len(self._late) == 1:
            self._begin()

    def lags(self) -> dict[str, int]:
        """Tell how many offsets of the log each model lacks."""
        nearest = self._late[-1] if self._late else None
        return {
            learner.model: max(
                0, self._position - (self._next if learner is nearest else 1 + learner.through)
            )
            for learner in self._late
        }

    def went_on(self, outcomes: Iterable[At], position: int) -> None:
        """Note what the others have learned, and the offset of what they learn next."""
        self._position = max(self._position, position)
        if not self._late:
            return
        self._kept.extend(outcomes)
        while len(self._kept) > self._most_kept:
            self._kept_from = self._kept.popleft()[0] + 1

    def gap(self) -> Gap | None:
        """Tell what has to be read of the log before anybody can go on; `None`: nothing."""
        if not self._late or self._at_hand or self._next >= self._kept_from:
            return None
        return Gap(self._next, min(self._kept_from, self._next + self._most_kept))

    def fill(self, gap: Gap, outcomes: Iterable[At]) -> None:
        """Take in what was read; it is no matter if that is no longer what is asked for."""
        if gap == self.gap():
            self._at_hand.extend(outcomes)
            self._known_to = gap.end
            self._pass_over()

    def teach(self, may_go_on: Callable[[], bool]) -> list[Learner]:
        """Teach the least late one, as long as that may go on.

        Parameters
        ----------
        may_go_on
            Asked before each outcome: what an outcome costs differs a thousandfold among models.

        Returns
        -------
        Those that have caught up, to learn with the others from now on.
        """
        caught_up = []
        while self._late:
            if not self._at_hand and self._next >= self._kept_from:
                self._at_hand.extend(each for each in self._kept if each[0] >= self._next)
                self._known_to = self._position
                self._pass_over()
            if self._next >= self._position:
                caught_up.append(self._late.pop())
                self._begin()
            elif not self._at_hand or not may_go_on():
                break
            else:
                offset, outcome = self._at_hand.popleft()
                self._late[-1].learn(outcome, offset)
                self._next = offset + 1
                self._pass_over()
        return caught_up

    def _begin(self) -> None:
        """Turn to the least late one that is left."""
        self._at_hand.clear()
        self._next = self._known_to = 1 + self._late[-1].through if self._late else self._position
        if not self._late:
            self._kept.clear()

    def _pass_over(self) -> None:
        """Go on behind what is known to hold no further outcome, markers of transactions, say."""
        if not self._at_hand:
            self._next = max(self._next, self._known_to)
