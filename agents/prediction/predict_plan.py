"""What predict decides once, before the first event: everything that follows from declarations."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from agents.dead_letters import DeadLetters
from agents.deployments.deployed import Deployed
from agents.entities.known_entities import KnownEntities
from agents.observability.metrics import Metrics
from agents.pipeline import Pipeline
from agents.prediction.degraded import ENTITIES_BEHIND, LATE, NO_MODEL, STALE, STAND_IN, TOO_SLOW
from agents.prediction.drift_watch import DriftWatch
from agents.prediction.encode import Envelope
from agents.prediction.predict_metrics import PredictMetrics
from agents.prediction.served_models import Served
from agents.prediction.spilled_states import SpilledStates
from agents.prediction.wording import WORDINGS, Wording
from online_models.assignment import Variant
from online_models.bandit_scorer import ArmChoice
from online_models.drift import ActionMix, Segments
from online_models.ensemble import NAME as ENSEMBLE
from online_models.ensemble import Ensemble, EnsembleScorer
from online_models.review import ReviewSampler
from online_models.rules import Condition, RuleBook
from online_models.scorer import Scores
from schemas import topics
from schemas.cloudevents import rfc3339
from schemas.deployments import split
from schemas.topics import Topic
from streams.clean import EventCleaner, LabelCleaner
from streams.feature_defaults import DefaultCounter
from streams.feature_kinds import OneOf
from streams.quality import QualityJudge

if TYPE_CHECKING:
    from agents.observability.spans import Tracer

SOURCE: Final = "/thalweg/predict"
BY_MODELS: Final = ("model", "ensemble")
"""Sources of scores that models gave."""
Routes = Sequence[tuple[Condition, "Answer"]]
_MS: Final = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class TopicNames:
    """Full names of the topics that predict writes."""

    predictions: str
    shadow_predictions: str
    outcomes: str
    feature_updates: str
    review_queue: str
    entity_events: str
    entity_features: str
    alerts: str
    state: str


class Twin(NamedTuple):
    """Whose scores tell of the inputs, since nobody teaches it."""

    name: str
    created_at_ms: int
    """When it was pinned: one that is pinned anew scores differently."""
    scorer: Scores | EnsembleScorer


class Answer:
    """What one batch is answered with: the champion of that moment, who stands in, or the prior."""

    __slots__ = (
        *("_beside", "_is_ruled", "_rules", "_served", "_without"),
        *("_prior", "choice", "is_warm", "model", "reference", "routes", "score", "version"),
        "write",
    )

    def __init__(
        self,
        reference: str,
        served: Served | None,
        *,
        warm_from: int,
        rules: RuleBook,
        beside: Sequence[str] = (),
        without: str = NO_MODEL,
        wording: Wording = WORDINGS["binary"],
        arms: tuple[str, ...] = (),
    ) -> None:
        self.reference = reference
        """Whose scores these are: two versions of a model that were kept score differently."""
        self.model = split(reference)[0]
        self.routes: Routes = ()
        """Who answers instead where something holds."""
        self._served = served
        self._beside = beside
        """What else makes all of the batch less than the best."""
        self._without = without
        """Why there is none, if there is none."""
        self._prior = wording.prior
        scorer: Any = None if served is None else served.scorer
        self.choice: Final = ArmChoice(arms, scorer) if arms else None
        """Asked in place of `score` where an arm is to be chosen."""
        self.write: Final = wording.writes(self.choice or scorer)
        """Writes a prediction, given its fields by name, of what was scored last."""
        if served is None:
            self.version = 0
            self.is_warm = False
            self.score: Callable[[dict[str, float]], float] = self._score_prior
        else:
            self.version = served.version
            self.is_warm = served.scorer.n_learned >= warm_from
            self.score = served.scorer.score
        self._rules = rules
        self._is_ruled = False
        if rules:
            self.score = self._score_or_rule

    def _score_or_rule(self, features: dict[str, float]) -> float:
        """Score; where no model answers, by the first rule that holds."""
        self._is_ruled = False
        score = self._prior if self._served is None else self._served.scorer.score(features)
        if self._reason is None or (by_rule := self._rules.score(features)) is None:
            return score
        self._is_ruled = True
        return by_rule

    def _score_prior(self, _: dict[str, float]) -> float:
        return self._prior

    def routed(self, features: dict[str, float]) -> "Answer":
        """Find who answers an event with these features."""
        for condition, other in self.routes:
            if condition.holds(features):
                return other
        return self

    def decide(self, score: float, threshold: float) -> bool:
        """Turn a score into a decision; with nobody to ask, nothing is decided to be true."""
        return (self._served is not None or self._is_ruled) and score >= threshold

    @property
    def source(self) -> str:
        """Who gave the last score: the model, a rule, or nobody better than a default."""
        if self._reason is None:
            return "ensemble" if self.reference == ENSEMBLE else "model"
        return "rules" if self._is_ruled else "default"

    def degraded(self, *, is_late: bool) -> list[str]:
        """Say why the last score is less than the best."""
        reasons = [] if self._reason is None else [self._reason]
        reasons += self._beside
        return [*reasons, LATE] if is_late else reasons

    @property
    def _reason(self) -> str | None:
        return self._without if self._served is None else self._served.scorer.degraded_reason


class PredictPlan:
    """A pipeline, compiled.

    Parameters
    ----------
    n_partitions
        That users are spread over: their drift detectors share one budget of false alarms.
    tracer
        Makes spans of sampled records; by default nobody does.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        metrics: Metrics,
        name: Callable[[Topic], str],
        *,
        n_partitions: int = 1,
        dead_letter_limit: float = 1.0,
        state_spill: Path | None = None,
        tracer: "Tracer | None" = None,
    ) -> None:
        self.pipeline: Final = pipeline
        self.tracer: Final = tracer
        self.dead_letter_limit: Final = dead_letter_limit
        self.deployed: Final = Deployed(pipeline)
        """Who serves now; a feed follows the log."""
        self.features: Final = pipeline.compiled()
        self.rules: Final = RuleBook(pipeline.rules, self.features.names)
        self.fold: Final = self.features.user
        self.known_entities: Final = KnownEntities(self.features.gathered)
        # A drift detector asks how long a user was away, too.
        self.retention_ms: Final = max(self.fold.retention, pipeline.drift.visit_gap) // _MS
        self._n_partitions = n_partitions
        stale_after = pipeline.stale_after
        self._stale_after_ms = None if stale_after is None else stale_after // _MS
        self._now_ms = 0
        self._run_length = pipeline.drift.of_scores(
            n_partitions, beside_answers=pipeline.watches_answers
        )
        self.segments: Final = Segments(
            [
                (each.field, each.values, each.names)
                for each in pipeline.features
                if isinstance(each, OneOf)
            ]
        )
        """What drift is told by, beside all traffic."""
        self.watches_together: Final = pipeline.watches_together
        self.visit_gap_ms: Final = pipeline.drift.visit_gap // _MS
        self.events: Final = EventCleaner(
            pipeline.event,
            actions=pipeline.actions,
            max_bytes=pipeline.max_event_bytes,
            future_tolerance=pipeline.future_tolerance,
        )
        self.wording: Final = WORDINGS[pipeline.task]
        self.labels: Final = LabelCleaner(
            max_bytes=pipeline.max_event_bytes,
            future_tolerance=pipeline.future_tolerance,
            says=pipeline.label.says,
        )
        self.quality: Final = QualityJudge(pipeline.quality, pipeline.event, pipeline.features)
        self.metrics: Final = PredictMetrics(
            *(metrics, pipeline.challengers, self.quality, DefaultCounter(pipeline.features)),
            says=pipeline.label.says,
            are_probabilities=self.wording.is_probability,
        )
        self.topics: Final = TopicNames(
            predictions=name(topics.PREDICTIONS),
            shadow_predictions=name(topics.SHADOW_PREDICTIONS),
            outcomes=name(topics.OUTCOMES),
            feature_updates=name(topics.FEATURE_UPDATES),
            review_queue=name(topics.REVIEW_QUEUE),
            entity_events=name(topics.ENTITY_EVENTS),
            entity_features=name(topics.ENTITY_FEATURES),
            alerts=name(topics.ALERTS),
            state=name(topics.PREDICT_STATE),
        )
        self.label_target: Final = pipeline.label.target
        self.told_by: Final = pipeline.label.reader(pipeline.event)
        """Reads the field of an event that the label rule names."""
        self.weighs_verdicts: Final = pipeline.review is not None and pipeline.review.weighted
        self.use_case_key: Final = pipeline.use_case.encode()
        self.prediction_prefix: Final = f"{pipeline.use_case}:"
        self.prediction_envelope: Final = Envelope("thalweg.prediction", SOURCE)
        self.outcome_envelope: Final = Envelope("thalweg.outcome", SOURCE)
        self.alert_envelope: Final = Envelope("thalweg.alert", SOURCE)
        self.shadow_envelope: Final = Envelope("thalweg.shadow-prediction", SOURCE)
        self.review_envelope: Final = Envelope("thalweg.review-item", SOURCE)
        self.feature_envelope: Final = Envelope("thalweg.feature-update", SOURCE)
        self.entity_event_envelope: Final = Envelope("thalweg.entity-event", SOURCE)
        self.entity_features_envelope: Final = Envelope("thalweg.entity-features", SOURCE)
        self.dead_letters: Final = DeadLetters(name(topics.DEAD_LETTERS), SOURCE, metrics)
        self._envelopes = [each for each in vars(self).values() if isinstance(each, Envelope)]
        self._n_events = 0
        self._state_spill = state_spill

    @property
    def spills(self) -> bool:
        """Whether some of the users' states are on a disk."""
        return self._state_spill is not None

    def new_spilled_states(self) -> SpilledStates | None:
        """Make what keeps the users' states of a partition, if they are not all kept in memory."""
        return None if self._state_spill is None else SpilledStates(self._state_spill)

    def stamp(self, now_ms: int) -> None:
        """Set the time of the records to come; once per batch."""
        self._now_ms = now_ms
        now = rfc3339(now_ms)
        for envelope in self._envelopes:
            envelope.at(now)

    def answer(self, serving: dict[str, Served]) -> Answer:
        """Choose who answers a batch: the champion, or a stand-in while it is not in service.

        Where there is an ensemble it answers, and the champion stands in for it; where there are
        routes, another model answers some events.
        """
        warm_from = self.pipeline.drift.model_warmup_outcomes
        answering = self.deployed.roles.answering
        if self.pipeline.ensemble is not None:
            answering = (ENSEMBLE, *answering)
            serving = self._with_ensemble(serving, self.pipeline.ensemble)
        answer = self._first(answering, serving, warm_from=warm_from)
        if self.pipeline.routes:
            # Never warm: the detector would begin anew with each change of the model.
            answer.routes = [
                (each, self._first((each.model, *answering), serving, warm_from=sys.maxsize))
                for each in self.pipeline.routes
            ]
        return answer

    def _with_ensemble(
        self, serving: Mapping[str, Served], ensemble: Ensemble
    ) -> dict[str, Served]:
        """Let those members answer together that are in service and quick enough, as one model."""
        found = {name: serving.get(name) for name in ensemble.members}
        members = {
            name: served
            for name, served in found.items()
            if served is not None
            and self._why_not(name, served) is None
            and served.scorer.n_learned > 0
        }
        if not ensemble.is_enough(len(members)):
            return {**serving}
        weights = ensemble.weights({name: each.recent_log_loss for name, each in members.items()})
        scorer = EnsembleScorer([(weights[name], each.scorer) for name, each in members.items()])
        together = Served(
            ENSEMBLE,
            sum(each.version for each in members.values()),
            min(each.created_at_ms for each in members.values()),
            scorer,
        )
        return {**serving, ENSEMBLE: together}

    def _first(
        self, names: Sequence[str], serving: Mapping[str, Served], *, warm_from: int
    ) -> Answer:
        """Let the first answer that is in service and quick enough, in place of who should."""
        behind = (ENTITIES_BEHIND,) if self.known_entities.are_behind else ()
        for name in names:
            # Looked up once: it may go at any moment.
            served = serving.get(name)
            if served is not None and self._why_not(name, served) is None:
                beside = behind if name == names[0] else (STAND_IN, *behind)
                return Answer(
                    *(name, served),
                    warm_from=warm_from,
                    rules=self.rules,
                    beside=beside,
                    wording=self.wording,
                    arms=self.pipeline.arms,
                )
        first = serving.get(names[0])
        without = None if first is None else self._why_not(names[0], first)
        return Answer(
            *(names[0], None),
            warm_from=warm_from,
            rules=self.rules,
            beside=behind,
            without=without or NO_MODEL,
            wording=self.wording,
            arms=self.pipeline.arms,
        )

    def _why_not(self, name: str, served: Served) -> str | None:
        """Tell why a model that is in service is not to answer; `None`: it is."""
        if not served.may_serve:
            return TOO_SLOW
        if self._stale_after_ms is None or "@" in name:
            return None
        return STALE if self._now_ms - served.created_at_ms > self._stale_after_ms else None

    def twin(self, serving: Mapping[str, Served]) -> Twin | None:
        """Find the frozen twin of the champion, if it is in service and quick enough."""
        name = self.deployed.roles.twin
        # Looked up once: it may go at any moment.
        served = serving.get(name)
        if served is None or not served.may_serve:
            return None
        is_warm = served.scorer.n_learned >= self.pipeline.drift.model_warmup_outcomes
        return Twin(name, served.created_at_ms, served.scorer) if is_warm else None

    def answering(self, serving: dict[str, Served]) -> Callable[[str], tuple[Variant, Answer]]:
        """Choose who answers each user of a batch, and which variant of a rollout that is."""
        champion = self.answer(serving)
        rollout = self.deployed.rollout
        if rollout is None:
            everybody: tuple[Variant, Answer] = ("champion", champion)
            return lambda user_id: everybody
        others = (rollout.candidate, *self.deployed.roles.answering)
        # Never warm: what is watched for drift are the champion's scores.
        candidate = self._first(others, serving, warm_from=sys.maxsize)
        variant, chosen = rollout.variant, {"candidate": candidate}

        def answering(user_id: str) -> tuple[Variant, Answer]:
            its = variant(user_id)
            return its, chosen.get(its, champion)

        return answering

    def drift_watch(self, encoded: bytes | None) -> DriftWatch:
        """Make what watches a partition's scores, or go on with it."""
        return DriftWatch(
            encoded,
            self._run_length,
            warmup_scores=self.pipeline.drift.warmup_scores,
            schema=self.features.schema,
            of_classes=self.pipeline.task == "multiclass",
        )

    def action_mix(self, encoded: bytes | None) -> ActionMix | None:
        """Make what watches the actions of a partition's users, or go on with it."""
        policy = self.pipeline.drift
        if not policy.actions_share:
            return None
        run_length = policy.of_actions(self._n_partitions)
        if encoded is None:
            return ActionMix(run_length, warmup=policy.warmup_scores)
        return ActionMix.decode(encoded, run_length, warmup=policy.warmup_scores)

    def review_sampler(self, partition: int, encoded: bytes | None) -> ReviewSampler | None:
        """Make what chooses decisions of a partition for people, or go on with it."""
        if (review := self.pipeline.review) is None:
            return None
        share = review.share_of(partition, self._n_partitions)
        return ReviewSampler(review, share=share, encoded=encoded)

    def is_sampled(self) -> bool:
        """Tell whether challengers score this event too."""
        before, self._n_events = self._n_events, self._n_events + 1
        share = self.pipeline.challenger_share
        return int(self._n_events * share) > int(before * share)
