"""The one writer of a model: judges each outcome, then learns it, once."""

import hashlib
from collections.abc import Callable
from copy import copy
from datetime import timedelta
from typing import Any, Final

import msgspec

from online_models import catalogue, pickling
from online_models.accuracy import AccuracyWatch
from online_models.held_back import NEVER, Frozen, HeldBack
from online_models.lineage import lineage_of
from online_models.progress import EarlierSelf, LearnerState, Progress
from online_models.scorer import Scores
from schemas.outcomes import Outcome

_LARGEST_FEATURE: Final = 1e12
"""Beyond lie broken sensors, infinity and NaN; one of them would ruin a model for ever."""

_LARGEST_WEIGHT: Final = 1e7
"""More than any label rule gives."""


class Learner:
    """Learns the outcomes of one log in order, each once.

    The evaluation is honest about delayed labels: an outcome is judged by a model that was
    frozen before the outcome's event (see `online_models.held_back`).

    Parameters
    ----------
    model
        Its name in the catalogue.
    feature_names
        What `Outcome.features` holds, in order.
    schema
        Hash of those names; outcomes of any other are skipped.
    target
        Hash of the label rule; outcomes of any other are skipped, too.
    label_delay
        How long after its event a label becomes known, at most: horizon plus allowed lateness.

    Examples
    --------
    >>> learner = Learner("binary_logistic_v1", feature_names=("clicks",), schema="s1")
    >>> outcome = Outcome("p1", "intent", "u1", 0, 60_000, True, 0.5, "", 0, "s1", [3.0])
    >>> learner.learn(outcome, offset=0), learner.n_learned
    (0.5, 1)
    >>> learner.learn(outcome, offset=0), learner.n_learned  # delivered twice
    (None, 1)
    """

    def __init__(
        self,
        model: str,
        *,
        feature_names: tuple[str, ...],
        schema: str,
        target: str = "",
        label_delay: timedelta = timedelta(hours=1),
    ) -> None:
        self.model = model
        self.feature_names = feature_names
        self.schema = schema
        self.target = target
        self.task = catalogue.task(model)
        self.progress: Progress = self.task.progress()
        self.failure: str | None = None
        """What the model raised last, if it ever did."""
        recipe = catalogue.recipe(model)
        self._takes_weights = recipe.takes_weights
        self._estimator = recipe.make()
        untrained = self._frozen(NEVER)
        self._held_back = HeldBack(
            untrained, untrained, label_delay_ms=label_delay // timedelta(milliseconds=1)
        )

    @property
    def n_learned(self) -> int:
        """Outcomes learned."""
        return self.progress.n_learned

    @property
    def version(self) -> int:
        """Grows with every outcome that changed the model; one lineage never gives a number twice.

        One that made it raise counts: a pipeline that fails in its second step has learned in its
        first.
        """
        return self.progress.n_learned + self.progress.n_raised

    @property
    def through(self) -> int:
        """Offset of the last outcome taken in, -1 before the first."""
        return self.progress.through

    @property
    def prequential(self) -> Any:  # noqa: ANN401  # each task has its own
        """How good the model has been (`online_models.progress.Evaluation`)."""
        return self.progress.prequential

    def learn(self, outcome: Outcome, offset: int) -> float | None:
        """Judge an outcome, then learn it.

        Returns
        -------
        The score an earlier self gave it, or `None` when the outcome was taken in before, was
        skipped, could not be judged, or is not to be.

        What makes a model raise is not learned by our count, though the model may have changed:
        `failure` says what it raised, and its version is another one. Whoever learns the log again
        comes to the same model, and no other model waits for it.
        """
        progress = self.progress
        if offset <= progress.through:
            return None
        progress.through = offset
        if outcome.label is None and not self.task.needs_no_label:
            return None
        if not self._is_learnable(outcome):
            progress.n_skipped += 1
            return None
        features = dict(zip(self.feature_names, outcome.features, strict=True))
        score = self._judge(outcome, features)
        if outcome.weight == 0.0:  # it was taught before it was known
            progress.known(outcome)
            return score

        try:
            progress.teach(self._estimator, features, outcome, takes_weights=self._takes_weights)
        except (OSError, MemoryError):
            raise  # another worker may have more luck
        except Exception as failure:  # noqa: BLE001  # whatever a model raises, the others go on
            progress.n_skipped += 1
            progress.n_raised += 1
            self.failure = f"{type(failure).__name__}: {failure}"
            return score
        if progress.n_learned == 0:
            self._begin(outcome, offset)
        progress.learned(outcome)
        progress.n_unweighted += outcome.weight != 1.0 and not self._takes_weights
        return score

    def expect_labels_within(self, label_delay: timedelta) -> None:
        """Let labels take another time from now on, at most: the pipeline may have changed it."""
        self._held_back.label_delay_ms = label_delay // timedelta(milliseconds=1)

    def scorer(self) -> Scores:
        """Freeze the model as it is now."""
        return self.progress.scorer(pickling.copy(self._estimator))

    def judging(self) -> Callable[[Outcome], float | None]:
        """Judge outcomes by the model as it is now; from now on it learns no more.

        Returns
        -------
        What gives an outcome's score, and notes in `progress` how good it was; `None` where the
        outcome is not to be judged, or may have been learned, or is none of the model's.
        """
        progress = self.progress
        scorer = progress.scorer(self._estimator)
        then = Frozen(progress.known_until, scorer, progress.last_label, pickled=b"")

        def judge(outcome: Outcome) -> float | None:
            is_judged = outcome.label is not None and outcome.judged > 0.0
            if not (is_judged and self._is_learnable(outcome)):
                return None
            if outcome.event_at < then.known_until:
                return None
            features = dict(zip(self.feature_names, outcome.features, strict=True))
            return progress.judge(outcome, features, then)

        return judge

    def scores(self, vectors: list[list[float]]) -> list[float]:
        """Score feature vectors as the model is now, without freezing it."""
        scorer = self.progress.scorer(self._estimator)  # given up before anything is learned
        return [scorer.score(dict(zip(self.feature_names, each, strict=True))) for each in vectors]

    def state(self) -> LearnerState[Any]:
        """Tell everything that `from_state` needs; it shares `progress` with this learner."""
        older, newer = self._held_back.older, self._held_back.newer
        return self.task.state(
            label_delay_ms=self._held_back.label_delay_ms,
            progress=self.progress,
            older=EarlierSelf.of(older),
            newer=EarlierSelf.of(newer),
            model=pickling.dumps((self._estimator,)),
            older_model=older.pickled,
            newer_model=newer.pickled,
        )

    def fingerprint(self) -> bytes:
        """Tell 32 bytes that learners have in common which go on alike to the last bit.

        Costs as much as a few snapshots. Where the lineage begins is left out, which former
        releases did not note, and so is whether it became worse.
        """
        older, newer = self._held_back.older, self._held_back.newer
        progress = copy(self.progress)
        progress.first, progress.lineage = -1, ""
        progress.accuracy = AccuracyWatch()
        told = hashlib.sha256(
            msgspec.msgpack.encode(
                (
                    progress,
                    (EarlierSelf.of(older), EarlierSelf.of(newer)),
                    self._held_back.label_delay_ms,
                )
            )
        )
        for model in (self._estimator, older.scorer.model, newer.scorer.model):
            told.update(pickling.fingerprint(model))
        return told.digest()

    @classmethod
    def from_state(
        cls,
        model: str,
        *,
        feature_names: tuple[str, ...],
        schema: str,
        target: str = "",
        state: LearnerState[Any],
    ) -> "Learner":
        """Go on where another learner was.

        Raises
        ------
        SnapshotRefused
            When the pickles are not what `state` makes.
        """
        learner = cls(model, feature_names=feature_names, schema=schema, target=target)
        learner.progress = state.progress
        (learner._estimator,) = pickling.loads(state.model)
        if state.earlier_models:
            earlier = [pickling.dumps((each,)) for each in pickling.loads(state.earlier_models)]
        else:
            earlier = [state.older_model, state.newer_model]
        older, newer = (
            told.with_model(pickling.loads(pickled)[0], pickled, learner.task.scorer)
            for told, pickled in zip((state.older, state.newer), earlier, strict=True)
        )
        learner._held_back = HeldBack(older, newer, label_delay_ms=state.label_delay_ms)
        return learner

    def _begin(self, outcome: Outcome, offset: int) -> None:
        """Note where the lineage begins."""
        self.progress.first = offset
        self.progress.lineage = lineage_of(
            model=self.model,
            schema=self.schema,
            target=self.target,
            first=offset,
            prediction_id=outcome.prediction_id,
        )

    def _judge(self, outcome: Outcome, features: dict[str, float]) -> float | None:
        progress, held_back = self.progress, self._held_back
        if held_back.is_due(n_learned=progress.n_learned, known_until=progress.known_until):
            held_back.renew(self._frozen(progress.known_until))
        if outcome.judged == 0.0:
            return None
        then = held_back.before(outcome.event_at)
        if then is None:
            progress.n_unjudged += 1
            return None
        return progress.judge(outcome, features, then)

    def _is_learnable(self, outcome: Outcome) -> bool:
        return (
            outcome.schema == self.schema
            and outcome.target == self.target
            and 0.0 <= outcome.weight <= _LARGEST_WEIGHT
            and 0.0 <= outcome.judged <= _LARGEST_WEIGHT
            and len(outcome.features) == len(self.feature_names)
            and _are_usable(outcome.features)
            and self.progress.accepts(outcome)
        )

    def _frozen(self, known_until: int) -> Frozen:
        pickled = pickling.dumps((self._estimator,))
        (model,) = pickling.loads(pickled)
        scorer = self.progress.scorer(model)
        return Frozen(known_until, scorer, self.progress.last_label, pickled)


def _are_usable(features: list[float]) -> bool:
    # The sum is soon told, and is no number either where one of them is none.
    return sum(map(abs, features)) <= _LARGEST_FEATURE or all(
        -_LARGEST_FEATURE <= value <= _LARGEST_FEATURE for value in features
    )
