"""Committed offsets of a group, as a witness of which batches are through."""

from collections.abc import Iterable

from confluent_kafka import Consumer, TopicPartition
from faust.types.tuples import TP

from agents.kafka.client_settings import KafkaSettings


def committed_offsets(
    settings: KafkaSettings, tps: Iterable[TP], *, timeout_s: float
) -> dict[TP, int]:
    """Ask for stable committed offsets: those of open transactions are waited for (KIP-447).

    A partition without a commit is missing from the result.
    """
    witness = Consumer(settings.reader())
    try:
        found = witness.committed([TopicPartition(*tp) for tp in tps], timeout=timeout_s)
    finally:
        witness.close()
    return {TP(each.topic, each.partition): each.offset for each in found if each.offset >= 0}
