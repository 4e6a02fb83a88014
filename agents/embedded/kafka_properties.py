"""How the embedded broker is configured, and why."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from agents.embedded.process import HOST, free_port

NODE_ID: Final = 1
FENCING_SESSION_MS: Final = 500
"""After so long a silence a controller that runs alone takes its broker for dead."""
_MB: Final = 1 << 20

PROPERTIES: Final[dict[str, str | int]] = {
    "process.roles": "broker,controller",
    "node.id": NODE_ID,
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    # Few cores are shared with everything else: more threads only hand requests to and fro.
    "num.network.threads": 1,
    "num.io.threads": 2,
    # Topics are declared; a misspelt one must be an error.
    "auto.create.topics.enable": "false",
    "log.retention.ms": -1,
    "message.max.bytes": 8 * _MB,
    "replica.fetch.max.bytes": 8 * _MB,
    # Small: index files are allocated whole, and the cleaner's buffer is half of its default heap.
    "log.segment.bytes": 128 * _MB,
    "log.index.size.max.bytes": _MB,
    "log.cleaner.dedupe.buffer.size": 16 * _MB,
    # One broker, and every internal partition costs time at each start.
    "offsets.topic.num.partitions": 8,
    "offsets.topic.replication.factor": 1,
    "transaction.state.log.num.partitions": 4,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "share.coordinator.state.topic.num.partitions": 1,
    "share.coordinator.state.topic.replication.factor": 1,
    "share.coordinator.state.topic.min.isr": 1,
    # Should a restart wait for the session of its dead self: 3 s instead of 9.
    "broker.session.timeout.ms": 3_000,
    "broker.heartbeat.interval.ms": 1_000,
    # Workers come and go quickly, and so does what they leave behind.
    "group.initial.rebalance.delay.ms": 0,
    "group.min.session.timeout.ms": 1_000,
    "group.consumer.min.session.timeout.ms": 1_000,
    "group.consumer.min.heartbeat.interval.ms": 250,
    "group.consumer.session.timeout.ms": 6_000,
    "group.consumer.heartbeat.interval.ms": 1_000,
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": 1_000,
}


def render(storage: Path, *, address: str) -> str:
    """Write the property file of a broker that is its own controller.

    Parameters
    ----------
    storage
        Where its log segments are.
    address
        Where clients reach it, `host:port`.
    """
    controller = _controller(storage)
    return _render(
        PROPERTIES
        | controller
        | {
            "listeners": f"PLAINTEXT://{address},{controller['listeners']}",
            "advertised.listeners": f"PLAINTEXT://{address}",
        }
    )


def render_fencing(storage: Path) -> str:
    """Write the property file of its controller alone, which soon gives up a silent broker."""
    impatient: dict[str, str | int] = {
        "process.roles": "controller",
        "broker.session.timeout.ms": FENCING_SESSION_MS,
        "broker.heartbeat.interval.ms": FENCING_SESSION_MS // 5,
    }
    return _render(PROPERTIES | _controller(storage) | impatient)


def _controller(storage: Path) -> dict[str, str | int]:
    address = f"{HOST}:{free_port()}"  # only the broker itself asks it
    return {
        "log.dirs": str(storage),
        "listeners": f"CONTROLLER://{address}",
        "controller.quorum.voters": f"{NODE_ID}@{address}",
    }


def _render(properties: Mapping[str, str | int]) -> str:
    return "".join(f"{key}={escape(str(value))}\n" for key, value in properties.items())


def escape(value: str) -> str:
    r"""Write what Java's property files cannot hold as it is, such as some names of directories.

    >>> print(escape("/home/jos\u00e9/data"))
    /home/jos\u00e9/data
    """
    utf16 = value.encode("utf-16-be")
    units = (int.from_bytes(utf16[at : at + 2], "big") for at in range(0, len(utf16), 2))
    return "".join(chr(unit) if chr(unit).isascii() else f"\\u{unit:04x}" for unit in units)
