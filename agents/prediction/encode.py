"""Write the records of the hot path: predictions, shadow predictions, feature updates.

The contracts are `schemas.predictions`, `feature_updates` and `entity_features`; here a record is
one literal and one call of orjson, and its constant headers are built once.
"""

from collections.abc import Mapping
from heapq import nlargest
from operator import itemgetter
from typing import Final

import orjson

from schemas import cloudevents
from schemas.cloudevents import Headers
from schemas.trace_context import TraceContext
from streams.feature_set import CompiledView

MOST_SCORES: Final = 100
"""Classes whose probabilities stand in a prediction: a model may know a thousand, of 256 characters
each."""


class Envelope:
    """CloudEvents headers for records of one kind.

    >>> envelope = Envelope("thalweg.prediction", "/thalweg/predict")
    >>> envelope.at(cloudevents.rfc3339(0))
    >>> dict(envelope.headers("p1"))["ce_id"]
    b'p1'
    """

    def __init__(self, type_: str, source: str) -> None:
        self._constant: Final = list(cloudevents.constant_headers(type_, source))
        self._of_batch: Headers = self._constant

    def at(self, time: bytes) -> None:
        """Set the time (RFC 3339) of the records to come; once per batch."""
        self._of_batch = [*self._constant, ("ce_time", time)]

    def headers(self, id_: str, trace: TraceContext | None = None) -> Headers:
        """Make the headers of one record, of what is caused by a record of a trace if it is one."""
        if trace is None:
            return [*self._of_batch, ("ce_id", id_.encode())]
        return [*self._of_batch, ("ce_id", id_.encode()), *trace.headers()]


def prediction(
    *,
    prediction_id: str,
    event_id: str,
    user_id: str,
    use_case: str,
    score: float,
    decision: bool,
    source: str,
    model: str,
    model_version: int,
    variant: str,
    event_at: int,
    published_at: int,
    predicted_at: int,
    degraded: list[str],
) -> bytes:
    """Write one `schemas.predictions.Prediction`.

    Confidence is the distance from a coin flip, scaled to 0..1.
    """
    return orjson.dumps(
        {
            "prediction_id": prediction_id,
            "event_id": event_id,
            "user_id": user_id,
            "use_case": use_case,
            "score": score,
            "confidence": abs(2.0 * score - 1.0),
            "decision": decision,
            "source": source,
            "model": model,
            "model_version": model_version,
            "variant": variant,
            "event_at": event_at,
            "published_at": published_at,
            "predicted_at": predicted_at,
            "degraded": degraded,
        }
    )


def class_prediction(
    *, prediction: str | None, scores: Mapping[str, float], score: float, **fields: object
) -> bytes:
    """Write one `schemas.predictions.Prediction` of a class; the other fields are the same.

    Confidence is the distance from a die with as many sides as there are classes, scaled to 0..1;
    for two it is that from a coin flip. Of more than `MOST_SCORES` classes the most probable ones
    are told, that one first; of those that are as probable, which the model has first.

    >>> from msgspec import json
    >>> scores = {"iris": 0.1, "rose": 0.7, "lily": 0.2}
    >>> record = class_prediction(prediction="rose", scores=scores, score=0.7, use_case="garden")
    >>> round(json.decode(record)["confidence"], 6)
    0.55
    """
    n = len(scores)
    if n > MOST_SCORES:
        scores = dict(nlargest(MOST_SCORES, scores.items(), key=itemgetter(1)))
    return orjson.dumps(
        {
            **fields,
            "score": score,
            "confidence": (n * score - 1.0) / (n - 1) if n > 1 else 0.0,
            "prediction": prediction,
            "scores": {name: float(p) for name, p in scores.items()},
        }
    )


def amount_prediction(*, score: float, **fields: object) -> bytes:
    """Write one `schemas.predictions.Prediction` of an amount, which is its score.

    How sure an estimate is nobody says: its confidence is 0.

    >>> amount_prediction(score=7.5, use_case="delivery-minutes")
    b'{"use_case":"delivery-minutes","score":7.5,"confidence":0.0}'
    """
    return orjson.dumps({**fields, "score": score, "confidence": 0.0})


def arm_prediction(*, arm: str, propensity: float, score: float, **fields: object) -> bytes:
    """Write one `schemas.predictions.Prediction` of an arm; the score is what is expected of it.

    >>> arm_prediction(arm="short", propensity=0.75, score=7.5, use_case="offers")
    b'{"use_case":"offers","score":7.5,"confidence":0.0,"arm":"short","propensity":0.75}'
    """
    return orjson.dumps(
        {**fields, "score": score, "confidence": 0.0, "arm": arm, "propensity": propensity}
    )


def shadow_prediction(
    *,
    prediction_id: str,
    event_id: str,
    use_case: str,
    score: float,
    model: str,
    model_version: int,
    prediction: str | None = None,
) -> bytes:
    """Write what a challenger would have said."""
    record: dict[str, object] = {
        "prediction_id": prediction_id,
        "event_id": event_id,
        "use_case": use_case,
        "score": score,
        "model": model,
        "model_version": model_version,
    }
    if prediction is not None:
        record["prediction"] = prediction
    return orjson.dumps(record)


def feature_update(user_id: str, as_of: int, schema: str, features: dict[str, float]) -> bytes:
    """Write the latest features of one user, as the store keeps them.

    >>> feature_update("ada", 7, "s1", {"event_count_1h": 2.0})
    b'{"user_id":"ada","as_of":7,"schema":"s1","features":{"event_count_1h":2.0}}'
    """
    return orjson.dumps(
        {"user_id": user_id, "as_of": as_of, "schema": schema, "features": features}
    )


def entity_features(view: CompiledView, as_of: int, features: dict[str, float]) -> bytes:
    """Write the latest features of one entity, under the names that predictions see."""
    return orjson.dumps(
        {
            "entity": view.entity.name,
            "as_of": as_of,
            "schema": view.fold.schema,
            "features": dict(zip(view.names, features.values(), strict=True)),
        }
    )
