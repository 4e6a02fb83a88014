"""Read what a version was, for whoever goes on from it."""

from faust.types.tuples import TP

from agents.kafka.client_settings import KafkaSettings
from agents.kafka.log_reader import read_to_end
from online_models.chunks import snapshot_of


def read(kafka: KafkaSettings, topic: str, reference: str) -> bytes | None:
    """Read the snapshot of a version, `name@version`; `None`: `models` has none.

    Raises
    ------
    DeliveryFailed
        The topic cannot be read.
    """
    records = ((key, value) for _, key, value in read_to_end(kafka, TP(topic, 0)))
    return snapshot_of(records, reference)
