"""What we ask of librdkafka, and why: the settings of its consumers and producers."""

from dataclasses import dataclass, field
from typing import Any, Final, Literal

Delivery = Literal["exactly_once", "at_least_once"]
Rebalancing = Literal["range", "cooperative-sticky", "consumer"]
ClientSettings = dict[str, Any]

TRANSACTION_TIMEOUT_MS: Final = 10_000
"""A hung worker blinds `read_committed` readers of its partitions for at most this long (plus the
broker's sweep); must exceed the request timeout, else a broker restart aborts good transactions."""
TURNS: Final = 2
"""Producers that take turns. A commit returns before its markers are written everywhere, and until
they are, the same producer's next transaction is put off by 20 ms; another one's is not."""
SESSION_TIMEOUT_MS: Final = 10_000
"""How long a worker may be silent before its partitions go to others. If it is back sooner, as a
restarted process or from a pause, it keeps them."""
RETRY_BACKOFF_MS: Final = 500
"""How long a transactional producer rests before it repeats a request whose connection broke. Long
enough for the committer to notice by the time a call takes (`exactly_once.SUSPICIOUS_S`)."""
IDLE_FETCH_MS: Final = 100
"""How long a fetch waits when there is nothing; it is answered at once when there is something."""
PATIENT_FETCH_BYTES: Final = 64 * 1024
"""What a fetch waits for when nobody waits for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaSettings:
    """How one worker talks to Kafka.

    Parameters
    ----------
    bootstrap
        Brokers, `host:port`, comma-separated.
    group
        Consumer group; also the stem of transactional ids.
    slot
        Which of the group's workers this is. Stable over restarts: a restarted worker takes its
        predecessor's partitions without a rebalance (static membership, KIP-345) and fences what
        its predecessor left open.
    commit_interval_s
        Time between the beginnings of two transactions, at least. Each costs the broker a marker in
        every partition it touches, however few records it holds.
    gather_s
        While a transaction is under way and little is coming in, records wait for its end, at most
        this long, and become one batch of each partition instead of many: a batch costs as much
        as several records do. Under load batches are large anyway, and nothing waits.
    fetch_wait_ms
        How long the broker may gather records before it answers a fetch; 0 answers with the first
        one. For workers that nobody waits for.
    stall_timeout_s
        A worker whose threads give no sign of life for so long, or that gets nothing through, ends
        itself: see `agents.kafka.watchdog`. Must be longer than any batch takes.
    standby
        How many workers of the group may go at once without anybody having to read a whole
        changelog: the others keep warm copies of the state they would take over, or of all state
        where the broker shares partitions out (`consumer`), since nobody can foresee how.
    rebalancing
        How partitions are shared out: by one of the members (`range`, `cooperative-sticky`) or by
        the broker (`consumer`, KIP-848). See docs/adr/0007-rebalancing.md.
    extra
        Further librdkafka settings for every client: TLS, SASL.
    """

    bootstrap: str
    group: str
    slot: int = 0
    delivery: Delivery = "exactly_once"
    max_batch: int = 500
    max_in_flight: int = 4_000
    commit_interval_s: float = 0.0
    gather_s: float = 0.01
    fetch_wait_ms: int = 0
    stall_timeout_s: float = 120.0
    standby: int = 0
    rebalancing: Rebalancing = "range"
    extra: ClientSettings = field(default_factory=dict)

    @property
    def identity(self) -> str:
        """Group and slot: the name under which Kafka knows this worker."""
        return f"{self.group}-{self.slot}"

    def transactional_id(self, turn: int) -> str:
        """Tell the transactional id of one of the producers that take turns."""
        return f"{self.identity}-{turn}"

    def client(self) -> ClientSettings:
        """Make the settings that all clients share."""
        return {
            "bootstrap.servers": self.bootstrap,
            "client.id": self.identity,
            "reconnect.backoff.max.ms": 1_000,
            "topic.metadata.refresh.interval.ms": 10_000,
            **self.extra,
        }

    def consumer(self) -> ClientSettings:
        """Make the settings of the group member.

        `range` keeps co-partitioned topics (`user-events`, `labels`, state) together; so does
        `cooperative-sticky` where all of them have the same number of partitions. The broker's own
        default under KIP-848, `uniform`, does not.
        """
        if self.rebalancing == "consumer":
            # The broker decides how long it waits: `group.consumer.session.timeout.ms`. No static
            # membership: under KIP-848 it keeps a restarted worker out until then.
            shared_out: ClientSettings = {
                "group.protocol": "consumer",
                "group.remote.assignor": "range",
            }
        else:
            shared_out = {
                "group.instance.id": self.identity,
                "partition.assignment.strategy": self.rebalancing,
                "session.timeout.ms": SESSION_TIMEOUT_MS,
                # Members learn of a rebalance with their next heartbeat, and it waits for them.
                "heartbeat.interval.ms": 200,
            }
        return {
            **self.client(),
            **shared_out,
            "group.id": self.group,
            "max.poll.interval.ms": 60_000,
            "auto.offset.reset": "earliest",
            "enable.auto.offset.store": False,
            "enable.auto.commit": self.delivery == "at_least_once",
            "auto.commit.interval.ms": 500,
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": self.fetch_wait_ms or IDLE_FETCH_MS,
            "fetch.min.bytes": PATIENT_FETCH_BYTES if self.fetch_wait_ms else 1,
            "fetch.queue.backoff.ms": 10,
            # A larger backlog per partition only costs memory: batches are small.
            "queued.max.messages.kbytes": 16_384,
        }

    def reader(self) -> ClientSettings:
        """Make the settings of a consumer that reads on its own, without joining the group."""
        return {
            **self.client(),
            "group.id": self.group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": 100,
        }

    def producer(self) -> ClientSettings:
        """Make the settings of a producer outside of transactions.

        `murmur2_random` puts a key where Java clients and their co-partitioned topics put it;
        librdkafka's own default (CRC32) does not.
        """
        return {
            **self.client(),
            "enable.idempotence": True,
            "partitioner": "murmur2_random",
            "linger.ms": 1,
            "message.max.bytes": 8 << 20,
            "queue.buffering.max.messages": 1_000_000,
            "request.timeout.ms": 5_000,
        }

    def transactional_producer(self, turn: int) -> ClientSettings:
        """Make the settings of one of the producers whose transactions hold outputs and offsets.

        Parameters
        ----------
        turn
            Which one, below `TURNS`.
        """
        return {
            **self.producer(),
            "transactional.id": self.transactional_id(turn),
            "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS,
            "retry.backoff.ms": RETRY_BACKOFF_MS,
            # Once all its connections were lost, `rebootstrap` leaves the group's coordinator
            # behind as a broker that never answers, and `send_offsets_to_transaction` waits for
            # it for ever. A producer that finds no broker is replaced anyway.
            "metadata.recovery.strategy": "none",
            # Everything of a transaction is handed over before the flush, which ends the linger.
            "linger.ms": 5,
        }

    def fencing_producer(self, identity: str, turn: int) -> ClientSettings:
        """Make the settings of a producer that only ends what another's has open."""
        return {
            **self.transactional_producer(turn),
            "transactional.id": f"{identity}-{turn}",
            "retry.backoff.ms": 100,  # nothing is sent that could be taken for something else
        }
