"""What a test may rely on when it drives an app's agents, and what agents keep over any crash."""

import asyncio
import json
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import faust
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.kafka.app import App, Batch, KafkaSettings
from agents.testing import AppDriver, MemoryRecord
from schemas.errors import DeliveryFailed
from tests.agents.kafka import counting_app

SECOND = timedelta(seconds=1)
KAFKA = KafkaSettings(bootstrap="127.0.0.1:1", group="test")


def values(records: list[MemoryRecord]) -> list[bytes | None]:
    return [record.value() for record in records]


@pytest.fixture
def app() -> App:
    return App("test", KAFKA)


@pytest.fixture
def drive():
    """Make drivers that end with the test."""
    made: list[AppDriver] = []

    def make(app: App, **settings: Any) -> AppDriver:
        made.append(AppDriver(app, **settings))
        return made[-1]

    yield make
    for driver in made:
        driver.close()


class Order(faust.Record):
    price: int
    n: int


def test_a_record_is_as_good_as_its_bytes(app, drive):
    orders = app.topic("orders", key_type=str, value_type=Order)
    totals = app.topic("totals", key_type=str, value_type=int)

    @app.agent(orders)
    async def total(stream):
        async for key, order in stream.items():
            await totals.send(key=key, value=order.price * order.n)
            yield order

    driver = drive(app)
    driver.publish(orders, Order(price=7, n=3), key="ada")
    driver.publish("orders", {"price": 2, "n": 2}, key="ada")
    driver.publish("orders", b'{"price": 1, "n": 1}', key=b"bob")

    assert [(x.key(), x.value()) for x in driver.read(totals)] == [
        (b"ada", b"21"),
        (b"ada", b"4"),
        (b"bob", b"1"),
    ]


def test_agents_see_partition_timestamp_and_headers_of_a_record(app, drive):
    seen = []

    @app.agent(app.topic("events"))
    async def look(stream):
        async for event in stream.events():
            message = event.message
            seen.append((message.partition, message.timestamp, event.headers["from"]))
            yield event

    driver = drive(app, partitions=4)
    driver.publish("events", 1, partition=3, timestamp_ms=1_500, headers={"from": b"here"})

    assert seen == [(3, 1.5, b"here")]


def test_what_agents_send_to_each_other_is_processed_before_publish_returns(app, drive):
    doubled = app.topic("doubled", value_type=int)
    added = app.topic("added", value_type=int)

    @app.agent(app.topic("numbers", value_type=int))
    async def double(stream):
        async for number in stream:
            await add.cast(2 * number)
            yield number

    @app.agent(doubled, sink=[added])
    async def add(stream):
        async for number in stream:
            yield number + 1

    driver = drive(app)
    driver.publish("numbers", 20)
    driver.run(add.cast(1))

    assert values(driver.read(added)) == [b"41", b"2"]


def test_all_that_waits_is_one_batch_of_each_partition(app, drive):
    sizes = []

    @app.agent(app.topic("events", value_type=Batch))
    async def measure(batches):
        async for batch in batches:
            sizes.append((batch.partition, len(batch)))
            yield batch

    driver = drive(app, partitions=2)
    for partition in (0, 0, 1, 0):
        driver.append("events", b"", partition=partition)
    driver.process()

    assert sizes == [(0, 3), (1, 1)]
    assert (driver.committed("events", 0), driver.committed("events", 1)) == (3, 1)


def test_timers_and_sleepers_go_by_the_drivers_clock(app, drive):
    @app.timer(60)
    async def tick():
        await app.send("ticks", value="tick")

    @app.agent(app.topic("events"))
    async def be_slow(stream):
        async for value in stream:
            await asyncio.sleep(30)
            await app.send("slow", value=value)
            yield value

    driver = drive(app)
    started_at, begun_ms = time.monotonic(), driver.now_ms
    driver.publish("events", 1)
    assert driver.now_ms == begun_ms + 30_000
    driver.advance(timedelta(hours=1))

    assert driver.now_ms == begun_ms + 3_630_000
    assert [x.timestamp()[1] - begun_ms for x in driver.read("ticks")] == [
        60_000 * n for n in range(1, 61)
    ]
    assert time.monotonic() - started_at < 60


def test_what_a_timer_sends_is_processed_as_time_passes(app, drive):
    @app.timer(10)
    async def tick():
        await app.send("ticks", value=1)

    @app.agent(app.topic("ticks"))
    async def forward(stream):
        async for tick in stream:
            await app.send("seen", value=tick)
            yield tick

    driver = drive(app)
    begun_ms = driver.now_ms
    driver.advance(30 * SECOND)

    assert [x.timestamp()[1] - begun_ms for x in driver.read("seen")] == [10_000, 20_000, 30_000]


@pytest.mark.parametrize("n_agents", [1, 2])
def test_what_agents_hold_is_committed_when_all_have_released_it(app, drive, n_agents):
    held = []

    async def write_in_bulk(batches):
        async for batch in batches:
            batch.hold()
            held.append(batch)
            yield len(batch)

    for n in range(n_agents):
        topic = app.topic("events", value_type=Batch)
        app.agent(topic, name=f"write-in-bulk-{n}")(write_in_bulk)

    def write():
        while held:
            app.release(held.pop(0))

    app.timer(60)(as_coroutine(write))
    app.on_settle.append(write)
    driver = drive(app)
    committed = []
    for _ in range(2):
        driver.publish("events", 1)
        committed.append(driver.committed("events"))
    driver.advance(61 * SECOND)
    committed.append(driver.committed("events"))
    driver.publish("events", 1)
    driver.close()

    assert committed == [0, 0, 2]
    assert driver.committed("events") == 3


def as_coroutine(call):
    async def called():
        call()

    return called


