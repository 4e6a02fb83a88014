"""Test without Kafka: a pipeline, or the agents of any app, in this process, on their own clock."""

from agents.testing.app_driver import AppDriver
from agents.testing.memory_topics import MemoryRecord
from agents.testing.pipeline_driver import PipelineDriver

__all__ = ["AppDriver", "MemoryRecord", "PipelineDriver"]
