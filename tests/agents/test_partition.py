"""Laws of one partition of predict: however events are cut into batches, whenever it is rebuilt."""

import math
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple, cast

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents import event_file
from agents.kafka.batch import Output
from agents.metrics import Metrics
from agents.model_feed import Served
from agents.partition import FORGET_PER_BATCH, Partition
from agents.predict_plan import PRIOR, PredictPlan
from examples.shop.pipeline import PIPELINE, ShopEvent
from online_models.scorer import Scorer
from schemas import dead_letters
from schemas.alerts import Alert
from schemas.outcomes import Outcome
from schemas.predictions import Prediction
from streams.fold import UserState
from tests.agents.record import PUBLISHED_MS, Record, batch

MS = timedelta(milliseconds=1)
LATENESS_MS = PIPELINE.allowed_lateness // MS
HORIZON_MS = PIPELINE.label.horizon // MS
NOON_MS = 1_704_110_400_000
MINUTE_MS = 60_000
N_SHOP_EVENTS = 300
PLAN = PredictPlan(PIPELINE, Metrics(), lambda topic: topic.name)
SHOP_EVENTS = event_file.read(
    Path("examples/shop/clickstream.csv.gz"), ShopEvent, {"action": "event", "ts": "timestamp"}
)[:N_SHOP_EVENTS]

decode_outcome = msgspec.msgpack.Decoder(Outcome).decode
decode_prediction = msgspec.json.Decoder(Prediction, strict=True).decode


class FakeScorer:
    """Scores that change with every bit of every feature."""

    degraded_reason: str | None = None

    def __init__(self, n_learned: int = 10_000) -> None:
        self.n_learned = n_learned

    def score(self, features: dict[str, float]) -> float:
        return math.fmod(sum(n * abs(x) for n, x in enumerate(features.values(), start=3)), 1.0)


