"""What a user of Thalweg writes: one file that declares a pipeline.

``examples/shop/pipeline.py`` is the one to start from. The module named by
``THALWEG_PIPELINE`` holds it under the name ``PIPELINE``.
"""

import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Final, Literal

from agents.goals import Goals
from agents.observability.runbooks import RUNBOOKS
from agents.silence import Silence
from online_models.assignment import Rollout
from online_models.drift import RunLength
from online_models.ensemble import Ensemble
from online_models.gateway import Route, check_routes
from online_models.retrain import Retrain
from online_models.review import Review
from online_models.rules import Rule, RuleBook
from schemas.errors import InvalidDeclaration
from schemas.events import UserEvent
from schemas.labels import MAX_CLASS_LENGTH
from schemas.tasks import LABELS, MOST_ARMS, task_name
from streams.entities import FeatureView
from streams.expectations import Expectation
from streams.feature_kinds import Feature, several
from streams.feature_set import FeatureSet, compile_feature_set
from streams.label_rule import LabelRule

NOT_BY_RULES: Final = frozenset({"multiclass", "regression", "bandit"})
"""Tasks whose answers are no single score from 0 to 1."""
_FORECASTS: Final = frozenset({"binary", "multiclass", "regression"})
"""Tasks whose scores say what the label will be."""
_SCORES_PER_FALSE_ALARM: Final = 100_000
_KEBAB_CASE: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftPolicy:
    """How often the drift detectors may cry wolf."""

    false_alarm_every: timedelta | None = None
    """Average event time between false alarms, over all partitions together, whatever the
    traffic."""
    scores_per_false_alarm: float | None = None
    """Instead of a time: average number of watched scores between false alarms. If neither is
    given, 100,000."""
    warmup_scores: int = 100
    """Watched scores of a partition that set its reference before the first alarm."""
    visit_gap: timedelta = timedelta(minutes=30)
    """Only the first score after a user was away for so long is watched: the scores of one visit
    resemble each other, and would alarm some twenty times as often as promised."""
    model_warmup_outcomes: int = 2_000
    """Outcomes the champion must have learned before its scores are watched: while it is young it
    moves its scores itself."""
    answers_share: float = 0.3
    """Share of the budget for the watch over answers, which `learn` keeps. 0: answers are not
    watched, as where no labels come. Nor are those of choices, nor how odd something is."""
    actions_share: float = 0.4
    """Share of the budget for the watch over what users do, in `predict`; 0: it is not watched. The
    rest is for scores."""
    scores: Literal["by_partition", "together"] = "by_partition"
    """Where scores of the twin are watched: in `predict`, at once, each partition for itself; or,
    `together`, beside answers in `learn`, by means of ten visits of all partitions, once labels are
    known. That keeps the promise better where weeks differ, and waits for the label's horizon."""

    def __post_init__(self) -> None:
        if self.false_alarm_every is not None and self.scores_per_false_alarm is not None:
            raise InvalidDeclaration(
                "DriftPolicy has false_alarm_every or scores_per_false_alarm, not both"
            )
        for name, amount in (
            ("false_alarm_every", self.run_length().amount),
            ("warmup_scores", self.warmup_scores - 1),
        ):
            if amount <= 0:
                raise InvalidDeclaration(f"{name} is too small: {getattr(self, name)}")
        shares = self.answers_share, self.actions_share
        if min(shares) < 0 or sum(shares) >= 1:
            raise InvalidDeclaration(
                "answers_share and actions_share are from 0 to less than 1 together, not"
                f" {shares[0]} and {shares[1]}: scores are watched in any case"
            )
        if self.scores not in ("by_partition", "together"):
            raise InvalidDeclaration(
                f"scores are watched `by_partition` or `together`, not `{self.scores}`"
            )

    def of_answers(self) -> RunLength:
        """Tell how long the detector of answers should run, of which there is one.

        >>> DriftPolicy(scores_per_false_alarm=5_000, answers_share=0.25).of_answers().amount
        20000.0
        """
        return self.run_length().times(1 / self.answers_share)

    def of_actions(self, n_partitions: int) -> RunLength:
        """Tell how long the detector of actions of each partition should run.

        >>> DriftPolicy(scores_per_false_alarm=5_000, actions_share=0.25).of_actions(4).amount
        20000.0
        """
        return self.run_length(n_partitions).times(1 / self.actions_share)

    def of_scores(self, n_partitions: int, *, beside_answers: bool) -> RunLength:
        """Tell how long that of scores of each partition should run, beside answers or not.

        >>> policy = DriftPolicy(
        ...     scores_per_false_alarm=5_000, answers_share=0.5, actions_share=0.25
        ... )
        >>> policy.of_scores(4, beside_answers=True).amount
        20000.0
        """
        elsewhere = self.actions_share + (self.answers_share if beside_answers else 0.0)
        return self.run_length(n_partitions).times(1 / (1 - elsewhere))

    def run_length(self, n_partitions: int = 1) -> RunLength:
        """Tell how long detectors should run until a false alarm, if all is for those of scores.

        Time passes for all partitions at once, scores are spread over them.

        >>> DriftPolicy(false_alarm_every=timedelta(days=30)).run_length(4).amount / 24
        120.0
        >>> DriftPolicy(scores_per_false_alarm=5_000).run_length(4).amount
        5000
        """
        if self.false_alarm_every is not None:
            return RunLength.time(self.false_alarm_every * n_partitions)
        scores = self.scores_per_false_alarm
        return RunLength.scores(_SCORES_PER_FALSE_ALARM if scores is None else scores)


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """Something known to have happened, to hold drift alarms against."""

    name: str
    first: date
    last: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """A bundled history of events, and how its columns become event fields."""

    file: str
    """Path within the checkout: CSV or JSON lines, possibly gzipped."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Event field -> column, where they differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """Everything that makes one use case.

    No I/O, no Kafka: `agents.predict` and `agents.learn` turn it into running code.
    """

    use_case: str
    """Kebab-case name, as in `purchase-intent`."""
    event: type[UserEvent]
    """The record upstream publishes."""
    actions: frozenset[str]
    """Actions the pipeline knows; others are set aside as `unknown_action`."""
    features: tuple[Feature, ...]
    """Of the event's user, and of the event itself."""
    label: LabelRule
    champion: str
    """Model of `online_models.catalogue` that serves, until somebody promotes another."""
    challengers: tuple[str, ...] = ()
    """Models that learn beside it."""
    arms: tuple[str, ...] = ()
    """What models choose among that are bandits (`bandit_...`)."""
    keep_every: int = 0
    """Outcomes after which a version of each model is kept as it is, to be promoted or put back
    later; 0: when `thalweg models keep` asks for it."""
    keep_versions: int = 20
    """So many versions of a model are kept at most; then `learn` archives the oldest."""
    retrain: Retrain | None = None
    """Trains models again from the archive, by time and after alerts, and lets those that turn out
    better than the champion go on as challengers: `thalweg models retrain`."""
    entities: tuple[FeatureView, ...] = ()
    """Features of what else events are about, an item, say: `streams.entities.about`."""
    rules: tuple[Rule, ...] = ()
    """Who answers while no model can: `online_models.rules.when`, the first that holds."""
    routes: tuple[Route, ...] = ()
    """Which model answers which events in place of the champion: the first that holds of what
    `online_models.gateway.route` declares."""
    ensemble: Ensemble | None = None
    """Models that answer together, in place of the champion."""
    stale_after: timedelta | None = None
    """Age of a snapshot from which its model answers nothing any more, as if it were not there: the
    world has moved on. Longer than labels ever pause. Versions that are pinned do not age."""
    rollout: Rollout | None = None
    """Lets some users have a challenger's answers, and compares: `thalweg experiments report`."""
    review: Review | None = None
    """Lets people judge some of the uncertain decisions: `thalweg reviews`."""
    challenger_share: float = 0.01
    """Share of events that challengers score in the predict role, to prove their latency."""
    threshold: float = 0.5
    """Scores from here on decide `true`."""
    allowed_lateness: timedelta = timedelta(minutes=5)
    """How far events may be out of order and still be joined with labels."""
    future_tolerance: timedelta = timedelta(minutes=5)
    """How far an event may be ahead of the broker's clock."""
    deduplication: timedelta = timedelta(days=1)
    """Event time for which an event id is remembered, as long as there is room."""
    max_event_ids: int = 200_000
    """Ids that each partition remembers at most, some 150 bytes each; the oldest make room."""
    max_pending: int = 200_000
    """Predictions of each partition that may wait for their label, some 1 KB each. When so many
    do, further ones are not joined: their labels teach nothing. As many labels may wait for their
    prediction, and as many that are settled to be revised."""
    parity_share: float = 0.01
    """Share of users whose features `watch` computes again from the log."""
    max_event_bytes: int = 256 * 1024
    quality: tuple[Expectation, ...] = ()
    """What is held to be true of events: `streams.expectations.expect`."""
    quality_window: int = 10_000
    """Events that the score of their quality looks back on."""
    drift: DriftPolicy = DriftPolicy()
    goals: Goals = field(default_factory=Goals)
    """The lines beyond which operators are alerted."""
    replay: Replay | None = None
    incidents: tuple[Incident, ...] = ()
    emergency_after: timedelta = timedelta(seconds=10)
    """Without a prediction though events wait, or with answers of no model alone though there is
    one, until that is an emergency. A restart of `predict` takes less."""
    silences: tuple[Silence, ...] = ()
    """When alerts are written down only: they call nobody, and nothing is rolled back."""

    def __post_init__(self) -> None:
        if not _KEBAB_CASE.fullmatch(self.use_case):
            raise InvalidDeclaration(
                f"use_case is in kebab case, as `purchase-intent`, not {self.use_case!r}"
            )
        if unclean := sorted(each for each in self.actions if each != each.lower()):
            raise InvalidDeclaration(f"actions are in lower case, not {', '.join(unclean)}")
        self._check_amounts()
        self._check_filters()
        for name, share in (
            ("challenger_share", self.challenger_share),
            ("parity_share", self.parity_share),
        ):
            if not 0 <= share <= 1:
                raise InvalidDeclaration(f"{name} is a share from 0 to 1, not {share}")
        if self.keep_every < 0 or self.keep_versions < 1:
            raise InvalidDeclaration(
                f"keep_every is 0 or more and keep_versions 1 or more, not {self.keep_every} and"
                f" {self.keep_versions}"
            )
        self._check_all_learn()
        self._check_scores_are_probabilities()
        self._check_rollout_is_of_the_champion()
        self._check_gates()
        if self.label.action is not None and self.label.action not in self.actions:
            raise InvalidDeclaration(
                f"the label rule waits for the action {self.label.action!r}, which is none of the"
                f" pipeline's: {', '.join(sorted(self.actions))}"
            )
        self._check_task()
        self._check_drift()
        self._check_silences()
        if self.review is not None:
            self._check_verdicts_count(self.review)
        if self.label.weighs:
            self._check_weights_are_taken(f"the label rule has {self.label.weighs}")

    def _check_amounts(self) -> None:
        for name in ("allowed_lateness", "future_tolerance"):
            if getattr(self, name) < timedelta():
                raise InvalidDeclaration(f"{name} is not negative, as {getattr(self, name)} is")
        if self.deduplication <= timedelta():
            raise InvalidDeclaration(f"deduplication is a time, not {self.deduplication}")
        if self.emergency_after <= timedelta():
            raise InvalidDeclaration(f"emergency_after is a time, not {self.emergency_after}")
        if self.stale_after is not None and self.stale_after <= timedelta(0):
            raise InvalidDeclaration(f"stale_after is a time, not {self.stale_after}")
        for name in ("max_event_ids", "max_pending", "max_event_bytes", "quality_window"):
            if getattr(self, name) < 1:
                raise InvalidDeclaration(f"{name} is 1 or more, not {getattr(self, name)}")

    def _check_filters(self) -> None:
        """Look for actions that no event has: what counts them would be 0 for ever."""
        features: list[Any] = [
            *self.features,
            *(f for view in self.entities for f in view.features),
        ]
        filters = [
            (f"feature `{each.names[0]}`", getattr(each, "only", None))
            for each in features
            if isinstance(each, Feature)  # else `compiled` says so
        ]
        filters += [(f"the expectation of `{each.field}`", each.only) for each in self.quality]
        for of, only in filters:
            unknown = set(() if only is None else only.actions) - self.actions
            if only is not None and unknown:
                raise InvalidDeclaration(
                    f"{of}: filter `{only.name}` has the action {min(unknown)!r}, which is none of"
                    f" the pipeline's: {', '.join(sorted(self.actions))}"
                )

    @property
    def models(self) -> tuple[str, ...]:
        """Tell all models that learn, the declared champion first."""
        return tuple(dict.fromkeys((self.champion, *self.challengers)))

    @property
    def task(self) -> str:
        """Tell what the models are asked (`schemas.tasks`)."""
        return task_name(self.champion)

    @property
    def watches_answers(self) -> bool:
        """Whether scores say of answers what they will be, and some of the budget is for that."""
        return self.drift.answers_share > 0 and self.task in _FORECASTS

    @property
    def watches_together(self) -> bool:
        """Whether the scores of all partitions are watched together, beside answers."""
        return self.drift.scores == "together"

    def _check_drift(self) -> None:
        if not self.watches_together:
            return
        if self.task == "multiclass" or not self.watches_answers:
            raise InvalidDeclaration(
                'DriftPolicy(scores="together") is for models of yes and no and of amounts whose'
                f" answers are watched, too (answers_share), not for `{self.champion}` with"
                f" answers_share={self.drift.answers_share}"
            )

    def _check_silences(self) -> None:
        unknown = sorted({kind for each in self.silences for kind in each.kinds} - RUNBOOKS.keys())
        if unknown:
            raise InvalidDeclaration(
                f"a silence is of {', '.join(unknown)}: there are alerts of {', '.join(RUNBOOKS)},"
                " and it is of all that names none"
            )

    def _check_task(self) -> None:
        task = self.task
        for name in self.challengers:
            if task_name(name) != task:
                raise InvalidDeclaration(
                    f"the challenger `{name}` is asked another kind of question ({task_name(name)})"
                    f" than the champion `{self.champion}` ({task})"
                )
        says = LABELS[task]
        if self.label.says not in says:
            names = [each.__name__ for each in says]
            raise InvalidDeclaration(
                f"the label rule says {self.label.says.__name__}, but `{self.champion}` learns"
                f" {' or '.join(names)}: label=reported_within(..., says={names[-1]})"
            )
        self.label.reader(self.event)
        self._check_arms(task)
        if self.rules and task in NOT_BY_RULES:
            raise InvalidDeclaration(
                f"rules answer with a score from 0 to 1, which is no answer of `{self.champion}`"
            )

    def _check_arms(self, task: str) -> None:
        if task != "bandit":
            if self.arms:
                raise InvalidDeclaration(f"`{self.champion}` chooses no arm: it needs no `arms`")
            return
        arms = several(self.arms, "a choice among arms")
        if len(set(arms)) != len(arms) or not 1 < len(arms) <= MOST_ARMS:
            raise InvalidDeclaration(
                f"`{self.champion}` chooses among 2 to {MOST_ARMS} different arms, not"
                f" {self.arms}: arms=(...)"
            )
        if not all(0 < len(arm) <= MAX_CLASS_LENGTH for arm in arms):
            raise InvalidDeclaration(f"the name of an arm has 1 to {MAX_CLASS_LENGTH} characters")

    def _check_all_learn(self) -> None:
        named = [(f"a route leads to {route.model}", route.model) for route in self.routes]
        if self.rollout is not None:
            of = f"the candidate of the rollout {self.rollout.name} is {self.rollout.candidate}"
            named.append((of, self.rollout.candidate))
        if self.ensemble is not None:
            named += [
                (f"{name} is a member of the ensemble", name) for name in self.ensemble.members
            ]
        if self.retrain is not None:
            named += [(f"{name} is to be trained again", name) for name in self.retrain.models]
        for said, name in named:
            if name not in self.models:
                raise InvalidDeclaration(
                    f"{said}, which does not learn: name it among the challengers"
                )

    def _check_scores_are_probabilities(self) -> None:
        gates = None if self.rollout is None else self.rollout.gates
        for what, declared in (
            ("gates of a rollout", gates),
            ("an ensemble", self.ensemble),
            ("a review", self.review),
        ):
            if declared is not None and self.task != "binary":
                raise InvalidDeclaration(
                    f"{what} needs models that tell how probable it is, as `binary_...` do, not"
                    f" {self.champion}"
                )

    def _check_rollout_is_of_the_champion(self) -> None:
        """Refuse a rollout where others answer in the champion's place.

        The control group would have their answers, gates would compare with one who answers nobody,
        and so would the candidate once it is promoted.
        """
        if self.rollout is None:
            return
        for choice, is_chosen in (
            ("an ensemble", self.ensemble is not None),
            ("routes", bool(self.routes)),
        ):
            if is_chosen:
                raise InvalidDeclaration(
                    f"the rollout {self.rollout.name} does not go with {choice}: its candidate is"
                    " compared with the champion, in whose place others answer"
                )

    def _check_gates(self) -> None:
        """Gates count each label as one: what stands for many would need bounds of its own."""
        if self.rollout is None or self.rollout.gates is None:
            return
        rule, review = self.label, self.review
        for choice, is_chosen in (
            ("keep_negatives", rule.keep_negatives < 1.0),
            ("fake_negatives", rule.fake_negatives),
            ("a review with weighted=True", review is not None and review.weighted),
        ):
            if is_chosen:
                raise InvalidDeclaration(f"gates of a rollout do not go with {choice}")

    def _check_verdicts_count(self, review: Review) -> None:
        rule = self.label
        for choice, is_chosen in (
            ("positive='at_maturity'", rule.positive == "at_maturity"),
            ("fake_negatives", review.weighted and rule.fake_negatives),
            ("revisable_for", review.weighted and rule.is_revisable),
        ):
            if is_chosen:
                weighted = " with weighted=True" if review.weighted else ""
                raise InvalidDeclaration(
                    f"a review{weighted} does not go with {choice} of the label rule"
                )
        if review.weighted:
            self._check_weights_are_taken("the review has weighted=True")

    def _check_weights_are_taken(self, what: str) -> None:
        # River takes a second, and most commands need none.
        from online_models import catalogue  # noqa: PLC0415

        for name in self.models:
            if not catalogue.recipe(name).takes_weights:
                raise InvalidDeclaration(
                    f"{what}, hence outcomes of different weights, which model `{name}` does not"
                    " take; docs/catalogue.md says which do"
                )

    def compiled(self) -> FeatureSet:
        """Compile all features.

        Raises
        ------
        InvalidDeclaration
            Names the feature, the entity or the rule, and what is wrong with it.
        """
        compiled = compile_feature_set(self.features, self.entities, self.event)
        if not compiled.names:
            raise InvalidDeclaration(f"pipeline `{self.use_case}` declares no feature")
        RuleBook(self.rules, compiled.names)
        check_routes(self.routes, compiled.names)
        return compiled


def load(module: str) -> Pipeline:
    """Import a pipeline by the name of its module.

    Raises
    ------
    InvalidDeclaration
        When there is no such module, or it declares no `PIPELINE`.
    """
    try:
        found = getattr(importlib.import_module(module), "PIPELINE", None)
    except ModuleNotFoundError as error:
        raise InvalidDeclaration(f"no pipeline module `{module}`: {error}") from error
    if not isinstance(found, Pipeline):
        raise InvalidDeclaration(f"`{module}` declares no PIPELINE = Pipeline(...)")
    return found
