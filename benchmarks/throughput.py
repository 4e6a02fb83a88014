"""How fast predict works off a backlog, beside the same compiled work in a bare loop.

The bare loop runs everything between Kafka and Kafka (cleaning, deduplication, features, score,
drift, label join, encoding of all outputs) on records in memory, in the same run.
"""

import time
from typing import Any

from agents.history import publisher
from agents.kafka.client_settings import Delivery
from agents.prediction.partition import Partition
from agents.prediction.served_models import Served
from benchmarks import shop
from benchmarks.rig import Rig
from schemas import topics

N_EVENTS = 120_000
WARM_UP = 0.15
"""Share of the backlog left out: imports, first touches, the broker's compiler."""


def bare_loop() -> float:
    """Measure events a second without Kafka."""
    learner = shop.trained_champion()
    champion = Served(learner.model, learner.version, 0, learner.scorer())
    partition = Partition(0, shop.plan())
    partition.complete()
    batches = shop.batches(shop.events(N_EVENTS))
    skipped = int(len(batches) * WARM_UP)
    started_at = 0.0
    now_ms = time.time_ns() // 1_000_000
    for index, batch in enumerate(batches):
        if index == skipped:
            started_at = time.perf_counter()
        partition.process_events(batch, {champion.name: champion}, now_ms)
        batch.emitted.clear()
    n = sum(len(batch) for batch in batches[skipped:])
    return n / (time.perf_counter() - started_at)


def backlog(delivery: Delivery) -> float:
    """Measure events a second from Kafka to Kafka."""
    with Rig(delivery) as rig:
        events = shop.events(N_EVENTS)
        for _ in publisher.publish(
            events, 0, rig.settings, topics.USER_EVENTS.name, lambda event_id: None
        ):
            pass
        rig.start_worker()
        first = (time.perf_counter(), 0.0)
        while True:
            done, now = rig.sample("thalweg_predictions_total"), time.perf_counter()
            if done < N_EVENTS * WARM_UP:
                first = (now, done)
            elif done >= N_EVENTS and rig.sample("thalweg_in_flight_records") == 0:
                return (N_EVENTS - first[1]) / (now - first[0])
            time.sleep(0.1)


def run() -> dict[str, Any]:
    """Measure all three, and the ratios."""
    bare = bare_loop()
    figures: dict[str, Any] = {"bare_loop_per_s": round(bare)}
    deliveries: tuple[Delivery, ...] = ("at_least_once", "exactly_once")
    for delivery in deliveries:
        per_s = backlog(delivery)
        figures[f"{delivery}_per_s"] = round(per_s)
        figures[f"{delivery}_ratio"] = round(per_s / bare, 2)
    return figures
