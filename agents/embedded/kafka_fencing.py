"""Fence the dead self of a broker that was killed, before its successor starts.

To its controller, a broker that was killed lives until its session is over. A successor that starts
within that time loads its transactions as their leader, cannot write their markers before it may
register, and when the session ends the partitions are without a leader for a moment: then Kafka
takes them for deleted and completes the transactions without their markers (KAFKA-20734, open as of
4.4). What was committed in them stays invisible to `read_committed` for ever.

So the controller runs alone first, with a short session. The successor finds itself fenced and
registers at once, which makes up for most of that time: it need not wait for the session's end.
"""

import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from agents.embedded import child, kafka_properties

_LOG_LEVEL: Final = (
    "-Dorg.slf4j.simpleLogger.log.org.apache.kafka.controller.QuorumController=debug"
)
_ACTIVE: Final = b"Performing controller activation"
# Decided is not enough: a controller that is stopped now would forget what its log does not hold.
_DECIDED: Final = re.compile(rb"Read-write operation (maybeFenceStaleBroker\S+) will be completed")
_POLL_S: Final = 0.02
_SETTLE_S: Final = 3.0
"""How long an active controller may take, several of its sessions; it says nothing of a broker that
was fenced already, as after a successor that died before it registered."""
_STOP_S: Final = 5.0


def was_killed(storage: Path) -> bool:
    """Tell whether the broker that kept its data there ended without saying so."""
    return not (storage / ".kafka_cleanshutdown").exists()


def fence(
    java: Sequence[str], storage: Path, properties: Path, *, log_path: Path, timeout_s: float
) -> None:
    """Run the controller alone until it has fenced the broker of this storage.

    Parameters
    ----------
    java
        The command line up to the main class.
    properties
        Where to write the controller's configuration.
    timeout_s
        When to give up; the broker's own start will tell what is wrong then.
    """
    properties.write_text(kafka_properties.render_fencing(storage), encoding="ascii")
    log_path.unlink(missing_ok=True)
    # It lives for a second or two: too short for what the JVM compiles for long runs.
    flags = [_LOG_LEVEL, "-XX:TieredStopAtLevel=1"]
    command = [*java, *flags, "kafka.Kafka", str(properties)]
    controller = child.start(command, log_path=log_path)
    deadline = time.monotonic() + timeout_s
    is_active = False
    try:
        while controller.poll() is None and time.monotonic() < deadline:
            said = log_path.read_bytes()
            if has_fenced(said):
                return
            if not is_active and _ACTIVE in said:
                is_active, deadline = True, min(deadline, time.monotonic() + _SETTLE_S)
            time.sleep(_POLL_S)
    finally:
        child.stop(controller, _STOP_S)


def has_fenced(said: bytes) -> bool:
    """Tell from a controller's log whether it fenced a broker, and that is committed.

    >>> decided = b"Read-write operation maybeFenceStaleBroker(7) will be completed when ..."
    >>> has_fenced(decided), has_fenced(decided + b" Processed maybeFenceStaleBroker(7) in 9 us")
    (False, True)
    """
    return any(b"Processed %b in" % event in said for event in _DECIDED.findall(said))
