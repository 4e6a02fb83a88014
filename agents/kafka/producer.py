"""Faust's producer on librdkafka.

What an agent sends while it handles a batch joins that batch, and its transaction. Everything else
(timers, tasks, web views) goes out at once, outside of transactions.
"""

import asyncio
import logging
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from faust import streams
from faust.transport.producer import Producer as FaustProducer
from faust.types.tuples import TP, FutureMessage, RecordMetadata

from agents.kafka.batch import Batch
from schemas.errors import DeliveryFailed

FLUSH_TIMEOUT_S: Final = 10.0


class BatchProducer(FaustProducer):
    """Sends on librdkafka; joins the current batch where there is one."""

    logger = logging.getLogger(__name__)
    _client: Producer | None = None

    async def on_start(self) -> None:
        """Connect, and serve delivery reports from a thread."""
        await super().on_start()
        app: Any = self.app
        self._settings = app.kafka
        self._client = Producer(self._settings.producer())
        self._closing = threading.Event()
        self._server = threading.Thread(target=self._serve, name="producer", daemon=True)
        self._server.start()

    async def on_stop(self) -> None:
        """Deliver what is still buffered."""
        await super().on_stop()
        if self._client is not None:
            await self.flush()
            self._closing.set()

    def _serve(self) -> None:
        while not self._closing.is_set() and self._client is not None:
            self._client.poll(0.1)

    async def send(  # noqa: PLR0917  # the base's signature
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int | None,
        timestamp: float | None,
        headers: Mapping[str, bytes] | Sequence[tuple[str, bytes]] | None,
        *,
        transactional_id: str | None = None,
    ) -> asyncio.Future[RecordMetadata]:
        """Send one record.

        Within a batch the returned future resolves at once: the record is part of the batch and
        its fate is the batch's. (Waiting for the broker there would wait for ourselves.)
        """
        pairs = list(headers.items() if isinstance(headers, Mapping) else headers or ())
        wanted = -1 if partition is None else partition
        sent: asyncio.Future[RecordMetadata] = asyncio.get_running_loop().create_future()
        if (batch := current_batch()) is not None:
            batch.emit(topic, value, key, partition=wanted, headers=pairs or None)
            sent.set_result(RecordMetadata(topic, wanted, TP(topic, wanted), -1))
        else:
            self.publish(topic, value, key, partition=wanted, headers=pairs or None, sent=sent)
        return sent

    def send_soon(self, fut: FutureMessage) -> None:
        """Send one record without waiting; within a batch it is part of it, as with `send`."""
        batch = current_batch()
        if batch is None:
            super().send_soon(fut)
            return
        message: Any = fut.message  # already encoded
        topic = message.channel.get_topic_name()
        wanted = -1 if message.partition is None else message.partition
        headers = list(dict(message.headers or ()).items()) or None
        batch.emit(topic, message.value, message.key, partition=wanted, headers=headers)
        fut.set_result(RecordMetadata(topic, wanted, TP(topic, wanted), -1))
        if message.callback:
            message.callback(fut)

    def publish(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None = None,
        *,
        partition: int = -1,
        headers: list[tuple[str, bytes]] | None = None,
        sent: asyncio.Future[RecordMetadata] | None = None,
    ) -> None:
        """Send a record at once, outside of any transaction."""
        if self._client is None:
            raise DeliveryFailed(f"cannot send to {topic}: the producer is not started")
        loop = self.loop

        def on_delivery(error: KafkaError | None, message: Message) -> None:
            if sent is not None:
                loop.call_soon_threadsafe(_resolve, sent, error, message)
            elif error is not None:
                self.log.warning("record for %s was not delivered: %s", topic, error.str())

        self._client.produce(
            topic,
            value,
            key,
            partition,
            on_delivery,
            headers=headers,  # type: ignore[arg-type]  # stubs want exactly their union
        )

    async def send_and_wait(self, *args: Any, **kwargs: Any) -> RecordMetadata:
        """Send one record and wait until the broker has it."""
        return await (await self.send(*args, **kwargs))

    async def flush(self) -> None:
        """Wait until everything sent outside of batches is delivered."""
        if self._client is not None:
            loop = asyncio.get_running_loop()
            left = await loop.run_in_executor(None, self._client.flush, FLUSH_TIMEOUT_S)
            if left:
                self.log.warning("%d records are still undelivered", left)

    async def create_topic(
        self,
        topic: str,
        partitions: int,
        replication: int,
        *,
        config: Mapping[str, Any] | None = None,
        **_: Any,
    ) -> None:
        """Create a topic unless it exists."""

        def create() -> None:
            admin = AdminClient(self._settings.client())
            new = NewTopic(topic, partitions, replication, config=dict(config or {}))
            try:
                admin.create_topics([new])[topic].result(30)
            except KafkaException as exception:
                if exception.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise

        await asyncio.get_running_loop().run_in_executor(None, create)

    def key_partition(self, topic: str, key: bytes) -> TP:
        """Leave the choice to librdkafka's partitioner."""
        return TP(topic, -1)

    def supports_headers(self) -> bool:
        """Tell that headers are sent."""
        return True


def current_batch() -> Batch | None:
    """Find the batch that the running agent is handling.

    A task that an agent left behind may outlive its batch, which can take up nothing more then.
    """
    event = streams.current_event()
    batch: Batch | None = getattr(event.message, "batch", None) if event is not None else None
    return None if batch is None or batch.ended else batch


def _resolve(
    sent: asyncio.Future[RecordMetadata], error: KafkaError | None, message: Message
) -> None:
    if sent.done():
        return
    if error is not None:
        sent.set_exception(KafkaException(error))
    else:
        topic, partition = message.topic() or "", message.partition() or 0
        sent.set_result(
            RecordMetadata(topic, partition, TP(topic, partition), message.offset() or 0)
        )
