"""Which features of Faust the transport supports, and which it refuses (docs/faust.md)."""

import asyncio
from datetime import timedelta
from typing import Any

import faust
import pytest

from agents.kafka.app import App, KafkaSettings
from agents.testing import AppDriver
from schemas.errors import InvalidSetting

KAFKA = KafkaSettings(bootstrap="127.0.0.1:1", group="test")


@pytest.fixture
def app() -> App:
    return App("test", KAFKA)


def values(driver: AppDriver, topic: str) -> list[bytes | None]:
    return [record.value() for record in driver.read(topic)]


class Order(faust.Record):
    user: str
    price: int


def test_models(app):
    @app.agent(app.topic("orders", value_type=Order))
    async def price(orders):
        async for order in orders:
            await app.send("prices", value=order.price)
            yield order

    with AppDriver(app) as driver:
        driver.publish("orders", {"user": "ada", "price": 7})

    assert values(driver, "prices") == [b"7"]


def test_an_agent_that_does_not_yield(app):
    @app.agent(app.topic("in"))
    async def forward(stream):
        async for value in stream:
            await app.send("out", value=value)

    with AppDriver(app) as driver:
        driver.publish("in", 1)

    assert values(driver, "out") == [b"1"]


def test_several_topics_for_one_agent(app):
    @app.agent(app.topic("a", "b"))
    async def forward(stream):
        async for value in stream:
            await app.send("out", value=value)
            yield value

    with AppDriver(app) as driver:
        driver.publish("a", 1)
        driver.publish("b", 2)

    assert values(driver, "out") == [b"1", b"2"]


def test_concurrency(app):
    @app.agent(app.topic("in"), concurrency=3)
    async def forward(stream):
        async for value in stream:
            await asyncio.sleep(1)
            await app.send("out", value=value)
            yield value

    with AppDriver(app, partitions=3) as driver:
        began_ms = driver.now_ms
        for number in range(3):
            driver.append("in", number, partition=number)
        driver.process()

        assert driver.now_ms == began_ms + 1_000
    assert set(values(driver, "out")) == {b"0", b"1", b"2"}


@pytest.mark.parametrize("how", ["group_by", "through"])
def test_group_by_and_through(app, how):
    @app.agent(app.topic("orders"), name="spend")
    async def spend(stream):
        regrouped = (
            stream.group_by(lambda order: order["user"], name="user")
            if how == "group_by"
            else stream.through(app.topic("between"))
        )
        async for order in regrouped:
            await app.send("spent", value=order["price"])
            yield order

    between = "spend-orders-user-repartition" if how == "group_by" else "between"
    with AppDriver(app) as driver:
        driver.append("orders", {"user": "ada", "price": 7})
        driver.process(crash=True)
        assert driver.read(between) == []
        driver.process()
        (repartitioned,) = driver.read(between)

    assert values(driver, "spent") == [b"7"]
    assert driver.committed("orders") == driver.committed(between) == 1
    assert repartitioned.key() == (b"ada" if how == "group_by" else None)


def test_echo_forward_and_enumerate(app):
    @app.agent(app.topic("in"))
    async def pass_on(stream):
        async for n, value in stream.echo(app.topic("echoed")).enumerate():
            await stream.current_event.forward(app.topic("forwarded"))
            await app.send("numbered", value=[n, value])
            yield value

    with AppDriver(app) as driver:
        driver.publish("in", 7, key=b"ada")

    assert values(driver, "echoed") == values(driver, "forwarded") == [b"7"]
    assert values(driver, "numbered") == [b"[0,7]"]


def test_send_soon_is_part_of_its_batch(app):
    out = app.topic("out")

    @app.agent(app.topic("in"))
    async def forward(stream):
        async for value in stream:
            out.send_soon(value=value, key=b"ada", headers={"a": b"b"})
            yield value

    @app.timer(10)
    async def tick():
        out.send_soon(value="tick")

    with AppDriver(app) as driver:
        driver.append("in", 1)
        driver.process(crash=True)
        assert driver.read("out") == []
        driver.process()
        (sent,) = driver.read("out")
        driver.advance(timedelta(seconds=10))

    assert (sent.key(), sent.value(), sent.headers()) == (b"ada", b"1", [("a", b"b")])
    assert values(driver, "out") == [b"1", b'"tick"']


def test_a_reply_goes_to_the_topic_that_was_asked_for(app):
    @app.agent(app.topic("in"))
    async def add(stream):
        async for number in stream:
            yield number + 1

    with AppDriver(app) as driver:
        driver.run(add.send(value=1, reply_to="replies"))
        (reply,) = values(driver, "replies")

    assert reply is not None
    assert b'"value":2' in reply


def test_channels_in_memory_tasks_and_services(app):
    channel = app.channel()

    @app.agent(channel)
    async def forward(stream):
        async for value in stream:
            await app.send("out", value=value)
            yield value

    @app.task
    async def begin():
        await channel.send(value="task")

    @app.service
    class Greeter(faust.Service):
        async def on_start(self) -> None:
            await app.send("out", value="service")

    with AppDriver(app) as driver:
        driver.process()

    assert set(values(driver, "out")) == {b'"service"', b'"task"'}


@pytest.mark.parametrize("what", ["Table", "GlobalTable", "SetTable", "SetGlobalTable"])
def test_tables_are_refused(app, what):
    with pytest.raises(NotImplementedError, match=rf"{what}: .* keyed_state"):
        getattr(app, what)("counts")


async def test_whoever_waits_for_a_reply_is_refused(app):
    @app.agent(app.topic("in"))
    async def add(stream):
        async for number in stream:
            yield number + 1

    for ask in (add.ask, add.join, add.kvjoin):
        with pytest.raises(NotImplementedError, match="nobody reads replies"):
            await ask([1])
    for generate in (add.map, add.kvmap):
        with pytest.raises(NotImplementedError, match="nobody reads replies"):
            generate([1])


@pytest.mark.parametrize(
    ("topic", "settings", "why"),
    [
        ({"pattern": "in-.*"}, {}, "subscribed to by name"),
        ({}, {"isolated_partitions": True}, "one agent reads all partitions"),
    ],
)
def test_an_agent_that_would_get_nothing_is_refused(app, topic: Any, settings: Any, why):
    names = () if topic else ("in",)

    async def ignore(stream):
        async for value in stream:
            yield value

    with pytest.raises(NotImplementedError, match=why):
        app.agent(app.topic(*names, **topic), **settings)(ignore)


def test_joined_streams_are_refused(app):
    one, other = app.topic("one").stream(), app.topic("other").stream()

    with pytest.raises(NotImplementedError, match="cannot be combined"):
        one & other
    with pytest.raises(NotImplementedError, match="cannot be combined"):
        one.inner_join(other)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("stream_publish_on_commit", True),
        ("processing_guarantee", "exactly_once"),
        ("producer_threaded", True),
    ],
)
def test_settings_that_would_take_delivery_out_of_our_hands_are_refused(name, value):
    app = App("test", KAFKA, **{name: value})

    with pytest.raises(InvalidSetting, match=name):
        AppDriver(app)
