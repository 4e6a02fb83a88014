"""A Faust app on this transport.

>>> app = App("word-count", KafkaSettings(bootstrap="127.0.0.1:19092", group="word-count"))
>>> lines = app.topic("lines", value_type=Batch)
>>> @app.agent(lines)
... async def count_words(batches):
...     async for batch in batches:
...         for record in batch:
...             batch.emit("word-counts", str(len(record.value().split())).encode())
...         yield len(batch)
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

import faust
from faust.app.base import BootStrategy
from faust.types import AgentT
from mode import ServiceT

from agents.kafka.batch import Batch, Headers
from agents.kafka.client_settings import KafkaSettings
from agents.kafka.exactly_once import TransactionObserver
from agents.kafka.keyed_state import KeyedState
from agents.kafka.poison import DeadLetterPolicy, Poison
from agents.kafka.producer import current_batch
from agents.kafka.refused import NoTables, OrdinaryAgent, check_settings
from agents.kafka.restorer import Restoration
from agents.kafka.stream import BatchStream
from agents.kafka.supervisor import PromptSupervisor
from agents.kafka.transport import SCHEME
from schemas.errors import ThalwegError

if TYPE_CHECKING:
    from agents.kafka.consumer import BatchConsumer
    from agents.kafka.producer import BatchProducer

__all__ = ["App", "Batch", "KafkaSettings", "Observer", "Unobserved"]

STATELESS_ATTEMPTS: Final = 8
"""Over some 10 s: see `agents.kafka.stream.pause_s`."""
STATEFUL_ATTEMPTS: Final = 1
"""A failed batch leaves state half-changed: only a restore from the changelog repairs that."""


class Observer(TransactionObserver, Protocol):
    """Who wants to know how the transport is doing. Called from any thread."""

    def on_assigned(self, n_partitions: int) -> None:
        """Note how many partitions are ours now."""

    def on_restore(self, restoration: Restoration) -> None:
        """Note that state is being read back."""

    def on_standby(self, partitions: frozenset[int]) -> None:
        """Note of which partitions of others there is a copy that is up to date."""


class Unobserved:
    """Nobody watches."""

    def on_transaction(self, seconds: float, n_records: int) -> None:
        """Ignore."""

    def on_transaction_retried(self, reason: str) -> None:
        """Ignore."""

    def on_assigned(self, n_partitions: int) -> None:
        """Ignore."""

    def on_restore(self, restoration: Restoration) -> None:
        """Ignore."""

    def on_standby(self, partitions: frozenset[int]) -> None:
        """Ignore."""


class _Boot(BootStrategy):
    """Start what a batch transport needs: no leader, no tables, no web server."""

    enable_web = False

    def kafka_consumer(self) -> Iterable[ServiceT]:
        return [self.app.consumer]

    def tables(self) -> Iterable[ServiceT]:
        return []


class App(NoTables, faust.App):
    """Plain Faust, with batches and transactions underneath.

    Parameters
    ----------
    name
        Faust's app id.
    kafka
        How this worker talks to Kafka.
    keyed_state
        State that travels with partitions; see `agents.kafka.keyed_state`.
    observer
        Who is told of transactions, assignments and restores.
    dead_letters
        Full name of the topic where ordinary agents (not those of `Batch` topics, which may do so
        themselves) set aside what they cannot process: what cannot be decoded, and, unless there is
        keyed state, what makes them raise at each of their attempts. By default it ends the worker.
    dead_letter_limit
        Share of the last thousand records or so of a partition that may be set aside. More of them
        end the worker: then the records are not to blame.
    """

    BootStrategy = _Boot

    def __init__(
        self,
        name: str,
        kafka: KafkaSettings,
        *,
        keyed_state: KeyedState | None = None,
        observer: Observer | None = None,
        dead_letters: str | None = None,
        dead_letter_limit: float = 0.5,
        **settings: Any,
    ) -> None:
        self.kafka = kafka
        self.keyed_state = keyed_state
        self.observer = observer or Unobserved()
        self._dead_letters = (
            None if dead_letters is None else DeadLetterPolicy(dead_letters, dead_letter_limit)
        )
        self.on_settle: list[Callable[[], None]] = []
        """Called on the event loop, again and again, while a rebalance or the end waits for what is
        in flight: the moment to release what is held."""
        self.max_attempts = STATELESS_ATTEMPTS if keyed_state is None else STATEFUL_ATTEMPTS
        first_broker = kafka.bootstrap.split(",")[0]
        super().__init__(
            name,
            broker=f"{SCHEME}://{first_broker}",
            Stream=BatchStream,
            Agent=OrdinaryAgent,
            agent_supervisor=PromptSupervisor,
            web_enabled=False,
            topic_allow_declare=False,  # topics have their own registry and command
            **settings,
        )

    def batches(self, topic: str) -> faust.TopicT:
        """Tell of a topic, by its full name, that agents are to be handed batches of it."""
        # Faust's type says bytes or text; the transport delivers a topic of batches as batches.
        return self.topic(topic, value_type=Batch)  # type: ignore[arg-type]

    @property
    def _batch_consumer(self) -> "BatchConsumer":
        # Faust knows its consumers by an interface; this one was made by our transport.
        return cast("BatchConsumer", self.consumer)

    def not_ready(self) -> str | None:
        """Tell why records cannot flow through this worker; `None`: they can."""
        return "starting" if self._consumer is None else self._batch_consumer.not_ready()

    def not_live(self) -> str | None:
        """Tell which thread of this worker gives no sign of life; `None`: all do."""
        return None if self._consumer is None else self._batch_consumer.not_live()

    @property
    def n_in_flight(self) -> int:
        """Records delivered and not yet committed."""
        if self._consumer is None:
            return 0
        return self._batch_consumer.in_flight.n_records

    @property
    def failure(self) -> BaseException | None:
        """What ended this worker; `None`: nothing did, it was told to stop or still runs."""
        return None if self._consumer is None else self._batch_consumer.failure

    def poison(self) -> Poison | None:
        """Make what sets records aside for one agent; `None`: nothing may."""
        if self._dead_letters is None:
            return None
        return Poison(self._dead_letters, self.max_attempts)

    def publish(self, topic: str, value: bytes, key: bytes, headers: Headers | None = None) -> None:
        """Send a record at once, outside of any batch and its transaction."""
        pairs = None if headers is None else list(headers)
        cast("BatchProducer", self.producer).publish(topic, value, key, headers=pairs)

    def release(self, batch: Batch) -> None:
        """Be through with a batch that was held (`Batch.hold`). Event loop only."""
        if batch.held:
            batch.held = False
            if batch.ended:  # else its agent is not through with it itself
                self._batch_consumer.finish(batch)

    def fail(self, failure: BaseException) -> None:
        """End the worker because of a failure. Callable from any thread."""
        self._batch_consumer.fail(failure)

    async def _on_agent_error(self, agent: AgentT[Any], failure: BaseException) -> None:
        """End the worker if that is what an agent's failure means; others may try again."""
        if (batch := current_batch()) is not None:
            batch.failure = failure
        if isinstance(failure, ThalwegError):
            self.fail(failure)
        await super()._on_agent_error(agent, failure)

    def crash_soon(self, failure: BaseException) -> None:
        """End the worker because of a failure. Event loop only."""
        self._crashing = asyncio.ensure_future(self.crash(failure))

    def on_init_dependencies(self) -> Iterable[ServiceT]:
        """Tell what is started with the app; settings that nothing could be started with raise."""
        check_settings(self.conf)
        return super().on_init_dependencies()

    async def on_start(self) -> None:
        """Start; there are no tables whose recovery anything has to wait for."""
        await super().on_start()
        # Faust's agents wait for these two; its interface of a table manager does not name them.
        self.tables._tables_registered.set()  # type: ignore[attr-defined]
        self.tables._tables_finalized.set()  # type: ignore[attr-defined]

    def _create_directories(self) -> None:
        """Make none: without tables there is nothing to keep on disk."""

    async def _wait_for_table_recovery_completed(self) -> bool:
        return False

    async def _stop_consumer(self) -> None:
        # Faust's own would first clear the agents' queues, and lose what is in flight.
        if self._consumer is not None:
            await self._consumer.wait_empty()
