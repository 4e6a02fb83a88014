"""Agents as any Faust user writes them, run as a process of its own by the transport's tests.

Usage: ordinary_app.py SETTINGS-AS-JSON
"""

import json
import sys
from collections import Counter

import faust

from agents.kafka.app import STATELESS_ATTEMPTS, App, KafkaSettings


def build(prefix, *, failures=0, max_attempts=STATELESS_ATTEMPTS, dead_letters=None, **kafka):
    app = App(
        "ordinary",
        KafkaSettings(group=f"{prefix}ordinary", **kafka),
        dead_letters=None if dead_letters is None else f"{prefix}{dead_letters}",
    )
    app.max_attempts = max_attempts
    numbers = app.topic(f"{prefix}events", key_type=str)  # JSON
    orders = app.topic(f"{prefix}orders", key_type=str)
    counted = app.topic(f"{prefix}counted", key_type=str, value_serializer="raw")
    doubled = app.topic(f"{prefix}doubled", key_type=str, value_serializer="raw")
    totals = app.topic(f"{prefix}totals", key_type=str)
    cheap_orders = app.topic(f"{prefix}cheap")
    attempts: Counter[int] = Counter()

    @app.agent(numbers)
    async def forward(stream):
        async for event in stream.events():
            number = event.value
            attempts[number] += 1
            await counted.send(key=event.key, value=f"{number} 0".encode())
            if number == 13 and attempts[number] <= failures:
                raise RuntimeError("no luck with 13")
            yield number

    @app.agent(numbers, sink=[doubled])
    async def double(stream):
        async for number in stream:
            yield b"%d" % (2 * number)

    @app.agent(orders)
    async def total(stream):
        async for key, order in stream.items():
            currency = stream.current_event.headers["currency"]
            await totals.send(
                key=key,
                value={"total": order["price"] * order["n"]},
                headers={"currency": currency, "by": b"total"},
            )
            yield order

    @app.agent(orders)
    async def cheap(stream):
        async for order in stream.filter(lambda order: order["price"] < 5):
            await cheap_orders.send(value=order)
            yield order

    return app


if __name__ == "__main__":
    worker = faust.Worker(build(**json.loads(sys.argv[1])), loglevel="info", redirect_stdouts=False)
    worker.execute_from_commandline()
