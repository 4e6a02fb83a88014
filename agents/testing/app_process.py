"""An app's life from one crash to the next, as its process would live it.

Faust has no way to start an app that ended without a word. What it keeps of its life, as its agents
and services do, is therefore made anew here; what was declared on it stays.
"""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar, cast
from weakref import WeakSet, WeakValueDictionary

from faust.app._attached import Attachments
from faust.types.tuples import TP
from mode import Service
from mode.utils.locks import Event

from agents.kafka.app import App
from agents.kafka.batch import Batch
from agents.testing.memory_topics import MemoryTopics
from agents.testing.memory_transport import MemoryConsumer, MemoryTransport
from agents.testing.virtual_time import VirtualTimeLoop

T = TypeVar("T")


class AppProcess:
    """A running app, on an event loop of its own.

    Parameters
    ----------
    start_s
        What its loop's clock shows at first.
    now_ms
        Tells the time that records are published at.
    """

    def __init__(
        self,
        app: App,
        topics: MemoryTopics,
        committed: dict[TP, int],
        *,
        start_s: float,
        now_ms: Callable[[], int],
    ) -> None:
        _forget_life(app)
        self._app = app
        self._topics = topics
        self._committed = committed
        self._positions = dict(committed)
        self._delivered: list[Batch] = []
        self.loop = app.loop = VirtualTimeLoop(start_s)
        self._transport = MemoryTransport(app, self.loop, topics, now_ms)
        app.transport = app.producer_transport = self._transport
        # Faust corrects its timers by the wall clock.
        app.__dict__["itertimer"] = partial(type(app).itertimer, app, clock=self.loop.time)
        try:
            self._start()
        except BaseException:
            self.kill()
            raise

    def _start(self) -> None:
        app = self._app
        started = self.loop.create_task(app.start())
        self._run_until_idle(started.done, "the app")
        started.result()

    @property
    def _consumer(self) -> MemoryConsumer:
        # Faust knows its consumers by an interface; this one was made by our transport.
        return cast(MemoryConsumer, self._app.consumer)

    # ---- between two steps of the driver nothing runs ------------------------------------------

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end, process what it waits for and what comes of it."""
        task = self.loop.create_task(coroutine)
        self.process()
        while not task.done():
            self._run_until_idle(lambda: task.done() or bool(self._waiting()), repr(coroutine))
            self.process()
        return task.result()

    def process(self) -> None:
        """Process and commit what waits, and what comes of it, until nothing does."""
        while True:
            self.compute()
            self.commit()
            if not self._waiting():
                return

    def compute(self) -> None:
        """Let agents process what waits; nothing of it is visible before `commit`.

        Raises
        ------
        TimeoutError
            An agent waits for what does not come.
        BaseException
            Whatever made an agent fail for good.
        """
        for tp in self._waiting():
            batch = self._consumer.deliver(tp, self._positions.get(tp, 0))
            self._positions[tp] = batch.next_offset
            self._delivered.append(batch)
        self._run_until_idle(
            lambda: all(self._consumer.is_through(batch) for batch in self._delivered),
            "an agent",
        )

    def commit(self) -> None:
        """Let everything become visible that was computed, each batch with its offset."""
        ledger = self._consumer.in_flight
        batches = ledger.take_finished(timeout_s=0)
        for batch in batches:
            self._topics.append(*batch.outputs, at_ms=self._transport.now_ms())
            self._committed[batch.tp] = batch.next_offset
        ledger.retire(batches)
        self._delivered = [batch for batch in self._delivered if not batch.finished]

    def publish_without_offsets(self) -> None:
        """Do what precedes the commit of an offset when delivery is at least once."""
        state = self._app.keyed_state
        for batch in self._consumer.in_flight.take_finished(timeout_s=0):
            for output in batch.outputs:
                if state is None or output.topic != state.changelog:
                    self._topics.append(output, at_ms=self._transport.now_ms())

    def run_until(self, at_s: float) -> None:
        """Let time pass until the loop's clock shows so much; process what comes up meanwhile."""
        self.process()
        while self.loop.run_until(at_s, is_interrupted=self._is_interrupted):
            self._raise_failure()
            self.process()

    def kill(self) -> None:
        """End without a word."""
        self._transport.is_dead = True
        self._end()

    def stop(self) -> None:
        """End as a worker does that is told to stop."""
        for settle in self._app.on_settle:
            self.loop.call_soon(settle)
        self.process()
        self.run(self._app.stop())
        self._end()

    # --------------------------------------------------------------------------------------------

    def _waiting(self) -> list[TP]:
        """Find the partitions that hold more than was delivered of them."""
        return sorted(
            tp
            for tp in self._consumer.assigned
            if self._topics.end(tp) > self._positions.get(tp, 0)
        )

    def _is_interrupted(self) -> bool:
        return (
            self._failure is not None
            or bool(self._waiting())
            or any(batch.finished for batch in self._delivered)
        )

    def _run_until_idle(self, is_done: Callable[[], bool], who: str) -> None:
        is_idle = self.loop.run_until_idle(lambda: self._failure is not None or is_done())
        self._raise_failure()
        if not is_idle:
            raise TimeoutError(f"{who} waits for what does not come")

    @property
    def _failure(self) -> BaseException | None:
        """What ends the worker: what an agent raised, or a task of the app."""
        if (failure := self._app.failure) is not None:
            return failure.__cause__ or failure
        return self._app.crash_reason if self._app.crashed else None

    def _raise_failure(self) -> None:
        if (failure := self._failure) is not None:
            raise failure

    def _end(self) -> None:
        for agent in self._app.agents.values():
            cast(Service, agent)._stopped.set()  # else cancelling it would be logged as a failure
        self.loop.run_until_complete(_cancel_all())
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()
        _forget_life(self._app)


async def _cancel_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _forget_life(app: App) -> None:
    """Take back all that an app has become since it was declared."""
    for name in (
        *("topics", "flow_control", "_reply_consumer", "_leader_assignor", "_fetcher"),
        "itertimer",
    ):
        app.__dict__.pop(name, None)
    app._consumer = app._producer = app._transport = app._producer_transport = None
    app._assignment = app._extra_service_instances = app._web_server_service_instance = None
    app._attachments = Attachments(app)
    app.rebalancing, app.unassigned = False, False
    for service in (app, app.agents, app.tables, *app.sensors, *app.agents.values()):
        Service.__init__(cast(Service, service))
    cast(Any, app.agents)._agents_started = Event()
    for agent in app.agents.values():
        _forget_life_of_agent(agent)


def _forget_life_of_agent(agent: Any) -> None:
    agent._channel_iterator = agent._pending_active_partitions = agent.supervisor = None
    agent._actors, agent._actor_by_partition = WeakSet(), WeakValueDictionary()
    agent._first_assignment_done = False
