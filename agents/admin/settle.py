"""Settle dead letters: publish them again, or drop them; each at most once, whoever else tries.

A record that goes back and the note that it did are in one transaction. All who settle share one
transactional id, so that one who begins ends another's open transaction, and then reads
which letters that one has settled.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Final

import msgspec
from confluent_kafka import KafkaException, Producer

from agents.admin import set_aside
from agents.admin.set_aside import DeadLetter
from agents.kafka.batch import Output
from agents.kafka.client_settings import KafkaSettings
from agents.kafka.initialise import initialise
from agents.kafka.publish import publish
from agents.settings import Settings
from schemas import dead_letters, topics
from schemas.dead_letters import Fate, Headers, Verdict
from schemas.errors import DeliveryFailed, ThalwegError

CHUNK: Final = 1_000
"""Letters in one transaction."""
TIMEOUT_S: Final = 30.0

_encode = msgspec.json.Encoder().encode


def settle(
    settings: Settings, letters: Sequence[DeadLetter], verdict: Verdict, *, by: str = ""
) -> Iterator[int]:
    """Settle dead letters; yield how many, transaction by transaction.

    Those that were settled since they were read are left alone.

    Parameters
    ----------
    verdict
        `retried` publishes each to the partition it came from, `dropped` only notes it.
    by
        Who decides, for who looks at it later.

    Raises
    ------
    ThalwegError
        Nothing was done: a letter does not say where it came from.
    DeliveryFailed
        The broker did not take a transaction; what was yielded before is done.
    """
    outputs = {letter.offset: _outputs(settings, letter, verdict, by) for letter in letters}
    for start in range(0, len(letters), CHUNK):
        try:
            yield _settle_open(settings, letters[start : start + CHUNK], outputs)
        except KafkaException as exception:
            raise DeliveryFailed(
                f"{exception.args[0].str()}; is another `thalweg dead-letters` at work? Try again:"
                " what is settled stays so, and nothing is settled twice"
            ) from exception


def _settle_open(
    settings: Settings, letters: Iterable[DeadLetter], outputs: Mapping[int, Sequence[Output]]
) -> int:
    kafka = KafkaSettings(
        bootstrap=settings.kafka_bootstrap, group=f"{settings.topic_prefix}dead-letters"
    )
    # Silent: what goes wrong is told once, by the error. A producer for each transaction: what an
    # earlier one has still under way cannot end a later one's (see `agents.kafka.exactly_once`).
    producer = Producer({**kafka.transactional_producer(0), "log_level": 0})
    initialise(producer, TIMEOUT_S)
    # Only now: whoever was before us can settle nothing any more.
    known = set_aside.fates(settings)
    open_letters = [x for x in letters if set_aside.fate_of(x.offset, x.at, known) is None]
    if open_letters:
        producer.begin_transaction()
        try:
            caused = (output for letter in open_letters for output in outputs[letter.offset])
            publish(producer, caused, partial(_flush, producer))
            producer.commit_transaction(TIMEOUT_S)
        except DeliveryFailed:
            producer.abort_transaction(TIMEOUT_S)  # else its readers would have to wait
            raise
        except KafkaException as exception:
            if exception.args[0].txn_requires_abort():
                producer.abort_transaction(TIMEOUT_S)
            raise
    return len(open_letters)


def _flush(producer: Producer) -> None:
    if n_left := producer.flush(TIMEOUT_S):
        raise DeliveryFailed(f"{n_left} records undelivered after {TIMEOUT_S:.0f} s")


def _outputs(settings: Settings, letter: DeadLetter, verdict: Verdict, by: str) -> list[Output]:
    fates = topics.DEAD_LETTER_FATES.named(settings.topic_prefix)
    fate = Fate(verdict, at=time.time_ns() // 1_000_000, letter_at=letter.at, by=by)
    note = Output(fates, _encode(fate), str(letter.offset).encode(), -1, None)
    if verdict == "dropped":
        return [note]
    ours = {topic.named(settings.topic_prefix) for topic in topics.ALL}
    if letter.topic not in ours or not letter.partition.isdigit():
        raise ThalwegError(
            f"dead letter {letter.offset} came from `{letter.topic}`, partition {letter.partition},"
            " which is no topic of this environment: it can only be dropped"
        )
    again = Output(
        letter.topic, letter.value, letter.key, int(letter.partition), _headers_again(letter)
    )
    return [again, note]


def _headers_again(letter: DeadLetter) -> Headers:
    kept = [pair for pair in letter.headers if pair[0] != dead_letters.RETRIES]
    return [*kept, (dead_letters.RETRIES, str(letter.n_retries + 1).encode())]
