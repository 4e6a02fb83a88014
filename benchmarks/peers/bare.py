"""The work alone in a loop, without Kafka. Prints events/s and CPU µs/event as JSON.

Argument: `{"n": …, "n_warm_up": …}`.
"""

import json
import sys
import time

from benchmarks.peers.events import events
from benchmarks.peers.work import Work

told = json.loads(sys.argv[1])
n, n_warm_up = told["n"], told["n_warm_up"]
values = [event.value(0) for event in events(n)]
process = Work().process
for value in values[:n_warm_up]:
    process(value)
started_at, started_cpu = time.perf_counter(), time.process_time()
for value in values[n_warm_up:]:
    process(value)
seconds, cpu_s = time.perf_counter() - started_at, time.process_time() - started_cpu
n_measured = n - n_warm_up
print(json.dumps({"per_s": n_measured / seconds, "cpu_us": cpu_s / n_measured * 1e6}))
