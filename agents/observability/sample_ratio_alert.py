"""Whether predictions reach the users of both groups of a rollout, and the alert if they do not."""

from collections.abc import Iterable
from typing import Final, Literal

import msgspec
from confluent_kafka import Message

from agents.deployments.deployed import Deployed
from agents.observability import metric_list
from agents.observability.metrics import Metrics
from agents.observability.runbooks import RUNBOOKS
from online_models.assignment import Rollout
from online_models.sample_ratio import Mismatch, SampleRatio
from schemas.alerts import Alert
from schemas.errors import UNREADABLE


class _Answered(msgspec.Struct):
    """What the count needs of a prediction."""

    user_id: str
    variant: Literal["champion", "control", "candidate"]


_decode: Final = msgspec.json.Decoder(_Answered).decode


class SampleRatioWatch:
    """Counts the users of the rollout that runs, of the predictions that this process reads.

    Begins anew with the process, and with each rollout.
    """

    def __init__(self, use_case: str, deployed: Deployed, metrics: Metrics) -> None:
        self._use_case = use_case
        self._deployed = deployed
        self._metrics = metrics
        self._name = ""
        self._ratio: SampleRatio | None = None

    def predictions(self, records: Iterable[Message], now_ms: int) -> list[Alert]:
        """Count the users of predictions; what is none is passed over."""
        rollout = self._deployed.rollout
        self._follow(rollout)
        ratio = self._ratio
        if rollout is None or ratio is None:
            return []
        for record in records:
            try:
                answered = _decode(record.value() or b"")
            except UNREADABLE:
                continue
            if answered.variant != "champion":
                ratio.add(answered.user_id, answered.variant)
        self._tell(rollout, ratio)
        found = ratio.mismatch()
        return [] if found is None else [self._alert(rollout, found, now_ms)]

    def _follow(self, rollout: Rollout | None) -> None:
        name = "" if rollout is None else rollout.name
        if name == self._name:
            return
        self._name = name
        self._ratio = None if rollout is None else SampleRatio(rollout)
        for spec in (metric_list.ROLLOUT_USERS, metric_list.ROLLOUT_SAMPLE_RATIO_EVIDENCE):
            self._metrics.remove(spec)

    def _tell(self, rollout: Rollout, ratio: SampleRatio) -> None:
        gauge = self._metrics.gauge
        for variant, n in ratio.counts.items():
            gauge(metric_list.ROLLOUT_USERS, rollout=rollout.name, variant=variant).set(n)
        evidence = gauge(metric_list.ROLLOUT_SAMPLE_RATIO_EVIDENCE, rollout=rollout.name)
        evidence.set(ratio.evidence)

    def _alert(self, rollout: Rollout, found: Mismatch, now_ms: int) -> Alert:
        users = found.control + found.candidate
        return Alert(
            alert_id=f"sample-ratio-{self._use_case}-{rollout.name}-{found.turn}-{users}",
            kind="sample_ratio",
            level="warning",
            use_case=self._use_case,
            signal="candidate_share",
            value=found.share,
            threshold=rollout.split,
            raised_at=now_ms,
            evidence={
                "rollout": rollout.name,
                "candidate": rollout.candidate,
                "users_control": found.control,
                "users_candidate": found.candidate,
                "evidence_power_of_ten": found.evidence,
                "needed": found.threshold,
            },
            runbook=RUNBOOKS["sample_ratio"],
        )