class Told(FakeScorer):
    """Scores as told."""

    level = 0.2

    def score(self, features: dict[str, float]) -> float:
        self.level = math.fmod(self.level + 0.0618034, 0.1) + 0.1 * (self.level // 0.1)
        return self.level


def served(scorer: object, name: str = PIPELINE.champion, version: int = 7) -> dict[str, Served]:
    return {name: Served(name, version, 0, cast(Scorer, scorer))}


SERVING = served(FakeScorer())


class Run:
    """A partition, and by topic what it caused."""

    def __init__(
        self, changelog: Iterable[tuple[bytes, bytes | None]] = (), serving: Any = SERVING
    ) -> None:
        self.partition = Partition(0, PLAN)
        for key, value in changelog:
            self.partition.restore(key, value)
        self.partition.complete()
        self.serving = serving
        self.by_topic: defaultdict[str, list[Output]] = defaultdict(list)
        self.of_last_batch: list[Output] = []

    def events(self, records: Sequence[Record], now_ms: int = PUBLISHED_MS) -> "Run":
        step = batch(records)
        self.partition.process_events(step, self.serving, now_ms)
        return self._took(step.outputs)

    def labels(self, *labels: dict[str, Any]) -> "Run":
        step = batch([label(offset=n, **each) for n, each in enumerate(labels)], topic="labels")
        self.partition.process_labels(step, PUBLISHED_MS)
        return self._took(step.outputs)

    def _took(self, outputs: list[Output]) -> "Run":
        self.of_last_batch = outputs
        for output in outputs:
            self.by_topic[output.topic].append(output)
        return self

    @property
    def predictions(self) -> list[Prediction]:
        return [decode_prediction(output.value or b"") for output in self.by_topic["predictions"]]

    @property
    def outcomes(self) -> list[Outcome]:
        return [decode_outcome(output.value or b"") for output in self.by_topic["outcomes"]]

    @property
    def labelled(self) -> dict[str, bool]:
        assert len({outcome.prediction_id for outcome in self.outcomes}) == len(self.outcomes)
        return {outcome.prediction_id.partition(":")[2]: outcome.label for outcome in self.outcomes}

    @property
    def alerts(self) -> list[Alert]:
        return [
            msgspec.json.decode(output.value or b"", type=Alert)
            for output in self.by_topic["alerts"]
        ]

    @property
    def feature_updates(self) -> list[dict[str, Any]]:
        return [
            msgspec.json.decode(output.value or b"") for output in self.by_topic["feature-updates"]
        ]

    def compacted(self) -> list[tuple[bytes, bytes | None]]:
        """The changelog as a compacted topic keeps it: the last record of each key, in order."""
        newest: dict[bytes, bytes | None] = {}
        for output in self.by_topic["predict-state"]:
            assert output.key is not None
            newest.pop(output.key, None)
            newest[output.key] = output.value
        return list(newest.items())

    def table(self, prefix: bytes) -> dict[bytes, bytes]:
        return {
            key: value
            for key, value in self.compacted()
            if value is not None and key.startswith(prefix)
        }


def event(
    event_id: str | None = None,
    at_ms: int = NOON_MS,
    user: str = "ada",
    action: str = "home",
    *,
    offset: int = 0,
    headers: Any = None,
) -> Record:
    fields = {"user_id": user, "action": action, "ts": at_ms}
    if event_id is not None:
        fields["event_id"] = event_id
    return Record(msgspec.json.encode(fields), user.encode(), offset=offset, headers=headers)


def label(*, offset: int = 0, user: str = "ada", **fields: Any) -> Record:
    value = {"user_id": user, "ts": NOON_MS, **fields}
    return Record(msgspec.json.encode(value), user.encode(), offset=offset)


# ---- bad input, from the list that the system promises to live through --------------------------

EVENT = {"user_id": "u", "action": "home", "ts": NOON_MS}


def json(**changes: object) -> bytes:
    return msgspec.json.encode({k: v for k, v in (EVENT | changes).items() if v is not None})


GARBAGE = {
    "no value": (b"u", None, "empty"),
    "empty value": (b"u", b"", "empty"),
    "null key": (None, json(), "null_key"),
    "foreign key": (b"another", json(), "key_mismatch"),
    "not UTF-8": (b"u", b'{"user_id": "u\xff"}', "not_utf8"),
    "truncated": (b"u", json()[:-9], "not_json"),
    "no user": (b"u", json(user_id=None), "missing_field"),
    "empty user": (b"", json(user_id=""), "invalid_field"),
    "unknown action": (b"u", json(action="teleport"), "unknown_action"),
    "far future": (b"u", json(ts=PUBLISHED_MS + 301_000), "future_ts"),
    "negative time": (b"u", json(ts=-1), "negative_ts"),
    "time without meaning": (b"u", json(ts="yesterday"), "invalid_field"),
    "1 MB": (b"u", json(item_id="x" * (1 << 20)), "too_large"),
    "nested too deep": (b"u", b"[" * 100_000, "not_json"),
    "not an object": (b"u", b"[1, 2]", "invalid_field"),
}


@pytest.mark.parametrize("bad", GARBAGE)
def test_each_kind_of_bad_input_is_set_aside_for_its_reason_and_nothing_else_happens(
    bad: str,
) -> None:
    key, value, reason = GARBAGE[bad]
    run = Run().events([Record(value, key, offset=41), event("e1", offset=42)])
    (letter,) = run.by_topic["dead-letters"]
    headers = dict(letter.headers or ())

    assert (letter.key, letter.value) == (key, value)
    assert headers.pop(dead_letters.REASON) == reason.encode()
    assert headers.pop(dead_letters.MESSAGE) != b""
    assert headers == {
        "__streams.errors.exception": b"InvalidRecord",
        "__streams.errors.topic": b"user-events",
        "__streams.errors.partition": b"0",
        "__streams.errors.offset": b"41",
    }
    assert [prediction.event_id for prediction in run.predictions] == ["e1"]
    assert [update["user_id"] for update in run.feature_updates] == ["ada"]


def test_a_bad_label_is_set_aside_too() -> None:
    step = batch([Record(b'{"user_id": "u", "label": true, "ts": 0}')], topic="labels")
    Run().partition.process_labels(step, PUBLISHED_MS)
    letters = [output for output in step.outputs if output.topic == "dead-letters"]

    assert [dict(letter.headers or ())["reason"] for letter in letters] == [b"missing_field"]
    assert dict(letters[0].headers or ())["__streams.errors.topic"] == b"labels"


# ---- the shop's history, with everything in it that can go wrong --------------------------------


class Expected(NamedTuple):
    """A record, and what must come of it: a reason, `duplicate`, or the id of its prediction."""

    record: Record
    fate: str
    event_id: str = ""
    ts: int = 0


def messy(seed: int) -> list[Expected]:
    """The shop's first events with garbage, duplicates, unnamed and out-of-order ones."""
    rng = random.Random(seed)
    values = [
        (each, msgspec.json.decode(each.value))
        for _, each in sorted(
            # Some events come up to a dozen others too late.
            enumerate(SHOP_EVENTS),
            key=lambda item: item[0] + (rng.random() < 0.1) * rng.randrange(12),
        )
    ]
    stream: list[Expected] = []
    for shop_event, value in values:
        kind = rng.random()
        offset = len(stream)
        if kind < 0.1:  # unnamed
            del value["event_id"]
            event_id = f"user-events-0-{offset}"
        else:
            event_id = shop_event.event_id
        raw = msgspec.json.encode(value)
        record = Record(raw, shop_event.key, offset=offset)
        stream.append(Expected(record, "predicted", event_id, shop_event.ts))
        if kind > 0.9:
            key, garbage, reason = GARBAGE[rng.choice(list(GARBAGE))]
            stream.append(Expected(Record(garbage, key, offset=len(stream)), reason))
        elif kind > 0.8:
            before = rng.choice(stream[-20:])
            if before.event_id and not before.event_id.startswith("user-events"):
                again = Record(before.record.value(), before.record.key(), offset=len(stream))
                stream.append(Expected(again, "duplicate"))
    return stream


def cut(stream: Sequence[Expected], cuts: Iterable[int]) -> list[list[Record]]:
    records = [each.record for each in stream]
    ends = [*sorted({at % len(records) for at in cuts} - {0}), len(records)]
    return [records[start:end] for start, end in zip([0, *ends], ends, strict=False)]


seeds = st.integers(0, 1 << 16)
cuts_of = st.lists(st.integers(0, 10_000), max_size=30)


@settings(max_examples=25, deadline=None)
@given(seed=seeds)
def test_every_new_valid_event_gives_one_prediction_every_invalid_record_one_dead_letter(
    seed: int,
) -> None:
    stream = messy(seed)
    run = Run()
    for records in cut(stream, range(0, 10_000, 37)):
        run.events(records)
    letters = run.by_topic["dead-letters"]

    predicted = [each for each in stream if each.fate == "predicted"]
    assert [prediction.event_id for prediction in run.predictions] == [
        each.event_id for each in predicted
    ]
    assert [prediction.event_at for prediction in run.predictions] == [each.ts for each in predicted]
    assert [(letter.key, letter.value, dict(letter.headers or ())["reason"]) for letter in letters] == [
        (each.record.key(), each.record.value(), each.fate.encode())
        for each in stream
        if each.fate not in ("predicted", "duplicate")
    ]


@settings(max_examples=25, deadline=None)
@given(seed=seeds)
def test_late_is_what_the_newest_event_before_it_left_behind_by_more_than_allowed(
    seed: int,
) -> None:
    stream = [each for each in messy(seed) if each.fate == "predicted"]
    newest_ms, late = 0, []
    for each in stream:
        late.append(["late"] if each.ts < newest_ms - LATENESS_MS else [])
        newest_ms = max(newest_ms, each.ts)
    run = Run().events([each.record for each in stream])

    assert [prediction.degraded for prediction in run.predictions] == late


@settings(max_examples=40, deadline=None)
@given(seed=seeds, cuts=cuts_of)
def test_however_events_are_cut_into_batches_the_same_comes_of_them(
    seed: int, cuts: list[int]
) -> None:
    stream = messy(seed)
    whole, parts = Run(), Run()
    whole.events([each.record for each in stream])
    for records in cut(stream, cuts):
        parts.events(records)

    for topic in ("predictions", "dead-letters", "alerts"):
        assert parts.by_topic[topic] == whole.by_topic[topic]
    # Negative outcomes are told when a batch ends, so only their order depends on the cuts.
    assert sorted(parts.outcomes, key=str) == sorted(whole.outcomes, key=str)
    assert {True, False} == {outcome.label for outcome in whole.outcomes}
    latest = {update["user_id"]: update for update in parts.feature_updates}
    assert latest == {update["user_id"]: update for update in whole.feature_updates}
    for table in (b"u", b"p", b"w", b"s"):
        assert parts.table(table) == whole.table(table)
    recent = {
        each.event_id
        for each in stream
        if each.fate == "predicted"
        and not each.event_id.startswith("user-events")
        and each.ts > SHOP_EVENTS[-1].ts - PIPELINE.deduplication // MS
    }
    for run in (whole, parts):
        remembered = {
            event_id
            for segment in run.table(b"d").values()
            for event_id in msgspec.msgpack.decode(segment)[1]
        }
        assert recent <= remembered


@settings(max_examples=40, deadline=None)
@given(seed=seeds, cuts=cuts_of, data=st.data())
def test_a_partition_rebuilt_from_its_changelog_goes_on_as_if_nothing_had_happened(
    seed: int, cuts: list[int], data: st.DataObject
) -> None:
    stream = messy(seed)
    batches = cut(stream, cuts)
    rebuilt_after = data.draw(st.integers(0, len(batches) - 1), label="rebuilt after")
    with_labels = data.draw(st.booleans(), label="with labels")
    run = Run()
    successor: Run | None = None
    for n, records in enumerate(batches):
        if n == rebuilt_after:
            successor = Run(run.compacted())
        named = [msgspec.json.decode(r.value() or b"") for r in records[:3] if r.key() == b"ada"]
        for each in (run, successor):
            if each is None:
                continue
            each.events(records)
            if with_labels:
                first = each.predictions[-1] if each.predictions else None
                if first is not None:
                    each.labels(
                        {"event_id": first.event_id, "user": first.user_id, "label": bool(n % 2)}
                    )
        assert not named
        if successor is not None:
            assert successor.of_last_batch == run.of_last_batch
    assert successor is not None
    for topic, outputs in successor.by_topic.items():
        assert outputs == run.by_topic[topic][len(run.by_topic[topic]) - len(outputs) :]
    assert successor.partition.entries() == run.partition.entries()
