"""The generator, as a process of its own: publishes when it is due, whatever becomes of it.

Each event carries the moment at which it was due, not that at which it was sent: a stall, be it the
generator's, the broker's or the peer's, counts for every event that was due meanwhile.
Argument: `{"bootstrap": …, "topic": …, "rate": …, "n": …, "first_id": …}`.
"""

import gc
import json
import sys
import time

from confluent_kafka import Producer

from benchmarks.peers.events import events

BEGIN_IN_S = 0.5
SHORTEST_SLEEP_S = 0.000_5


def main() -> None:
    """Publish n events at the rate."""
    told = json.loads(sys.argv[1])
    topic, step_ns = told["topic"], 1_000_000_000 // told["rate"]
    gc.disable()  # it would stop the generator, and look like a stall of whoever is measured
    made = list(events(told["n"], told["first_id"]))
    producer = Producer(
        {
            "bootstrap.servers": told["bootstrap"],
            "enable.idempotence": True,
            "partitioner": "murmur2_random",
            "linger.ms": 1,
        }
    )
    producer.list_topics(topic, timeout=10)  # connect before the first is due
    due_ns = time.time_ns() + int(BEGIN_IN_S * 1e9)
    for event in made:
        while (early_ns := due_ns - time.time_ns()) > 0:
            producer.poll(0)
            time.sleep(max(early_ns / 1e9, SHORTEST_SLEEP_S))
        producer.produce(topic, event.value(due_ns), event.key)
        due_ns += step_ns
    if producer.flush(60):
        raise SystemExit("events were not delivered")


if __name__ == "__main__":
    main()
