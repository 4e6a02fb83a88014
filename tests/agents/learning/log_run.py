"""A log of outcomes that a pipeline learns, batch by batch."""

import msgspec

from agents.testing import PipelineDriver
from schemas import topics
from tests.agents.record import Record, batch

BATCH = 100


class LogRun:
    """Learns the log up to where a test wants it, and dies where it wants it."""

    def __init__(self, pipeline, log):
        self.driver, self.log, self.learned = PipelineDriver(pipeline), log, 0

    def learn(self, n=BATCH):
        values = map(msgspec.msgpack.encode, self.log[self.learned : self.learned + n])
        self.learned += n
        self.driver.append(*values, topic=topics.OUTCOMES, key=b"")
        self.driver.process()

    def learn_until(self, end):
        while self.learned < end:
            self.learn()
        return self

    def die_in_the_middle(self):
        """Learn a batch that is never committed."""
        records = [
            Record(msgspec.msgpack.encode(each), offset=self.learned + n)
            for n, each in enumerate(self.log[self.learned : self.learned + BATCH])
        ]
        training = self.driver._training
        training.learn(batch(records, topic=topics.OUTCOMES.name), self.driver.now_ms)
        self.driver.crash("learn")
