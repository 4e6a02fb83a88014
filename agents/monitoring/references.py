"""What signals are held against: read it, and choose other days for it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec
from confluent_kafka import Producer

from agents.admin import topic_reader
from agents.kafka.client_settings import KafkaSettings
from agents.monitoring.drift_view import GRACE_MS, decoded
from agents.monitoring.reference_feed import take
from agents.monitoring.shift_alert import date_of
from agents.monitoring.sketch_fold import DAY_MS
from agents.settings import Settings
from online_models.sketch import Sketch, UnreadableSketch
from online_models.sketch_comparison import MIN_USERS
from schemas import topics
from schemas.errors import DeliveryFailed, ThalwegError
from schemas.sketches import SketchMinute, SketchReference

TIMEOUT_S: Final = 5.0


class NoReference(ThalwegError, ValueError):
    """Days that nothing can be held against."""


class Chosen(NamedTuple):
    """What days give."""

    references: list[SketchReference]
    left_out: list[str]
    """Signals that too few users had."""


def read(settings: Settings) -> dict[bytes, SketchReference]:
    """Read the references that are kept, by key.

    Raises
    ------
    DeliveryFailed
        The broker cannot be reached, or has no such topic.
    """
    found: dict[bytes, SketchReference] = {}
    topic = topics.SKETCH_REFERENCES.named(settings.topic_prefix)
    for message in topic_reader.read_to_end(settings, topic):
        take(found, message.key(), message.value())
    return found


def choose(
    records: Iterable[SketchMinute],
    first_day: int,
    last_day: int,
    *,
    use_case: str,
    at_ms: int,
    by: str,
    why: str,
    signal: str | None = None,
) -> Chosen:
    """Make references of some days; they hold for the days that are not over yet.

    Parameters
    ----------
    records
        Of the use case, from the first day on, later ones too.
    first_day, last_day
        Since the epoch, both included.
    signal
        For this one alone.

    Raises
    ------
    NoReference
        The days are not over, or nobody came on them.
    """
    if last_day < first_day:
        raise NoReference(f"{date_of(last_day)} is before {date_of(first_day)}")
    sums: dict[tuple[str, str], Sketch] = {}
    newest_ms = 0
    for record in records:
        newest_ms = max(newest_ms, record.event_at)
        if first_day <= record.event_at // DAY_MS <= last_day:
            for found, sketch in _decoded(record).items():
                if signal in (None, found):
                    name = (found, record.model)
                    sums[name] = sums[name] + sketch if name in sums else sketch
    over = (newest_ms - GRACE_MS) // DAY_MS - 1
    span = f"{date_of(first_day)} to {date_of(last_day)}"
    if not sums:
        whose = "" if signal is None else f" of `{signal}`"
        raise NoReference(
            f"no sketches{whose} from {span}: the topic keeps them for 30 days, and `archive` for"
            " ever"
        )
    if last_day > over:
        raise NoReference(f"{span}: the last day that is over in event time is {date_of(over)}")
    enough = {name: each for name, each in sums.items() if each.effective_n >= MIN_USERS}
    if not enough:
        raise NoReference(f"{span}: no signal has {MIN_USERS} users")
    return Chosen(
        [
            SketchReference(
                use_case=use_case,
                model=model,
                signal=name,
                sketch=sketch.encode(),
                first_day=first_day,
                last_day=last_day,
                after_day=over,
                at=at_ms,
                by=by,
                why=why,
            )
            for (name, model), sketch in enough.items()
        ],
        sorted(
            f"{name} of {model}" if model else name for name, model in sums.keys() - enough.keys()
        ),
    )


def publish(settings: Settings, references: Sequence[SketchReference]) -> None:
    """Let references hold.

    Raises
    ------
    DeliveryFailed
        The broker does not take all of them in time: some may hold, so do it again.
    """
    topic = topics.SKETCH_REFERENCES.named(settings.topic_prefix)
    kafka = KafkaSettings(
        bootstrap=settings.kafka_bootstrap, group=f"{settings.topic_prefix}references"
    )
    # Silent: what goes wrong is told once, by the error.
    quiet = {"message.timeout.ms": int(TIMEOUT_S * 1_000), "log_level": 0}
    producer = Producer({**kafka.producer(), **quiet})
    taken = 0

    def note(error: object, _: object) -> None:
        nonlocal taken
        taken += error is None

    for each in references:
        producer.produce(topic, msgspec.json.encode(each), each.key, 0, on_delivery=note)
    producer.flush(2 * TIMEOUT_S)
    if taken < len(references):
        raise DeliveryFailed(f"{topic} took {taken} of {len(references)} references: do it again")


def as_row(reference: SketchReference) -> Mapping[str, object]:
    """Tell a reference for programs."""
    return {
        "signal": reference.signal,
        "model": reference.model,
        "from": date_of(reference.first_day),
        "to": date_of(reference.last_day),
        "held_against_after": date_of(reference.after_day),
        "users": round(Sketch.decode(reference.sketch).effective_n),
        "by": reference.by,
        "why": reference.why,
        "at": reference.at,
    }


def _decoded(record: SketchMinute) -> dict[str, Sketch]:
    try:
        return decoded(record)
    except UnreadableSketch as error:
        raise NoReference(f"a sketch of {date_of(record.event_at // DAY_MS)}: {error}") from error
