"""Whether spans of sampled records are made, and where they go.

Nothing of OpenTelemetry is imported unless somebody asks for spans: it is an extra.
"""

import os
from typing import TYPE_CHECKING, Final

from agents.observability.metrics import Metrics
from agents.settings import Settings
from schemas.errors import InvalidSetting

if TYPE_CHECKING:
    from agents.observability.spans import Tracer

INSTALL: Final = "pip install -e '.[otel]'"
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_SPOKEN: Final = "http/protobuf"


def open_tracer(settings: Settings, role: str, slot: int, metrics: Metrics) -> "Tracer | None":
    """Make what a worker makes spans with; `None`: nobody wants any.

    The standard's variables `OTEL_*` say where they go and what the service is called.

    Raises
    ------
    InvalidSetting
        OpenTelemetry is not installed, or is to speak what we do not.
    """
    if settings.traces == "off" or os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    for variable in _PROTOCOLS:
        if os.environ.get(variable, _SPOKEN) not in ("", _SPOKEN):
            raise InvalidSetting(
                f"{variable}: spans leave by {_SPOKEN}, not by {os.environ[variable]}"
            )
    try:
        from agents.observability import span_export, spans  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("opentelemetry"):
            raise
        raise InvalidSetting(
            f"THALWEG_TRACES=otlp takes OpenTelemetry, the extra `otel`: {INSTALL}"
        ) from error
    worker = f"{settings.topic_prefix}{role}-{slot}"
    try:
        provider = span_export.provider(f"thalweg-{role}", worker, metrics)
    except ValueError as error:  # of a variable that holds no number, or too large a one
        raise InvalidSetting(f"OTEL_...: {error}") from error
    return spans.Tracer(provider, group=f"{settings.topic_prefix}{role}")
