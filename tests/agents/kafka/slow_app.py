"""The counting app, whose first batch takes longer than a member may go without a poll.

Usage: slow_app.py SETTINGS-AS-JSON
"""

import json
import sys
import time

import faust

from agents.kafka.client_settings import SESSION_TIMEOUT_MS, KafkaSettings
from tests.agents.kafka import counting_app

BATCH_S = 1.3 * SESSION_TIMEOUT_MS / 1_000


class ImpatientSettings(KafkaSettings):
    def consumer(self):
        # The shortest that librdkafka takes.
        return super().consumer() | {"max.poll.interval.ms": SESSION_TIMEOUT_MS}


class SlowCounts(counting_app.Counts):
    """State that takes its time, once; the event loop waits for it, as for any computation."""

    is_slow = True

    def install(self, partition, restored):
        super().install(partition, restored)
        counts = self.by_partition[partition] = SlowDict(self.by_partition[partition])
        counts.owner = self


class SlowDict(dict):  # type: ignore[type-arg]
    owner: SlowCounts

    def get(self, *args):
        if self.owner.is_slow:
            self.owner.is_slow = False
            sys.stderr.write("slow now\n")
            time.sleep(BATCH_S)
            sys.stderr.write("slow no more\n")
        return super().get(*args)


if __name__ == "__main__":
    app = counting_app.build(
        make_settings=ImpatientSettings, make_counts=SlowCounts, **json.loads(sys.argv[1])
    )
    faust.Worker(app, loglevel="info", redirect_stdouts=False).execute_from_commandline()
