"""Drive an app's agents step by step: publish, look at what came of it, let time pass, crash it.

The agents are the app's own, and streams, batches, the ledger of what is in flight and Faust itself
are those of production. What is missing is what would make a test slow or leave it to chance:
broker, threads, processes and the wall clock. It is to a Faust app what TopologyTestDriver is to
Kafka Streams (KIP-247).
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Final, Self, TypeVar, cast

import faust
from faust.types.tuples import TP

from agents.kafka.app import App
from agents.kafka.batch import Output
from agents.testing.app_process import AppProcess
from agents.testing.memory_topics import MemoryRecord, MemoryTopics

START: Final = datetime(2024, 1, 1, tzinfo=UTC)
_SECOND: Final = timedelta(seconds=1)

T = TypeVar("T")


class AppDriver:
    """An app in this process.

    Everything that a record causes is there when `publish` returns, what other agents make of it
    included. A failure of an agent is raised where it was driven, once its attempts are used up
    (their pauses take no time): the worker has ended then, nothing of the batch is committed, and
    the next step starts its successor.

    Parameters
    ----------
    app
        What a worker would run. Only one driver at a time may drive it.
    partitions
        How many partitions each topic has.
    start
        What the clock shows at first. Whatever sleeps, timers included, goes by it; `time.time()`
        does not.

    Examples
    --------
    >>> from agents.kafka.app import KafkaSettings
    >>> app = App("word-count", KafkaSettings(bootstrap="127.0.0.1:19092", group="word-count"))
    >>> counts = app.topic("counts", value_type=int)
    >>> @app.agent(app.topic("lines", value_type=str, value_serializer="raw"))
    ... async def count_words(lines):
    ...     async for line in lines:
    ...         await counts.send(value=len(line.split()))
    ...         yield line
    >>> with AppDriver(app) as driver:
    ...     driver.publish("lines", b"the line of fastest flow in a river")
    ...     [record.value() for record in driver.read("counts")]
    [b'8']

    What crashes before its commit is as if it had never been computed:

    >>> with AppDriver(app) as driver:
    ...     driver.append("lines", b"made twice, published once")
    ...     driver.process(crash=True)
    ...     driver.read("counts")
    ...     driver.process()
    ...     [record.value() for record in driver.read("counts")]
    []
    [b'4']
    """

    def __init__(self, app: App, *, partitions: int = 1, start: datetime = START) -> None:
        if asyncio.events._get_running_loop() is not None:
            raise RuntimeError("an AppDriver runs an event loop: use it from a plain function")
        self.app: Final = app
        self._topics = MemoryTopics(partitions)
        self._committed: dict[TP, int] = {}
        self._now_s = start.timestamp()
        self._process: AppProcess | None = None
        self._live()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def now_ms(self) -> int:
        """What the clock shows, ms since the epoch."""
        now_s = self._now_s if self._process is None else self._process.loop.time()
        return round(now_s * 1_000)

    # ---- what a test does ----------------------------------------------------------------------

    def publish(
        self,
        topic: str | faust.Topic,
        value: Any,
        *,
        key: Any = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        headers: Mapping[str, bytes] | None = None,
    ) -> None:
        """Publish a record and let it be processed, alone in its batch.

        Parameters
        ----------
        topic
            Its name, or a topic of the app, whose types and codecs then apply.
        value, key
            Bytes as they are on the wire, or what the topic makes bytes of; a value of `None` is
            a tombstone.
        partition
            By default that of the key. Which key goes where is stable, but not Kafka's murmur2.
        timestamp_ms
            When it was published, ms since the epoch; by default now.
        """
        self.append(
            topic, value, key=key, partition=partition, timestamp_ms=timestamp_ms, headers=headers
        )
        self.process()

    def append(
        self,
        topic: str | faust.Topic,
        value: Any,
        *,
        key: Any = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        headers: Mapping[str, bytes] | None = None,
    ) -> None:
        """Publish a record that nobody has polled yet; see `publish`."""
        channel = topic if isinstance(topic, faust.Topic) else self._topic(topic)
        pairs: Any = dict(headers or {})  # Faust takes and gives them in either form
        if key is not None and not isinstance(key, bytes):
            key, pairs = channel.prepare_key(key, None, None, pairs)
        if value is not None and not isinstance(value, bytes):
            value, pairs = channel.prepare_value(value, None, None, pairs)
        record = Output(
            channel.get_topic_name(),
            value,
            key,
            -1 if partition is None else partition,
            list(pairs.items()) or None,
        )
        self._topics.append(record, at_ms=self.now_ms if timestamp_ms is None else timestamp_ms)

    def process(self, *, crash: bool = False) -> None:
        """Process what waits, all of a partition in one batch, and what comes of it.

        Parameters
        ----------
        crash
            End the worker before the batches commit: exactly once, nothing of them becomes
            visible; at least once, their outputs do, and neither offsets nor state. What waits
            goes on waiting.
        """
        if not crash:
            self._step(AppProcess.process)
            return
        self._step(AppProcess.compute)
        if self.app.kafka.delivery == "at_least_once":
            self._step(AppProcess.publish_without_offsets)
        self.crash()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the app's event loop, and process what comes of it.

        For what is sent by others than agents: `driver.run(agent.cast(value))`.
        """
        return self._step(lambda process: process.run(coroutine))

    def advance(self, span: timedelta) -> None:
        """Let time pass: timers fire, sleepers wake up, and what they send is processed."""
        until_s = self._live().loop.time() + span / _SECOND
        self._step(lambda process: process.run_until(until_s))

    def crash(self) -> None:
        """Kill the worker. Its successor restores keyed state from what was committed.

        What agents keep in variables of their own is lost, too; what a module keeps is not.
        """
        if self._process is not None:
            process, self._process = self._process, None
            self._now_s = process.loop.time()
            process.kill()

    def close(self) -> None:
        """Stop the worker in order."""
        if self._process is not None:
            self._step(AppProcess.stop)
            self._process = None

    # ---- what a test looks at ------------------------------------------------------------------

    def read(self, topic: str | faust.Topic) -> list[MemoryRecord]:
        """Read all committed records of a topic, partition after partition."""
        return self._topics.read(topic if isinstance(topic, str) else topic.get_topic_name())

    def committed(self, topic: str | faust.Topic, partition: int = 0) -> int:
        """Tell up to which offset a partition is processed."""
        name = topic if isinstance(topic, str) else topic.get_topic_name()
        return self._committed.get(TP(name, partition), 0)

    def state(self, partition: int = 0) -> dict[bytes, bytes]:
        """Tell a partition's keyed state as it is committed, in its changelog's encoding."""
        if self.app.keyed_state is None:
            return {}
        changelog = TP(self.app.keyed_state.changelog, partition)
        return {key: value for key, value in self._topics.compacted(changelog) if value is not None}

    # --------------------------------------------------------------------------------------------

    def _topic(self, name: str) -> faust.Topic:
        # Faust knows its topics by an interface that lacks how records are encoded.
        return cast(faust.Topic, self.app.topic(name))

    def _live(self) -> AppProcess:
        """Find the running worker, or start the next one."""
        if self._process is None:
            self._process = AppProcess(
                self.app,
                self._topics,
                self._committed,
                start_s=self._now_s,
                now_ms=lambda: self.now_ms,
            )
        return self._process

    def _step(self, step: Callable[[AppProcess], T]) -> T:
        process = self._live()
        try:
            return step(process)
        except BaseException:
            self.crash()
            raise
