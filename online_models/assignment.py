"""Who is in an experiment, and who of them gets which answer: by user, for as long as it runs.

A user's place follows from the experiment's name and the user's id alone, so any service in any
language can compute it (`tests/online_models/assignment.json` has vectors to check against), and
nothing need be remembered.
"""

from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise
from typing import Final, Literal

from online_models.gate import Gates
from schemas.errors import InvalidDeclaration

BUCKETS: Final = 10_000

Variant = Literal["champion", "control", "candidate"]
"""Outside of the experiment; in it, with the champion's answers; with the candidate's."""

Stage = Literal["shadow", "canary", "ab", "full"]
"""Nobody acts on the candidate's answers; few do; enough to compare; it is the champion."""
LARGEST_CANARY: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """A candidate's way into service: some users get its answers, as many others are compared.

    Raising `exposure` moves nobody who is in the experiment already, from one variant to the other
    or out of it. Another `name` shuffles everybody anew.
    """

    name: str
    """Of the experiment; also what users are shuffled with."""
    candidate: str
    """One of the challengers."""
    exposure: float
    """Share of users who are in the experiment when it begins; 0: the candidate answers nobody."""
    split: float = 0.5
    """Share of those who get the candidate's answers."""
    steps: tuple[float, ...] = ()
    """Exposures to come, one after the other: `thalweg experiments step`."""
    gates: Gates | None = None
    """Whether it steps, and stops, by itself too."""

    def __post_init__(self) -> None:
        if not self.name:
            raise InvalidDeclaration("a rollout needs a name: users are shuffled with it")
        if not 0 <= self.exposure <= 1:
            raise InvalidDeclaration(f"exposure is a share from 0 to 1, not {self.exposure}")
        if not 0 < self.split < 1:
            raise InvalidDeclaration(f"split is a share between 0 and 1, not {self.split}")
        ladder = (0.0, *self.steps)
        if ladder[-1] > 1 or not all(low < high for low, high in pairwise(ladder)):
            raise InvalidDeclaration(f"steps are growing shares above 0, not {self.steps}")

    @property
    def stage(self) -> Stage:
        """Tell how far the candidate has got, short of being the champion.

        >>> rollout = Rollout(name="tree-2026", candidate="m", exposure=0.02, steps=(0.1, 0.5))
        >>> rollout.stage, Rollout(name="forest", candidate="m", exposure=0.5).stage
        ('canary', 'ab')
        """
        if self.exposure == 0.0:
            return "shadow"
        return "canary" if self.exposure <= LARGEST_CANARY else "ab"

    @property
    def next_exposure(self) -> float | None:
        """Tell the first declared step that is above the present exposure; `None`: none is left."""
        return next((step for step in self.steps if step > self.exposure), None)

    def variant(self, user_id: str) -> Variant:
        """Tell whose answers a user gets.

        >>> rollout = Rollout(name="tree-2026", candidate="binary_hoeffding_tree_v1", exposure=0.5)
        >>> [rollout.variant(user) for user in ("ada", "bob", "zoe")]
        ['champion', 'control', 'candidate']
        """
        if bucket(f"{self.name}/exposure", user_id) >= self.exposure * BUCKETS:
            return "champion"
        is_control = bucket(f"{self.name}/variant", user_id) >= self.split * BUCKETS
        return "control" if is_control else "candidate"


def bucket(salt: str, user_id: str) -> int:
    """Shuffle a user into one of 10,000 buckets.

    The first eight bytes of BLAKE2b over salt, a zero byte and id, in UTF-8, as a number with the
    highest byte first, modulo 10,000.

    >>> bucket("tree-2026/exposure", "ada")
    7904
    """
    digest = blake2b(f"{salt}\0{user_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % BUCKETS
