"""A read_committed reader, as a process of its own: BOOTSTRAP N SKIP.

Prints the percentiles of the time from an event's intended publication to its prediction being
visible here, in ms, as JSON.
"""

import gc
import json
import sys
import time

import msgspec
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from agents.kafka.client_settings import KafkaSettings
from agents.settings import Settings
from schemas import topics
from schemas.predictions import Prediction

QUIET_S = 15.0

gc.disable()  # it would stop the clock
bootstrap, n, skip = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
reader = Consumer(KafkaSettings(bootstrap=bootstrap, group="bench-reader").reader())
partitions = Settings().partitions
reader.assign(
    [TopicPartition(topics.PREDICTIONS.name, p, OFFSET_BEGINNING) for p in range(partitions)]
)
decode = msgspec.json.Decoder(Prediction).decode
latencies: list[float] = []
seen: set[str] = set()
n_doubled = 0
heard_at = time.monotonic()
while len(seen) < n and time.monotonic() - heard_at < QUIET_S:
    message = reader.poll(0.5)
    if message is None or message.error() is not None:
        continue
    heard_at, now_ms = time.monotonic(), time.time() * 1_000
    prediction = decode(message.value() or b"")
    n_doubled += prediction.event_id in seen
    seen.add(prediction.event_id)
    latencies.append(now_ms - prediction.published_at)
reader.close()
steady = sorted(latencies[skip:])
quantiles = {f"p{q}": round(steady[int(len(steady) * q / 100)], 1) for q in (50, 95, 99)}
print(json.dumps({**quantiles, "lost": n - len(seen), "duplicated": n_doubled}))
