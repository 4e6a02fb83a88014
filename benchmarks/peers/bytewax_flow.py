"""Bytewax, with recovery on and an epoch of a second; runs in an environment of its own.

Its sink flushes after each batch that the source gives it.
"""

from datetime import timedelta
from pathlib import Path
from typing import Any

from bytewax import operators as op  # type: ignore[import-not-found]  # in its environment only
from bytewax._bytewax import cli_main, init_db_dir  # type: ignore[import-not-found]  # likewise
from bytewax.connectors.kafka import (  # type: ignore[import-not-found]  # likewise
    KafkaSink,
    KafkaSinkMessage,
    KafkaSource,
)
from bytewax.dataflow import Dataflow  # type: ignore[import-not-found]  # likewise
from bytewax.recovery import RecoveryConfig  # type: ignore[import-not-found]  # likewise

from benchmarks.peers import task as peer

EPOCH = timedelta(seconds=1)


def main() -> None:
    """Run a dataflow with one step."""
    task, work = peer.begin()
    producer = {
        "partitioner": "murmur2_random",
        "enable.idempotence": "true",
        "linger.ms": str(task.linger_ms),
    }

    def predict(message: Any) -> Any:  # noqa: ANN401  # its types are in its environment
        return KafkaSinkMessage(message.key, work.process(message.value))

    flow = Dataflow("peer")
    source = op.input("source", flow, KafkaSource([task.bootstrap], [task.source]))
    predicted = op.map("predict", source, predict)
    op.output("target", predicted, KafkaSink([task.bootstrap], task.target, producer))
    init_db_dir(Path(task.directory), 1)
    cli_main(flow, epoch_interval=EPOCH, recovery_config=RecoveryConfig(task.directory))


if __name__ == "__main__":
    main()
