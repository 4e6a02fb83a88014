"""The open loop of the soak, as a process of its own: BOOTSTRAP RATE SECONDS."""

import sys
import time
from typing import Final

from confluent_kafka import Producer

from agents.history.pacing import Schedule
from agents.kafka.client_settings import KafkaSettings
from benchmarks.soak.visitors import Visitors
from schemas import topics

STEP_S: Final = 0.002


def main() -> None:
    """Publish each event when it is due, stamped with that moment."""
    bootstrap, rate, seconds = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
    schedule = Schedule(rate, int(rate * seconds))
    producer = Producer(KafkaSettings(bootstrap=bootstrap, group="soak").producer())
    producer.list_topics(topics.USER_EVENTS.name, timeout=10)  # connect before the first is due
    started_ms = time.time() * 1_000
    visitors = Visitors(int(started_ms), int(seconds * 1_000))
    n_sent = 0
    while n_sent < schedule.n:
        for number in range(n_sent, schedule.due(time.time() - started_ms / 1_000)):
            due_ms = int(started_ms + schedule.due_at_s(number) * 1_000)
            key, value = visitors.event(number, due_ms)
            try:
                producer.produce(topics.USER_EVENTS.name, value, key, timestamp=due_ms)
            except BufferError:  # the broker is behind; what is due stays due
                break
            n_sent = number + 1
        producer.poll(STEP_S)
    if producer.flush(60):
        raise SystemExit("events were not delivered")


if __name__ == "__main__":
    main()
