"""A committer in this process, on a broker behind a proxy, given batches one by one."""

import threading
import uuid
from collections import Counter

from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from faust.types.tuples import TP

from agents.kafka.batch import Batch
from agents.kafka.client_settings import KafkaSettings
from agents.kafka.exactly_once import ExactlyOnce
from agents.kafka.in_flight import InFlight
from agents.kafka.log_reader import read_to_end
from agents.kafka.offsets import committed_offsets
from schemas.errors import Fenced
from tests.agents.kafka.fake_transactions import Notes
from tests.faults.proxy_rules import Hold, Message
from tests.waiting import wait_until

PARTITIONS = 2


class Member:
    """A group member as the committer knows it; its first answer may be one of the past."""

    def __init__(self, settings):
        self._consumer = Consumer(settings.reader())
        self.stale = None

    def group_metadata(self, *, timeout_s):
        return self.stale or self._consumer.consumer_group_metadata()

    def refresh_group_metadata(self):
        self.stale = None

    def close(self):
        self._consumer.close()


class Rig:
    """A committer on a real broker, given batches one by one."""

    def __init__(self, cluster):
        self.proxy = cluster.brokers[0].proxy
        self.prefix = f"t{uuid.uuid4().hex[:8]}-"
        self.settings = KafkaSettings(bootstrap=cluster.bootstrap, group=f"{self.prefix}group")
        self.out = f"{self.prefix}out"
        self.events = TP(f"{self.prefix}events", 0)
        self._create(self.out, self.events.topic)
        self.member, self.notes = Member(self.settings), Notes()
        self.ledger = InFlight(max_records=1_000)
        self.n_sent = 0
        self.fenced: Fenced | None = None
        self._committer = ExactlyOnce(self.settings, self.ledger, self.member, self.notes)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        try:
            self._committer.initialise()
            self._committer.run()
        except Fenced as fenced:
            self.fenced = fenced

    def _create(self, *names):
        admin = AdminClient({"bootstrap.servers": self.settings.bootstrap})
        for created in admin.create_topics([NewTopic(n, PARTITIONS, 1) for n in names]).values():
            created.result(30)
        wait_until(lambda: set(names) <= admin.list_topics(timeout=5).topics.keys())

    def begin(self):
        """Hand over a batch of two records, whose outputs go to two partitions."""
        first, self.n_sent = self.n_sent, self.n_sent + PARTITIONS
        batch = Batch(self.events, [None] * PARTITIONS, self.n_sent)  # type: ignore[list-item]
        for partition in range(PARTITIONS):
            batch.emit(self.out, b"%d" % (first + partition), partition=partition)
        self.ledger.add(batch)
        self.ledger.begin(batch)
        self.ledger.finish(batch)

    def end(self):
        """Wait until everything handed over is committed."""
        wait_until(lambda: self.ledger.n_records == 0, 60)

    def commit(self):
        self.begin()
        self.end()

    def be_taken_for_a_former_self(self):
        """Answer with an identity that the group has forgotten, as after a rebalance."""
        former = Consumer(self.settings.reader())
        former.subscribe([self.events.topic])
        wait_until(lambda: former.poll(0.1) or former.assignment(), 30)
        self.member.stale = former.consumer_group_metadata()
        former.close()

    def hold(self, api_key, *, direction="request", **how):
        rule = Hold(direction=direction, api_key=api_key, times=1, **how)
        self.proxy.add(rule)
        return rule

    def let_go(self, rule):
        """Let a held request go on to the broker, and wait for the answer."""
        answered = Message("response", rule.api_key)
        before = self.proxy.seen[answered]
        self.proxy.remove(rule)
        wait_until(lambda: self.proxy.seen[answered] > before, 30)

    def cut_client_at(self, rule):
        """Cut the client off once its request is held: it will repeat the request."""
        wait_until(lambda: rule.n_taken == 1, 30)
        self.proxy.cut_clients()

    def times_seen(self):
        return Counter(
            int(value or b"")
            for partition in range(PARTITIONS)
            for _, _, value in read_to_end(self.settings, TP(self.out, partition))
        )

    @property
    def anomalies(self):
        """Tell how often a reader of committed records sees a number, if not once."""
        seen = self.times_seen()
        return {number: seen[number] for number in range(self.n_sent) if seen[number] != 1}

    @property
    def committed_offset(self):
        return committed_offsets(self.settings, [self.events], timeout_s=10)[self.events]

    def close(self):
        self.proxy.heal()
        self.ledger.close()
        self._thread.join(60)
        self.member.close()