def test_a_failure_that_passes_counts_once(app, drive):
    attempts = []

    @app.agent(app.topic("events"))
    async def fail_at_first(stream):
        async for value in stream:
            await app.send("seen", value=value)
            attempts.append(value)
            if len(attempts) < 4:
                raise ValueError("no luck")
            yield value

    driver = drive(app)
    driver.publish("events", 1)

    assert len(attempts) == 4
    assert values(driver.read("seen")) == [b"1"]


def test_a_failure_that_stays_is_raised_as_it_is_and_nothing_is_committed(app, drive):
    unlucky = {13}

    @app.agent(app.topic("events"))
    async def forward(stream):
        async for value in stream:
            await app.send("seen", value=value)
            if value in unlucky:
                raise ValueError(f"no luck with {value}")
            yield value

    driver = drive(app)
    driver.publish("events", 1)
    for _ in range(2):  # the successor meets it again
        with pytest.raises(ValueError, match="no luck with 13") as raised:
            driver.publish("events", 13)
        assert driver.committed("events") == 1
    unlucky.clear()
    driver.publish("events", 2)

    assert isinstance(raised.value, ValueError)
    assert values(driver.read("seen")) == [b"1", b"13", b"13", b"2"]


def test_a_failure_that_means_the_workers_end_is_raised_at_the_first_attempt(app, drive):
    attempts = []

    @app.agent(app.topic("events"))
    async def give_up(stream):
        async for value in stream:
            attempts.append(value)
            if value:
                raise DeliveryFailed("nothing helps")
            yield value

    with pytest.raises(DeliveryFailed, match="nothing helps"):
        drive(app).publish("events", 1)
    assert attempts == [1]


@pytest.mark.parametrize("when", ["at the start", "as time passes"])
def test_a_failure_of_a_task_is_raised_too(app, drive, when):
    @app.task
    async def fail():
        if when == "as time passes":
            await asyncio.sleep(10)
        raise ValueError("no luck")

    with pytest.raises(ValueError, match="no luck"):
        drive(app).advance(60 * SECOND)


def test_an_agent_that_waits_for_ever_is_told(app, drive):
    @app.agent(app.topic("events"))
    async def wait(stream):
        async for value in stream:
            await asyncio.get_running_loop().create_future()
            yield value

    with pytest.raises(TimeoutError, match="an agent waits for what does not come"):
        drive(app).publish("events", 1)


def test_what_runs_in_a_thread_is_waited_for(app, drive):
    @app.agent(app.topic("events"))
    async def compute(stream):
        async for value in stream:
            await asyncio.to_thread(time.sleep, 0.01)
            await app.send("seen", value=value)
            yield value

    driver = drive(app)
    begun_ms = driver.now_ms
    driver.publish("events", 1)

    assert values(driver.read("seen")) == [b"1"]
    assert driver.now_ms == begun_ms


def test_an_app_can_be_driven_again_and_begins_with_nothing(app, drive):
    @app.agent(app.topic("events"))
    async def count(stream):
        n = 0
        async for _ in stream:
            n += 1
            await app.send("counts", value=n)
            yield n

    for _ in range(3):
        driver = drive(app)
        driver.publish("events", 1)
        driver.publish("events", 1)
        assert values(driver.read("counts")) == [b"1", b"2"]
        driver.close()


async def test_a_driver_within_a_coroutine_is_refused(app):
    with pytest.raises(RuntimeError, match="from a plain function"):
        AppDriver(app)


# ---- laws ----------------------------------------------------------------------------------------

_keys = st.sampled_from(["ada", "bob", "eve"])
_histories = st.lists(st.lists(_keys, min_size=1, max_size=5), min_size=1, max_size=8)


def run(history: list[list[str]], crash: Callable[[AppDriver, int], None], **kafka: Any):
    app = counting_app.build("", bootstrap="127.0.0.1:1", **kafka)
    with AppDriver(app, partitions=2) as driver:
        n_sent = 0
        for step, keys in enumerate(history):
            for key in keys:
                driver.append("events", b"%d" % n_sent, key=key.encode())
                n_sent += 1
            crash(driver, step)
            driver.process()
        return driver


def crashes(data: st.DataObject) -> Callable[[AppDriver, int], None]:
    def crash(driver: AppDriver, step: int) -> None:
        match data.draw(st.sampled_from(["no", "between batches", "before the commit"]), str(step)):
            case "between batches":
                driver.crash()
            case "before the commit":
                driver.process(crash=True)

    return crash


@settings(deadline=None, max_examples=50)
@given(_histories, st.data())
def test_exactly_once_nothing_differs_however_often_the_worker_crashes(history, data):
    expected, found = run(history, lambda *_: None), run(history, crashes(data))

    assert values(found.read("counted")) == values(expected.read("counted"))
    for partition in (0, 1):
        assert found.state(partition) == expected.state(partition)
        assert found.committed("events", partition) == expected.committed("events", partition)


@settings(deadline=None, max_examples=50)
@given(_histories, st.data())
def test_at_least_once_nothing_is_lost_and_state_does_not_run_ahead(history, data):
    expected = run(history, lambda *_: None)
    found = run(history, crashes(data), delivery="at_least_once")

    # What is published twice is published the same.
    assert set(values(found.read("counted"))) == set(values(expected.read("counted")))
    for partition in (0, 1):
        assert found.state(partition) == expected.state(partition)


@settings(deadline=None, max_examples=20)
@given(_histories)
def test_the_same_history_gives_the_same_records(history):
    def everything(driver: AppDriver) -> str:
        records = [*driver.read("counted"), *driver.read("counting-state")]
        return json.dumps([(repr(x), repr(x.value()), x.timestamp()) for x in records])

    first, second = run(history, lambda *_: None), run(history, lambda *_: None)

    assert everything(first) == everything(second)
