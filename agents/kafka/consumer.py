"""Faust's consumer, reduced to what a batch transport needs: it starts and ends the threads.

Faust's own bookkeeping of offsets is left out (`offsetless_consumer`): the ledger (`in_flight`)
alone says what may be committed.
"""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cached_property
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError
from confluent_kafka.admin import AdminClient
from faust.types.tuples import TP
from mode import Service

from agents.kafka.at_least_once import AtLeastOnce
from agents.kafka.batch import Batch
from agents.kafka.copartitioning import check_copartitioned
from agents.kafka.exactly_once import ExactlyOnce
from agents.kafka.in_flight import InFlight
from agents.kafka.offsetless_consumer import OffsetlessConsumer
from agents.kafka.poller import Poller
from agents.kafka.rebalance import Rebalance
from agents.kafka.restorer import Restoration, Restorer
from agents.kafka.standby import Standby
from agents.kafka.stream import assigned_channels, batch_event
from agents.kafka.takeover import take_over
from agents.kafka.watchdog import Watchdog
from schemas.errors import DeliveryFailed, InvalidSetting

JOIN_TIMEOUT_S: Final = 30.0
BEAT_EVERY_S: Final = 0.5
GIVEN_UP_EVERY_S: Final = 0.02
"""How often it is looked whether agents are through with what was given up."""
WARM_UP_TIMEOUT_S: Final = 120.0
"""A worker joins its group after so long at the latest, and restores what is still missing then."""


