"""What every peer does with every event: features, a prediction, one step of learning."""

from collections import deque

import orjson
from river import drift, linear_model, preprocessing

HOUR_MS = 3_600_000


class Visits:
    """What one user did within the last hour of event time.

    >>> visits = Visits()
    >>> visits.add(0, 10.0)
    >>> visits.add(HOUR_MS, 5.0)
    >>> visits.n, visits.amount
    (1, 5.0)
    """

    __slots__ = ("_events", "amount", "last_ms")

    def __init__(self) -> None:
        self._events: deque[tuple[int, float]] = deque()
        self.amount = 0.0
        self.last_ms = 0

    @property
    def n(self) -> int:
        """How many events the hour holds."""
        return len(self._events)

    def add(self, at_ms: int, amount: float) -> None:
        """Take an event in, and let go of what is an hour older."""
        events = self._events
        events.append((at_ms, amount))
        self.amount += amount
        self.last_ms = at_ms
        while events[0][0] <= at_ms - HOUR_MS:
            self.amount -= events.popleft()[1]


class Work:
    """A model that predicts and learns, and the state it needs.

    Scaler and model are called one after the other: River's pipeline would do the same, and scale
    each event twice.

    >>> answer = Work().process(
    ...     b'{"event_id":7,"user_id":"u","ts":0,"amount":2.5,"bought":true,"due":11}'
    ... )
    >>> orjson.loads(answer)
    {'event_id': 7, 'due': 11, 'user_id': 'u', 'score': 0.5, 'drift': False}
    """

    def __init__(self) -> None:
        self._visits: dict[str, Visits] = {}
        self._scaler = preprocessing.StandardScaler()
        self._model = linear_model.LogisticRegression()
        self._scores = drift.ADWIN()  # type: ignore[no-untyped-call]

    def process(self, value: bytes) -> bytes:
        """Turn an event into its prediction."""
        event = orjson.loads(value)
        user = event["user_id"]
        visits = self._visits.get(user)
        if visits is None:
            visits = self._visits[user] = Visits()
        at_ms, amount = event["ts"], event["amount"]
        gap_ms = at_ms - visits.last_ms
        visits.add(at_ms, amount)
        features = {
            "amount": amount,
            "gap_s": gap_ms / 1_000,
            "count_1h": float(visits.n),
            "amount_mean_1h": visits.amount / visits.n,
        }
        self._scaler.learn_one(features)  # type: ignore[no-untyped-call]
        scaled = self._scaler.transform_one(features)  # type: ignore[no-untyped-call]
        score = self._model.predict_proba_one(scaled)[True]  # type: ignore[no-untyped-call]
        self._model.learn_one(scaled, event["bought"])
        self._scores.update(score)  # type: ignore[no-untyped-call]
        return orjson.dumps(
            {
                "event_id": event["event_id"],
                "due": event["due"],
                "user_id": user,
                "score": score,
                "drift": self._scores.drift_detected,
            }
        )
