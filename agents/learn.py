"""The learn role: the one writer of every model.

`outcomes` has one partition, hence one order and one learner; a second worker of the role waits
as a standby of the consumer group. What is learned is published as signed snapshots on `models`,
in the transaction that commits the outcomes. A successor starts from the newest snapshots and
learns again what the log holds between them and the committed offset: the same models, to the
last bit. What it learned again it publishes at once, without waiting for an outcome. Challengers
catch up while the champion goes on.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Final

import faust

from agents.kafka import abandonable
from agents.kafka.app import App, Batch
from agents.learning.publication import CHAMPION_INTERVAL_S
from agents.learning.training import Training
from online_models.late_learners import At
from schemas.errors import DeliveryFailed

SLICE_S: Final = 0.02
"""How long late learners go on before outcomes that came meanwhile get their turn."""


def build(app: App, outcomes: str, training: Training) -> None:
    """Register the role's agent on an app."""

    @app.agent(app.batches(outcomes))
    async def learn(batches: faust.StreamT[Batch]) -> AsyncIterator[int]:
        waiting = batches.channel.queue  # type: ignore[attr-defined]
        async for batch in batches:
            training.learn(batch, _now_ms())
            training.publish_due(batch, time.monotonic(), _now_ms())
            # The last outcomes before a quiet time wait here for their snapshot rather than for
            # the next outcome: nobody waits for this batch to commit. But not for long.
            while (
                0 < (wait_s := training.champion_due_in_s(time.monotonic())) <= CHAMPION_INTERVAL_S
                and waiting.empty()
            ):
                await asyncio.sleep(min(wait_s, 0.05))
                training.publish_due(batch, time.monotonic(), _now_ms())
            yield len(batch)

    @app.task  # type: ignore[untyped-decorator]
    async def let_late_ones_catch_up() -> None:
        while not app.should_stop:
            for beginning in training.due():
                making = abandonable.start(partial(training.prepared, beginning), name="beginning")
                try:
                    training.begin_anew(beginning, await asyncio.wrap_future(making))
                except DeliveryFailed as failure:
                    app.fail(failure)
                    return
            late = training.late
            if (gap := late.gap()) is not None:
                reading = abandonable.start(partial(training.outcomes, gap), name="late-outcomes")
                try:
                    outcomes: list[At] = await asyncio.wrap_future(reading)
                    late.fill(gap, outcomes)
                except DeliveryFailed as failure:
                    app.fail(failure)
                    return
            training.teach_late(_for_a_slice(), time.monotonic())
            if not training.late.learners:
                await asyncio.sleep(CHAMPION_INTERVAL_S)
            else:  # at full speed while there is nothing else to do
                await asyncio.sleep(0.0 if app.n_in_flight == 0 else SLICE_S)

    @app.timer(CHAMPION_INTERVAL_S)  # type: ignore[untyped-decorator]
    async def publish_beside() -> None:
        training.publish_learned_again(app.publish, time.monotonic(), _now_ms())
        if app.n_in_flight == 0:
            training.publish_news(app.publish, time.monotonic(), _now_ms())


def _for_a_slice() -> Callable[[], bool]:
    end_s = time.monotonic() + SLICE_S
    return lambda: time.monotonic() < end_s


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
