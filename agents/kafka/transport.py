"""The transport that Faust finds under the scheme `rdkafka://` (see `pyproject.toml`)."""

from typing import Final

import confluent_kafka
from faust.transport import base

from agents.kafka.consumer import BatchConsumer
from agents.kafka.producer import BatchProducer

SCHEME: Final = "rdkafka"


class Transport(base.Transport):
    """Agents on librdkafka."""

    Consumer = BatchConsumer
    Producer = BatchProducer
    default_port = 9092
    driver_version = f"confluent-kafka {confluent_kafka.__version__}"
