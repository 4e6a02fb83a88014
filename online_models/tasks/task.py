"""What a task says: what its labels are, how its models answer, and how answers are judged."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from online_models.estimator import Estimator
from online_models.progress import LearnerState, Progress
from online_models.scorer import Scores


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One kind of question."""

    name: str
    """The first word of the names of its models (`schemas.tasks`)."""
    progress: Callable[[], Progress]
    """Begins to count and to judge."""
    state: type[LearnerState[Any]]
    """What a learner is as data."""
    needs_no_label: bool = False
    """Whether its models learn from features alone."""
    scorer: Callable[[Estimator, int, Any], Scores]
    """Shows a model that has learned so many outcomes, beside what is known without features."""
