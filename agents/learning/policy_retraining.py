"""Train models again because the pipeline's policy says so, and let the better ones compete.

Whoever begins says so on `deployments`, where only one can be first (`Deployment.expects`). The
version names that event, so the log tells what came of it: nothing, if whoever began was killed or
failed, and then it is begun again later. A version that was better than the champion by the
comparison becomes a challenger that learns on, with the same transaction. If the champion or the
model changed since the training began, it does not: what was compared is past.
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, Literal

import msgspec

from agents.admin import topic_reader
from agents.deployments import decisions, log, trained_versions
from agents.deployments.log import Entry
from agents.history.progress import Report
from agents.learning import origins, retraining
from agents.learning.retraining import Retraining
from agents.observability import metric_list
from agents.observability.metrics import Metrics
from agents.offline.file_system import FileSystem
from agents.offline.training_log import TrainingLog
from agents.pipeline import Pipeline
from agents.settings import Settings
from online_models.registry import Registry
from online_models.retrain import Attempt, Raised, Retrain, due
from online_models.signing import Signer
from schemas import topics
from schemas.alerts import Alert
from schemas.deployments import REGISTERED, RESUMED, split
from schemas.errors import UNREADABLE, InvalidDeclaration, ThalwegError

BY: Final = "retrain"
SOURCE: Final = "/thalweg/retrain"
_LAST_ALERTS: Final = 1_000
_decode_alert = msgspec.json.Decoder(Alert).decode

Result = Literal["challenger", "registered", "failed"]
Progress = Callable[[str], AbstractContextManager[Report]]
"""Shows how far the training of a model is."""


def policy_of(pipeline: Pipeline) -> Retrain:
    """Tell the policy of a pipeline.

    Raises
    ------
    InvalidDeclaration
        It has none.
    """
    if pipeline.retrain is None:
        raise InvalidDeclaration(
            f"`{pipeline.use_case}` declares no retraining: Pipeline(retrain=Retrain(every=...))"
        )
    return pipeline.retrain


def candidates(pipeline: Pipeline, registry: Registry) -> tuple[str, ...]:
    """Tell which models may be trained now: those that the policy names and that do not answer.

    >>> from dataclasses import replace
    >>> from examples.shop.pipeline import PIPELINE
    >>> weekly = replace(PIPELINE, retrain=Retrain(every=timedelta(days=7)))
    >>> candidates(weekly, Registry(PIPELINE.use_case))
    ('binary_hoeffding_tree_v1',)
    """
    named = policy_of(pipeline).models or pipeline.models
    return tuple(
        name for name in named if decisions.answering_part(pipeline, registry, name) is None
    )


def attempt_of(registry: Registry, model: str) -> Attempt | None:
    """Tell the last training of a model that a policy began."""
    last = registry.retrainings.get(model)
    return None if last is None else Attempt(last.change.event.at, last.is_over)


@dataclass(frozen=True, slots=True)
class Round:
    """What came of one look at one model."""

    model: str
    result: Result
    said: str
    """In a line."""
    version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRetraining:
    """Looks whether models are due, and trains them.

    Parameters
    ----------
    tell
        Told in one line what is done.
    """

    settings: Settings
    pipeline: Pipeline
    signer: Signer
    metrics: Metrics
    tell: Callable[[str], None]
    progress: Progress

    def look(self) -> list[Round]:
        """Train what is due.

        Raises
        ------
        DeliveryFailed
            The broker cannot be reached.
        """
        policy = policy_of(self.pipeline)
        found = log.read(self.settings, self.pipeline.use_case).registry
        alerts = self._alerts() if policy.on else []
        rounds = []
        for model in candidates(self.pipeline, found):
            now_ms = time.time_ns() // 1_000_000
            # Read again: training takes long.
            registry = log.read(self.settings, self.pipeline.use_case).registry
            why = due(policy, attempt_of(registry, model), alerts, now_ms=now_ms)
            if why is not None and model in candidates(self.pipeline, registry):
                rounds += self._begin(policy, registry, model, now_ms, why)
        self._tell_times()
        return rounds

    def _begin(
        self, policy: Retrain, registry: Registry, model: str, now_ms: int, why: str
    ) -> list[Round]:
        """Say that we begin, and train, if nobody else was faster."""
        event = decisions.retraining(self.pipeline, registry, model, at=now_ms, by=BY, why=why)
        begun = log.append(self.settings, event, SOURCE)
        if begun.refusal is not None:
            self.tell(f"{model} is due, and somebody else began to train it just before")
            return []
        self.tell(f"{model} is trained again: {why}")
        try:
            found = self._train(policy, registry, model, begun)
        except ThalwegError as failure:
            found = Round(model, "failed", f"{failure}; tried again in {policy.retry_after}")
        self.metrics.counter(metric_list.RETRAININGS, model=model, result=found.result).inc()
        self.tell(f"{found.model}: {found.said}")
        return [found]

    def _train(self, policy: Retrain, registry: Registry, model: str, begun: Entry) -> Round:
        archived = TrainingLog(FileSystem(self.settings.offline_store))
        name, _ = split(registry.roles(self.pipeline.models).champion)
        champion = origins.begun(self.settings, self.pipeline, registry, name)
        with self.progress(f"train {model}") as report:
            learner, told = retraining.train(
                *(archived, self.pipeline, model),
                champion=champion,
                since=first_date(policy, archived.last_date),
                report=report,
            )
        is_better = told.difference is not None and told.difference.verdict == "better"
        entries = trained_versions.register(
            *(self.settings, self.pipeline.use_case, learner, self.signer),
            by=BY,
            why=compared(told),
            retraining=begun.offset,
            resumes_since=begun.event.expects if is_better else None,
        )
        by_kind = {each.event.kind: each for each in entries}
        version, resumed = by_kind[REGISTERED].event.reference, by_kind.get(RESUMED)
        if resumed is None:
            said = f"{version} is registered, and no challenger: {compared(told)}"
            return Round(model, "registered", said, version)
        if resumed.refusal is not None:
            said = f"{version} is registered, and no challenger: {resumed.refusal.reason}"
            return Round(model, "registered", said, version)
        return Round(model, "challenger", f"goes on from {version}: {compared(told)}", version)

    def _alerts(self) -> list[Raised]:
        """Read the newest alerts of the use case."""
        topic = topics.ALERTS.named(self.settings.topic_prefix)
        messages = topic_reader.read_to_end(self.settings, topic, last=_LAST_ALERTS)
        alerts = (_decoded(message.value()) for message in messages)
        return [
            Raised(each.kind, each.raised_at)
            for each in alerts
            if each is not None
            and each.use_case == self.pipeline.use_case
            and each.level != "normal"
        ]

    def _tell_times(self) -> None:
        registry = log.read(self.settings, self.pipeline.use_case).registry
        for model, each in registry.retrainings.items():
            at = self.metrics.gauge(metric_list.RETRAINED_AT, model=model)
            at.set(each.change.event.at / 1_000)


def first_date(policy: Retrain, last: date | None) -> date | None:
    """Tell from which date on events count, back from the last one of the archive.

    >>> first_date(Retrain(every=timedelta(1), since=timedelta(days=7)), date(2026, 11, 28))
    datetime.date(2026, 11, 22)
    """
    if policy.since is None or last is None:
        return None
    return last - timedelta(days=policy.since.days - 1)


def compared(told: Retraining) -> str:
    """Say how the candidate compares with the champion, in a line."""
    if (found := told.difference) is None:
        return f"it cannot be compared with {told.champion.model}"
    return (
        f"log loss {found.mean:+.4f} ({found.low:+.4f} to {found.high:+.4f}) against that of"
        f" {told.champion.model}, by {found.labels:,} labels: {found.verdict}"
    )


def _decoded(value: bytes | None) -> Alert | None:
    try:
        return _decode_alert(value or b"")
    except UNREADABLE:
        return None  # whoever wrote it is told by the page, which shows alerts
