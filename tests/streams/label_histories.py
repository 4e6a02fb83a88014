"""Histories of events and labels, and a partition that lives through them."""

from datetime import timedelta
from typing import Any, Literal, NamedTuple

from hypothesis import strategies as st

from schemas.labels import Label, LabelValue
from schemas.outcomes import Outcome
from streams.early_labels import early_labels_table
from streams.label_join import LabelJoin
from streams.label_rule import LabelRule, happens_within, reported_within
from streams.pending import Pending, pack_features, pending_table
from streams.positives import positives_table
from streams.revisions import settled_table
from streams.state import Change, PartitionState
from streams.told_values import told_values_table
from streams.watermark import Watermark

MS = timedelta(milliseconds=1)
HORIZON_MS = 30
FOREVER = 1 << 60
RULE = happens_within("buy", HORIZON_MS * MS)
REPORTED = reported_within(HORIZON_MS * MS)
RIPE = happens_within("buy", HORIZON_MS * MS, positive="at_maturity")
RIPE_REPORTED = reported_within(HORIZON_MS * MS, positive="at_maturity")


class Event(NamedTuple):
    """What happens to a user, and how much later than it happened it arrives."""

    user: str
    at_ms: int
    action: str
    delay_ms: int = 0
    then: Literal["", "batch ends", "batch is undone", "worker dies"] = ""
    value: object = None
    """Of the field that a rule names."""


class Partition:
    """A label join with its tables, as an agent holds it."""

    def __init__(
        self,
        capacity: int = 1_000,
        changelog: list[Change] | None = None,
        rule: LabelRule = RULE,
    ) -> None:
        tables = pending_table(), positives_table(), early_labels_table(), settled_table()
        told = told_values_table()
        self.state = PartitionState((*tables, told))
        for key, value in changelog or []:
            self.state.restore(key, value)
        self.rule = rule
        self.join = LabelJoin(rule, *tables, told=told, capacity=capacity)
        self.outcomes: list[Outcome] = []

    def arrive(self, prediction_id: str, event: Event) -> None:
        self.outcomes += self.join.observe(event.user, event.action, event.at_ms, event.value)
        self.enrol(prediction_id, event.user, event.at_ms)

    def take_in(self, prediction_id: str, arrival: "Event | Label") -> None:
        if isinstance(arrival, Label):
            outcome = self.join.label(arrival)
            self.outcomes += [] if outcome is None else [outcome]
        else:
            self.arrive(prediction_id, arrival)

    def enrol(self, prediction_id: str, user: str, at_ms: int) -> None:
        outcome = self.join.enrol(pending(prediction_id, user, at_ms, self.rule.target))
        self.outcomes += [] if outcome is None else [outcome]

    @property
    def labels(self) -> dict[str, Any]:
        assert len({o.prediction_id for o in self.outcomes}) == len(self.outcomes)
        return {outcome.prediction_id: outcome.label for outcome in self.outcomes}


def pending(
    prediction_id: str, user: str = "u", at_ms: int = 0, target: str = RULE.target
) -> Pending:
    return Pending(
        prediction_id,
        event_id=f"event of {prediction_id}",
        use_case="test",
        user_id=user,
        event_at=at_ms,
        score=0.25,
        model="m_v1",
        model_version=3,
        schema="5ca1ab1e",
        features=pack_features([0.1, at_ms]),
        target=target,
    )


LATENESS_MS = 20

EVENTS = st.lists(
    st.builds(
        Event,
        user=st.sampled_from("ab"),
        at_ms=st.integers(100, 250),
        action=st.sampled_from(["buy", "view", "view"]),
        delay_ms=st.integers(0, LATENESS_MS),
        then=st.sampled_from(["", "batch ends", "batch is undone", "worker dies"]),
    ),
    max_size=40,
)


class Answered(NamedTuple):
    """An event, and labels of it: when each arrives, after its event or before it."""

    event: Event
    labels: list[tuple[int, bool]]
    by_event: bool


ANSWERED = st.lists(
    st.builds(
        Answered,
        event=st.builds(
            Event,
            user=st.sampled_from("ab"),
            at_ms=st.integers(100, 250),
            action=st.just("view"),
            delay_ms=st.integers(0, LATENESS_MS),
            then=st.sampled_from(["", "batch ends", "batch is undone", "worker dies"]),
        ),
        labels=st.lists(st.tuples(st.integers(-99, HORIZON_MS), st.booleans()), max_size=3),
        by_event=st.booleans(),
    ),
    max_size=30,
)

Arrival = tuple[int, str, Event | Label]
"""When a record arrives, the prediction it is about, and the record."""


def played(rule: LabelRule, arrivals: list[Arrival]) -> tuple[Partition, list[Change]]:
    """Let records arrive, with batches that end, are undone, or die, until all is resolved."""
    arrivals = sorted(arrivals, key=lambda arrival: arrival[0])
    partition, watermark = Partition(rule=rule), Watermark(LATENESS_MS * MS)
    changelog: list[Change] = []
    outcomes: list[Outcome] = []
    batch: list[tuple[str, Event]] = []

    def end_batch() -> None:
        partition.outcomes += partition.join.advance(watermark.at_ms)
        outcomes.extend(partition.outcomes)
        partition.outcomes.clear()
        changelog.extend(partition.state.changes())
        batch.clear()

    def undo() -> None:
        partition.join.undo()
        partition.outcomes.clear()

    for _, name, arrival in arrivals:
        if isinstance(arrival, Label):  # of another topic, hence of another batch
            end_batch()
            partition.take_in(name, arrival)
            undo()
            partition.take_in(name, arrival)
            end_batch()
            continue
        batch.append((name, arrival))
        partition.take_in(name, arrival)
        watermark.advance(arrival.at_ms)
        if arrival.then == "batch is undone":
            undo()
            for before, again in batch:
                partition.take_in(before, again)
        if arrival.then:
            end_batch()
        if arrival.then == "worker dies":
            partition = Partition(changelog=changelog, rule=rule)
    end_batch()
    partition.outcomes = outcomes + partition.outcomes + partition.join.advance(FOREVER)
    changelog += partition.state.changes()
    return partition, changelog


class Said(NamedTuple):
    """A label, when it was said after its event, and how much later it arrives."""

    after_ms: int
    value: LabelValue
    delay_ms: int
    by_event: bool


SAID = st.lists(
    st.tuples(
        st.builds(
            Event,
            user=st.sampled_from("ab"),
            at_ms=st.integers(100, 250),
            action=st.sampled_from(["buy", "view", "view"]),
            delay_ms=st.integers(0, LATENESS_MS),
            then=st.sampled_from(["", "batch ends", "batch is undone", "worker dies"]),
        ),
        st.lists(
            st.builds(
                Said,
                st.integers(-HORIZON_MS, 2 * HORIZON_MS),
                st.booleans(),
                st.integers(0, LATENESS_MS),
                st.booleans(),
            ),
            max_size=4,
        ),
    ),
    max_size=25,
)


def records_of(said: list[tuple[Event, list[Said]]]) -> list[Arrival]:
    arrivals: list[Arrival] = []
    for n, (event, labels) in enumerate(said):
        arrivals.append((event.at_ms + event.delay_ms, str(n), event))
        for after_ms, value, delay_ms, by_event in labels:
            named = {"event_id": f"event of {n}"} if by_event else {"prediction_id": str(n)}
            at_ms = event.at_ms + after_ms
            arrivals.append((at_ms + delay_ms, str(n), Label(event.user, value, at_ms, **named)))
    return arrivals
