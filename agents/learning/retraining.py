"""Train a model over the archived log, and hold it against the champion."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

import msgspec

from agents.learning.restoring import new_learner
from agents.offline.training_log import TrainingLog
from agents.pipeline import Pipeline
from online_models import catalogue
from online_models.gate import Gates
from online_models.learner import Learner
from online_models.progress import Evaluation
from online_models.trial import Trial
from schemas.errors import ThalwegError

_DAY_MS: Final = 86_400_000
_EVERY: Final = 1_000
"""Outcomes after which is told how far it is."""


class Trained(msgspec.Struct, frozen=True):
    """How one of both did in the span that the candidate learned."""

    model: str
    learned: int
    """Outcomes; of the champion, whatever came before the span too."""
    skipped: int
    judged: int
    """Outcomes of the span that an earlier self answered."""
    figures: dict[str, float]


class Difference(msgspec.Struct, frozen=True):
    """Log loss of the candidate less that of the champion, of the outcomes that both answered."""

    labels: int
    mean: float
    low: float
    high: float
    """Where it lies for sure, with a probability of an error as the gates of a rollout have it."""

    @property
    def verdict(self) -> str:
        """Say which is the better one.

        >>> Difference(4_000, -0.02, -0.03, -0.01).verdict
        'better'
        """
        if self.high < 0:
            return "better"
        return "worse" if self.low > 0 else "not to be told apart"


class Retraining(msgspec.Struct, frozen=True):
    """What came of training a model over the archived log."""

    candidate: Trained
    champion: Trained
    difference: Difference | None
    """`None`: no label was judged by both, or scores of this task are no probabilities."""
    through: int
    """Offset of the last outcome that the candidate learned."""
    missing: int
    """Offsets before the end of the archive that are not in it."""


def check(pipeline: Pipeline, model: str, *, is_registered: bool = False) -> None:
    """Check that a model can be trained for a pipeline, and can be promoted, if it is registered.

    Raises
    ------
    ThalwegError
        It cannot; says what there is.

    >>> from examples.shop.pipeline import PIPELINE
    >>> check(PIPELINE, "binary_forest_v1")
    >>> check(PIPELINE, "binary_forest_v1", is_registered=True)
    Traceback (most recent call last):
    schemas.errors.ThalwegError: the pipeline does not name `binary_forest_v1`, so that no...
    """
    there_are = catalogue.names(pipeline.task)
    if model not in there_are:
        raise ThalwegError(f"no model `{model}`: there are {', '.join(there_are)}")
    if is_registered and model not in pipeline.models:
        raise ThalwegError(
            f"the pipeline does not name `{model}`, so that no version of it could serve:"
            f" it has {', '.join(pipeline.models)}"
        )


def train(
    log: TrainingLog,
    pipeline: Pipeline,
    model: str,
    *,
    champion: Learner,
    since: date | None = None,
    until: date | None = None,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Learner, Retraining]:
    """Train a model as `learn` would have, and tell how good it was on its way.

    Parameters
    ----------
    champion
        Who is trained beside it, to be compared with: over the whole log, or what comes behind
        that which it has learned (`agents.learning.origins`).
    since, until
        First and last date (UTC) of the events whose outcomes it learns.
    report
        Called with the offset that was reached, and the last one.

    Raises
    ------
    ThalwegError
        There was nothing to be learned.
    """
    if since is not None and until is not None and until < since:
        raise ThalwegError(f"the last date, {until}, is before the first, {since}")
    features = pipeline.compiled()
    trial = Trial(
        new_learner(pipeline, features, model),
        champion,
        since=float("-inf") if since is None else _begin_ms(since),
        until=float("inf") if until is None else _begin_ms(until) + _DAY_MS,
    )
    for n, (offset, outcome) in enumerate(log):
        trial.take(offset, outcome)
        if n % _EVERY == 0:
            report(offset, log.end)
    report(log.end, log.end)
    if trial.candidate.n_learned == 0:
        raise ThalwegError(
            f"{model} has learned nothing: the archive has no outcome of that span with the present"
            " features and label rule"
        )
    return trial.candidate, _told(trial, log.n_missing)


def _begin_ms(day: date) -> int:
    begin = datetime.combine(day, time(), UTC)
    return (begin - datetime.fromtimestamp(0, UTC)) // timedelta(milliseconds=1)


def _told(trial: Trial, n_missing: int) -> Retraining:
    difference = None
    if trial.comparison is not None and trial.comparison.differences.n:
        found = trial.comparison.differences
        low, high = found.interval(error=Gates().error)
        difference = Difference(found.n, found.mean, low, high)
    return Retraining(
        candidate=_trained(trial.candidate, trial.of_candidate),
        champion=_trained(trial.champion, trial.of_champion),
        difference=difference,
        through=trial.candidate.through,
        missing=n_missing,
    )


def _trained(learner: Learner, evaluation: Evaluation) -> Trained:
    progress = learner.progress
    return Trained(
        model=learner.model,
        learned=progress.n_learned,
        skipped=progress.n_skipped,
        judged=evaluation.n,
        figures=dict(evaluation.figures()),
    )