class BatchConsumer(OffsetlessConsumer):
    """Connects the poller, the ledger and the committer with Faust's agents."""

    logger = logging.getLogger(__name__)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        app: Any = self.app
        self._kafka = app.kafka
        self._observer = app.observer
        self._state = app.keyed_state
        self.in_flight = InFlight(self._kafka.max_in_flight, shares_state=self._state is not None)
        self._poller = Poller(
            self._kafka,
            self.in_flight,
            self._on_batches,
            self._on_kafka_error,
            on_settle=self._on_settle,
            before_joining=self._check_topics,
            before_rejoining=self._end_if_succeeded,
        )
        self._standby = (
            Standby(self._kafka, self._state, self._observer.on_standby)
            if self._state is not None and self._kafka.standby
            else None
        )
        self._restorer = (
            Restorer(
                self._kafka,
                self._state,
                self._on_restored,
                self._observer.on_restore,
                standby=self._standby,
            )
            if self._state is not None
            else None
        )
        self._rebalance = Rebalance(
            self._poller.settle,
            self.in_flight,
            self._restorer,
            self._on_change,
            before_revoke=self._before_revoke,
            take_over=self._take_over,
            incremental=self._kafka.rebalancing != "range",
            renew=self._poller.renew,
        )
        self._watchdog = Watchdog(self._kafka, self, end_after_s=self._kafka.stall_timeout_s)
        self._beat_at_s = time.monotonic()
        self._threads: list[threading.Thread] = []
        self._failure: BaseException | None = None
        self._committer: ExactlyOnce | AtLeastOnce | None = None
        self._is_initialised = False

    # ---- called by Faust, on the event loop ----------------------------------------------------

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Join the group; the first call starts the threads."""
        for channel in list(self.app.topics):
            await channel.maybe_declare()
        names = list(topics)
        if (
            self._state is not None
            and self._kafka.rebalancing == "cooperative-sticky"
            and len(names) > 1
        ):
            raise InvalidSetting(
                "THALWEG_REBALANCING: `cooperative-sticky` may give partitions of one number to"
                f" different workers, but {' and '.join(sorted(names))} share their state"
            )
        self._poller.subscribe(names, self._rebalance)
        if not self._threads:
            self._start(self._run_committer, "committer")
            if self._restorer is not None:
                self._start(self._restorer.run, "restorer")
            if self._standby is not None:
                self._start(self._standby.run, "standby")
            self._start(self._watchdog.run, "watchdog")

    def assignment(self) -> set[TP]:
        """Tell the partitions that are ours."""
        return set(self._rebalance.assigned)

    def not_ready(self) -> str | None:
        """Tell why records cannot flow; `None`: they can."""
        if not self._is_initialised:
            return "the producer is not initialised"
        if self._failure is not None:
            return f"ending: {self._failure}"
        if not self._rebalance.assigned:
            return "no partitions are assigned"
        if restoring := sorted(self._rebalance.restoring):
            return f"the state of partitions {restoring} is on its way"
        return None

    async def drain(self) -> None:
        """Stop fetching, let agents finish, commit, leave the group."""
        self._poller.close()
        self._watchdog.close()
        if self._restorer is not None:
            self._restorer.close()
        if self._standby is not None:
            self._standby.close()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + JOIN_TIMEOUT_S
        for thread in self._threads:
            left_s = max(0.0, deadline - loop.time())
            await loop.run_in_executor(None, thread.join, left_s)
            if thread.is_alive():
                self._end_process(f"the {thread.name} did not end within {JOIN_TIMEOUT_S:.0f} s")

    # ---- told to the watchdog, and to whoever asks whether we live ------------------------------

    def not_live(self) -> str | None:
        """Tell which thread gives no sign of life; `None`: all do."""
        return self._watchdog.lifeless(time.monotonic())

    @Service.task
    async def _beat(self) -> None:
        while not self.should_stop:
            self._beat_at_s = time.monotonic()
            await self.sleep(BEAT_EVERY_S)

    def signs_of_life(self) -> dict[str, float]:
        """Tell when the event loop and the poller last moved."""
        return {"event loop": self._beat_at_s, "poller": self._poller.turn_at_s}

    def hang(self) -> str | None:
        """Tell whether librdkafka is known to hang."""
        if isinstance(self._committer, ExactlyOnce) and self._committer.is_stuck:
            return f"a transaction hangs in librdkafka ({self._committer.calls.latest})"
        return None

    def awaits_broker(self) -> bool:
        """Tell whether the committer waits for a broker that is away."""
        return isinstance(self._committer, ExactlyOnce) and self._committer.calls.awaits_broker

    def oldest_in_flight(self) -> dict[TP, Batch]:
        """Tell of each partition with something in flight which batch is to get through next."""
        return self.in_flight.oldest()

    def flowing(self) -> dict[TP, int]:
        """Tell where partitions stand that may flow and have nothing in flight."""
        return {
            tp: at
            for tp, at in self._rebalance.positions().items()
            if not self.in_flight.n_records_of(tp)
        }

    def heal(self, reason: str) -> None:
        """Make the consumer anew."""
        self._poller.renew(reason)

    def end(self, reason: str) -> None:
        """End the process."""
        self._end_process(reason)

    def _end_process(self, reason: str) -> None:
        """End at once: what hangs cannot be joined. Nothing uncommitted becomes visible."""
        self.log.critical("%s; ending this worker for its successor to go on", reason)
        logging.shutdown()
        os._exit(os.EX_SOFTWARE)

    def close(self) -> None:
        """Ask the threads to end, without waiting."""
        self._poller.close()

    async def wait_empty(self) -> None:
        """Wait until nothing is in flight any more."""
        await self.drain()

    async def on_stop(self) -> None:
        """End the threads."""
        await self.drain()

    # ---- called by streams ---------------------------------------------------------------------

    def begin(self, share: Batch) -> None:
        """Note that an agent takes a batch; the first one counts."""
        self.in_flight.begin(share if share.whole is None else share.whole)

    def finish(self, share: Batch) -> None:
        """Note that one agent is through with a batch; the last one releases it."""
        batch = share if share.whole is None else share.whole
        if share is not batch:
            batch.emitted += share.emitted
        batch.awaited -= 1
        if batch.awaited == 0:
            self.in_flight.finish(batch)

    @property
    def failure(self) -> BaseException | None:
        """What ended the worker; `None`: nothing did."""
        return self._failure

    def fail(self, failure: BaseException) -> None:
        """End the worker. Callable from any thread; the first reason counts."""
        if self._failure is None:
            self._failure = failure
            self._poller.close()
            self.in_flight.close()
            self.loop.call_soon_threadsafe(
                lambda: self.app.crash_soon(failure)  # type: ignore[attr-defined]
            )

    # ---- called by the threads -----------------------------------------------------------------

    def _start(self, run: Callable[[], None], name: str) -> None:
        def guarded() -> None:
            try:
                run()
            except BaseException as failure:  # whatever it is, the worker must end
                self.log.exception("the %s ended", name)
                self.fail(failure)

        thread = threading.Thread(target=guarded, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _run_committer(self) -> None:
        committer = self._committer = (
            ExactlyOnce(self._kafka, self.in_flight, self._poller, self._observer)
            if self._kafka.delivery == "exactly_once"
            else AtLeastOnce(
                self._kafka,
                self.in_flight,
                self._poller,
                self._observer,
                changelog=None if self._state is None else self._state.changelog,
            )
        )
        if isinstance(committer, ExactlyOnce):
            committer.initialise()  # it is watched by now: librdkafka may hang here, too
        self._is_initialised = True
        if self._standby is not None:
            # Others serve our partitions until we join: not before their state is here.
            self._standby.warm_up(timeout_s=WARM_UP_TIMEOUT_S)
        # Only now: joining the group before our predecessor's transaction is ended would read
        # offsets that are about to change.
        self._start(self._poller.run, "poller")
        committer.run()

    def _on_batches(self, batches: list[Batch]) -> None:
        self.loop.call_soon_threadsafe(self._deliver, batches)

    def _deliver(self, batches: list[Batch]) -> None:
        for batch in batches:
            channels = assigned_channels(self.app, batch.tp)  # type: ignore[arg-type]
            if not channels:
                self._give_up(batch)
                continue
            for channel, share in zip(channels, batch.shared_by(len(channels)), strict=True):
                channel.queue.put_nowait(batch_event(self.app, share))  # type: ignore[arg-type]

    def _on_settle(self) -> None:
        for settle in self.app.on_settle:  # type: ignore[attr-defined]
            self.loop.call_soon_threadsafe(settle)

    def _give_up(self, batch: Batch) -> None:
        """Let a batch go that no agent takes: what is still ours must not count as processed."""
        if batch.dropped:
            self.in_flight.finish(batch)
        else:
            self.fail(DeliveryFailed(f"no agent takes {batch!r}, though its partition is ours"))

    def _on_change(self, assigned: frozenset[TP], forgotten: frozenset[int]) -> None:
        self.loop.call_soon_threadsafe(self._apply_change, assigned, forgotten)

    def _apply_change(self, assigned: frozenset[TP], forgotten: frozenset[int]) -> None:
        app: Any = self.app
        if self._state is not None:
            for partition in forgotten:
                self._state.discard(partition)
        app.topics._tp_index.clear()
        app.topics._update_tp_index(set(assigned))
        app._assignment, app.unassigned = set(assigned), not assigned
        if not app.flow_control.is_active():  # to resume again would empty the agents' queues
            app.flow_control.resume()
        self._observer.on_assigned(len(assigned))

    def _on_restored(self, restoration: Restoration) -> None:
        self.loop.call_soon_threadsafe(self._install, restoration)

    def _install(self, restoration: Restoration) -> None:
        if self.in_flight.is_still_used(restoration.partition):
            # An agent that waits within a batch we lost would go on with the new state.
            self.loop.call_later(GIVEN_UP_EVERY_S, self._install, restoration)
        elif not restoration.cancelled.is_set() and restoration.state is not None:
            self._state.install(restoration.partition, restoration.state)
            self._observer.on_restore(restoration)
            self._poller.resume_restored(restoration)

    @cached_property
    def _onlooker(self) -> AdminClient:
        # Made by the thread of calls that first asks, and never by a process without state.
        return AdminClient(self._kafka.client())

    def _check_topics(self) -> None:
        if self._state is not None:
            check_copartitioned(self._onlooker, {*self._rebalance.topics, self._state.changelog})

    def _take_over(
        self, consumer: Consumer, tps: Collection[TP], new: Collection[int]
    ) -> Mapping[TP, int] | None:
        # Whoever gives a topic more partitions causes a rebalance.
        self._check_topics()
        changelog = None if self._state is None else self._state.changelog
        return take_over(self._kafka, consumer, tps, new=new, changelog=changelog)

    def _end_if_succeeded(self) -> None:
        if isinstance(self._committer, ExactlyOnce):
            self._committer.end_if_succeeded()

    def _before_revoke(self) -> None:
        if self._kafka.delivery == "at_least_once":
            self._poller.commit_stored()

    def _on_kafka_error(self, error: KafkaError) -> None:
        self.log.warning("consumer of %s: %s", self._kafka.group, error.str())
