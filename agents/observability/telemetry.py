"""How we are, as a record: what each process publishes to `telemetry`, again and again."""

import os

import orjson

from agents.observability.metrics import Metrics


def telemetry_record(process: str, metrics: Metrics, at_ms: int) -> bytes:
    """Write all samples of this process as a `schemas.telemetry.Telemetry` record.

    Parameters
    ----------
    process
        Role and slot, such as `predict-0`; also the record's key.
    metrics
        What the process counted and measured.
    at_ms
        Wall time.
    """
    return orjson.dumps(
        {
            "process": process,
            "pid": os.getpid(),
            "at": at_ms,
            "samples": metrics.samples(),
            "exemplars": metrics.take_exemplars(),
        }
    )
