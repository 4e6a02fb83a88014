"""A model that is trained over a log, held against another one label by label."""

from dataclasses import dataclass, field
from typing import Any

from online_models.gate import Comparison
from online_models.learner import Learner
from schemas.outcomes import Outcome


@dataclass(slots=True)
class Trial:
    """Two learners that read the same log, both as `learn` lets them.

    The champion learns all of it, as it has learned online, so that it gives the answers that it
    gave there. The candidate learns the outcomes of a span of time alone. What is compared is how
    both answered those.

    Parameters
    ----------
    since, until
        Event times (ms) that the candidate learns, half-open `[since, until)`.

    Examples
    --------
    >>> def learner():
    ...     return Learner("binary_logistic_v1", feature_names=("clicks",), schema="s1")
    >>> trial = Trial(learner(), learner(), since=1_000)
    >>> for at in range(3):
    ...     event_at = at * 1_000
    ...     trial.take(at, Outcome("p", "i", "u", event_at, 9_000, True, 0.5, "", 0, "s1", [3.0]))
    >>> trial.candidate.n_learned, trial.champion.n_learned, trial.of_champion.n
    (2, 3, 2)
    """

    candidate: Learner
    champion: Learner
    since: float = float("-inf")
    until: float = float("inf")
    comparison: Comparison | None = field(init=False)
    """The loss of the candidate less that of the champion, as the gates of a rollout compare them;
    `None` where scores are no probabilities, or an outcome stands for others than itself."""
    of_champion: Any = field(init=False)
    """How good the champion was in the span (`online_models.progress.Evaluation`)."""

    def __post_init__(self) -> None:
        is_binary = self.candidate.task.name == "binary"
        self.comparison = Comparison("", exposure=0.0) if is_binary else None
        self.of_champion = self.champion.task.progress().prequential

    @property
    def of_candidate(self) -> Any:  # noqa: ANN401  # each task has its own
        """How good the candidate was, likewise."""
        return self.candidate.prequential

    def take(self, offset: int, outcome: Outcome) -> None:
        """Let both learn the next outcome."""
        if not self.since <= outcome.event_at < self.until:
            self.champion.learn(outcome, offset)
            return
        progress = self.champion.progress
        of_all, progress.prequential = progress.prequential, self.of_champion
        theirs = self.champion.learn(outcome, offset)
        progress.prequential = of_all
        ours = self.candidate.learn(outcome, offset)
        if self.comparison is None or outcome.judged == 0.0:
            return
        if outcome.judged != 1.0:
            self.comparison = None
        elif ours is not None and theirs is not None:
            label = bool(outcome.label)
            self.comparison.update(offset, label, candidate=ours, champion=theirs)
