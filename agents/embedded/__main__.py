"""`python -m agents.embedded`: both servers in the foreground, for developers, until Ctrl-C."""

import argparse
import signal
import sys
from contextlib import ExitStack
from pathlib import Path

from agents.embedded.errors import EmbeddedError
from agents.embedded.kafka import EmbeddedKafka
from agents.embedded.valkey import EmbeddedRedis


def main() -> None:
    """Start both, say where they are, stop both in order."""
    parser = argparse.ArgumentParser(prog="python -m agents.embedded", description=__doc__)
    parser.add_argument("--data-dir", type=Path, default=Path(".thalweg"))
    parser.add_argument("--kafka-port", type=int, default=19_092)
    parser.add_argument("--redis-port", type=int, default=16_379)
    parser.add_argument("--throughput", action="store_true", help="compile the broker fully")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stop as Ctrl-C does
    try:
        with ExitStack() as servers:
            redis = servers.enter_context(EmbeddedRedis(chosen.data_dir, chosen.redis_port))
            kafka = servers.enter_context(
                EmbeddedKafka(chosen.data_dir, chosen.kafka_port, throughput=chosen.throughput)
            )
            sys.stdout.write(f"Kafka {kafka.bootstrap}\nRedis {redis.url}\nready\n")
            sys.stdout.flush()
            signal.pause()
    except KeyboardInterrupt:
        pass
    except EmbeddedError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
