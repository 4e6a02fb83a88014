"""Committed offsets of a group, as a witness of which batches are through, and by whom."""

from collections.abc import Iterable
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaException, TopicPartition
from faust.types.tuples import TP

from agents.kafka.client_settings import KafkaSettings


class Commit(NamedTuple):
    """The last commit of a partition."""

    offset: int
    identity: str
    """Group and slot of the worker; empty if it is not known."""


def commits(
    settings: KafkaSettings, tps: Iterable[TP], *, timeout_s: float, stable: bool = True
) -> dict[TP, Commit]:
    """Ask for the last commits.

    A partition without a commit is missing from the result.

    Parameters
    ----------
    stable
        Wait for the end of open transactions that hold offsets (KIP-447); else what was
        committed before them is told at once.

    Raises
    ------
    KafkaException
        No answer in time, or none for one of the partitions: taken for a partition without a
        commit, it would be processed from its beginning.
    """
    isolation = {} if stable else {"isolation.level": "read_uncommitted"}
    witness = Consumer(settings.reader() | isolation)
    try:
        found = witness.committed([TopicPartition(*tp) for tp in tps], timeout=timeout_s)
    finally:
        witness.close()
    for each in found:
        if each.error is not None:
            raise KafkaException(each.error)
    return {
        TP(each.topic, each.partition): Commit(each.offset, each.metadata or "")
        for each in found
        if each.offset >= 0
    }


def committed_offsets(
    settings: KafkaSettings, tps: Iterable[TP], *, timeout_s: float
) -> dict[TP, int]:
    """Ask for stable committed offsets; a partition without a commit is missing."""
    return {tp: commit.offset for tp, commit in commits(settings, tps, timeout_s=timeout_s).items()}
