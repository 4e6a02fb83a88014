"""The open loop, as a process of its own: BOOTSTRAP RATE SECONDS."""

import gc
import sys

from agents.history import publisher
from agents.settings import Settings
from benchmarks import shop
from schemas import topics

gc.disable()  # it would stop the generator, and look like a stall of the worker
bootstrap, rate, seconds = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
events = shop.events(int(rate * seconds))
settings = Settings(kafka_bootstrap=bootstrap)
for _ in publisher.publish(events, rate, settings, topics.USER_EVENTS.name, lambda event_id: None):
    pass
