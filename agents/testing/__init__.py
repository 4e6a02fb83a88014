"""Test a pipeline without Kafka: every part of its way, in this process, on a clock of its own."""

from agents.testing.memory_topics import MemoryRecord
from agents.testing.pipeline_driver import PipelineDriver

__all__ = ["MemoryRecord", "PipelineDriver"]
