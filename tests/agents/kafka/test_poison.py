"""What ordinary agents cannot process is set aside alone, if the app says where."""

import asyncio
import signal
from typing import Any

import pytest
from faust.exceptions import ValueDecodeError
from faust.types.tuples import TP
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.kafka.app import STATELESS_ATTEMPTS, App, KafkaSettings
from agents.kafka.log_reader import read_to_end
from agents.testing import AppDriver
from schemas import dead_letters
from schemas.errors import TooManyDeadLetters
from tests.agents.kafka import counting_app

KAFKA = KafkaSettings(bootstrap="127.0.0.1:1", group="test")
BAD = b'{"price": 7, "n"'


class Line:
    """An agent that forwards numbers, and what makes it fail."""

    def __init__(self, **settings: Any) -> None:
        self.attempts: list[Any] = []
        self.failures: dict[Any, Exception] = {}
        self.app = app = App("test", KAFKA, **settings)

        @app.agent(app.topic("numbers"))
        async def forward(stream):
            async for number in stream:
                self.attempts.append(number)
                await app.send("seen", value=number)
                if number in self.failures:
                    raise self.failures[number]
                yield number

    def run(self, *values: Any) -> AppDriver:
        with AppDriver(self.app) as driver:
            for value in values:
                driver.append("numbers", value, key=b"ada", headers={"from": b"here"})
            driver.process()
        return driver


def read(driver: AppDriver, topic: str) -> list[bytes | None]:
    return [record.value() for record in driver.read(topic)]


def test_what_cannot_be_decoded_is_set_aside_with_its_bytes_and_the_reason():
    driver = Line(dead_letters="letters").run(1, BAD, 2)
    (letter,) = driver.read("letters")
    headers = dict(letter.headers() or ())

    assert read(driver, "seen") == [b"1", b"2"]
    assert driver.committed("numbers") == 3
    assert (letter.key(), letter.value()) == (b"ada", BAD)
    assert dead_letters.original_headers(letter.headers() or ()) == [("from", b"here")]
    assert headers[dead_letters.REASON] == b"not_decodable"
    assert headers[dead_letters.EXCEPTION] == b"JSONDecodeError"
    assert headers[dead_letters.TOPIC] == b"numbers"
    assert (headers[dead_letters.PARTITION], headers[dead_letters.OFFSET]) == (b"0", b"1")


def test_what_raises_is_set_aside_once_its_attempts_are_used_up():
    line = Line(dead_letters="letters")
    line.failures = {2: KeyError("price"), 4: ValueError("no luck")}
    driver = line.run(1, 2, 3, 4)
    why = [dict(letter.headers() or ()) for letter in driver.read("letters")]

    assert read(driver, "seen") == [b"1", b"3"]
    assert read(driver, "letters") == [b"2", b"4"]
    assert [each[dead_letters.REASON] for each in why] == [b"processing_failed"] * 2
    assert [each[dead_letters.EXCEPTION] for each in why] == [b"KeyError", b"ValueError"]
    assert [line.attempts.count(n) for n in (2, 4)] == [STATELESS_ATTEMPTS] * 2


def test_what_may_heal_is_not_set_aside():
    line = Line(dead_letters="letters")
    line.failures = {2: ConnectionRefusedError("nobody is there")}
    with pytest.raises(ConnectionRefusedError):
        line.run(1, 2)

    assert line.attempts.count(2) == STATELESS_ATTEMPTS


def test_without_a_topic_for_it_the_error_says_how_to_set_aside(caplog):
    with pytest.raises(ValueDecodeError):
        Line().run(BAD)

    assert 'App(..., dead_letters="topic")' in caplog.text


def test_too_much_that_is_set_aside_ends_the_worker():
    with pytest.raises(TooManyDeadLetters, match=r"offset 1 .* raise dead_letter_limit of the App"):
        Line(dead_letters="letters", dead_letter_limit=0.0015).run(BAD, BAD, BAD)


def test_a_record_that_two_agents_cannot_decode_has_one_letter():
    app = App("test", KAFKA, dead_letters="letters")

    @app.agent(app.topic("numbers"))
    async def one(stream):
        async for number in stream:
            yield number

    @app.agent(app.topic("numbers"))
    async def other(stream):
        async for number in stream:
            yield number

    with AppDriver(app) as driver:
        driver.publish("numbers", BAD)

    assert read(driver, "letters") == [BAD]


def test_with_keyed_state_what_raises_is_not_set_aside_and_what_cannot_be_decoded_is():
    counts = counting_app.Counts("state")
    app = App("test", KAFKA, keyed_state=counts, dead_letters="letters")

    @app.agent(app.topic("numbers"))
    async def fail(stream):
        async for number in stream:
            await asyncio.sleep(0)
            if number:
                raise ValueError("no luck")
            yield number

    with AppDriver(app) as driver:
        driver.publish("numbers", BAD)
        assert driver.committed("numbers") == 1
        with pytest.raises(ValueError, match="no luck"):
            driver.publish("numbers", 1)

        assert driver.committed("numbers") == 1
    assert read(driver, "letters") == [BAD]


_numbers = st.lists(st.sampled_from([0, 1, 2, 3, None]), min_size=1, max_size=12)


@settings(deadline=None, max_examples=50)
@given(_numbers, st.sets(st.sampled_from([1, 2]), max_size=2))
def test_everything_else_passes_in_order_as_if_poison_had_not_been_there(numbers, poisonous):
    line = Line(dead_letters="letters", dead_letter_limit=1.0)
    line.failures = {number: ValueError("no luck") for number in poisonous}
    values = [BAD if number is None else b"%d" % number for number in numbers]
    driver = line.run(*values)
    poison = {BAD, *(b"%d" % number for number in poisonous)}

    assert read(driver, "seen") == [value for value in values if value not in poison]
    assert read(driver, "letters") == [value for value in values if value in poison]
    assert driver.committed("numbers") == len(values)


@pytest.mark.integration
def test_on_a_broker_letters_commit_with_their_batch_and_the_worker_lives_on(bench):
    bench.create("orders", "doubled", "totals", "cheap", "letters", partitions=1)
    counted = bench.reader()
    worker = bench.start(app="ordinary_app", dead_letters="letters", failures=99, max_attempts=2)
    for value in (b"1", BAD, b"13", b"2"):
        bench.producer.produce(f"{bench.prefix}events", value, b"key")
    assert bench.producer.flush(30) == 0
    counted.wait_for(2)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0
    member = KafkaSettings(bootstrap=bench.bootstrap, group=bench.prefix)
    letters = [value for _, _, value in read_to_end(member, TP(f"{bench.prefix}letters", 0))]
    counted.poll()

    assert letters == [BAD, b"13"]
    assert dict(counted.times_seen) == {1: 1, 2: 1}
