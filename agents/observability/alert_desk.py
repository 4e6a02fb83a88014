"""Where the alerts of a role leave, with the outputs of a batch."""

from typing import Final

import msgspec

from agents.deployments.deployed import Deployed
from agents.kafka.batch import Batch
from agents.observability import metric_list
from agents.observability.metrics import Metrics
from agents.silence import Silence, silenced
from schemas.alerts import Alert
from schemas.cloudevents import Headers, constant_headers, rfc3339


class AlertDesk:
    """Emits alerts and counts them; those that are silenced are written down and not counted.

    Parameters
    ----------
    deployed
        Knows which silences hold.
    topic
        Full name of `alerts`.
    source
        Of the CloudEvents headers, as `/thalweg/watch`.
    """

    def __init__(self, deployed: Deployed, metrics: Metrics, *, topic: str, source: str) -> None:
        self._deployed = deployed
        self._metrics = metrics
        self._topic = topic
        self._key: Final = deployed.registry.use_case.encode()
        self._headers = constant_headers("thalweg.alert", source)

    def silence(self, kind: str, at_ms: int) -> Silence | None:
        """Tell which silence holds for alerts of a kind, if one does."""
        return silenced(self._deployed.silences, kind, at_ms)

    def emit(self, batch: Batch, *alerts: Alert) -> None:
        """Let alerts leave with a batch."""
        for alert in alerts:
            silence = self.silence(alert.kind, alert.raised_at)
            if silence is None:
                self._metrics.counter(metric_list.ALERTS, kind=alert.kind, level=alert.level).inc()
            else:
                alert.action = str(silence)
            value = msgspec.json.encode(alert)
            batch.emit(self._topic, value, self._key, headers=self.headers(alert))

    def headers(self, alert: Alert) -> Headers:
        """Build the CloudEvents headers of an alert."""
        at = rfc3339(alert.raised_at)
        return [*self._headers, ("ce_id", alert.alert_id.encode()), ("ce_time", at)]
