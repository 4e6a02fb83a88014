"""The reader, as a process of its own: read_committed, and a clock.

Prints percentiles, last, of the time from when an event was due to when its prediction was read, in
ms. Argument: `{"bootstrap": …, "topic": …, "n": …, "n_skipped": …}`; predictions of the first
events, by their number, are left out of the percentiles and not out of what was lost or duplicated.
"""

import gc
import json
import sys
import time
from collections import Counter

import orjson
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition

from agents.kafka.client_settings import KafkaSettings
from benchmarks.peers.percentiles import percentiles
from benchmarks.peers.task import N_PARTITIONS

QUIET_S = 15.0


def read(reader: Consumer, n: int) -> list[tuple[Message, int]]:
    """Read until there are n predictions or no more come; tell when each was read.

    The first of them, which are there already, make the line `reading` appear.
    """
    found: list[tuple[Message, int]] = []
    heard_at = time.monotonic()
    while len(found) < n and time.monotonic() - heard_at < QUIET_S:
        first = reader.poll(0.5)
        if first is None:
            continue
        # `consume(n, timeout)` would wait for all n.
        messages = (first, *reader.consume(1_000, 0))
        now_ns = time.time_ns()
        heard_at = time.monotonic()
        if not found:
            print("reading", flush=True)
        found += [(message, now_ns) for message in messages if message.error() is None]
    return found


def main() -> None:
    """Read, then reckon."""
    told = json.loads(sys.argv[1])
    gc.disable()  # what was read is kept: to look through it again and again would stop the clock
    settings = KafkaSettings(bootstrap=told["bootstrap"], group="latency-reader").reader()
    reader = Consumer({**settings, "enable.partition.eof": False})
    reader.assign([TopicPartition(told["topic"], p, OFFSET_BEGINNING) for p in range(N_PARTITIONS)])
    found = read(reader, told["n"])
    reader.close()
    times_seen: Counter[int] = Counter()
    latencies_ms = []
    for message, read_ns in found:
        prediction = orjson.loads(message.value() or b"")
        times_seen[prediction["event_id"]] += 1
        if prediction["event_id"] >= told["n_skipped"]:
            latencies_ms.append((read_ns - prediction["due"]) / 1e6)
    lost = told["n"] - len(times_seen)
    duplicated = times_seen.total() - len(times_seen)
    print(json.dumps({**percentiles(latencies_ms), "lost": lost, "duplicated": duplicated}))


if __name__ == "__main__":
    main()
