"""A steady population of visitors, whose event time runs faster than the clock.

The shop's history has some hundred users and ends; a soak needs many, who come back for as long as
it takes. Event time is sped up so that windows, waiting labels and remembered ids come and go
within the soak, and ends at the present: what is ahead of the clock would be set aside.
"""

import random
from typing import Final

import orjson

from benchmarks import shop

USERS: Final = 50_000
SPEED: Final = 60
"""Event time over clock time."""
USER_DIGITS: Final = len(str(USERS - 1))


class Visitors:
    """Makes events by number.

    Parameters
    ----------
    start_ms
        Clock time of the first event.
    span_ms
        How long the soak takes.
    """

    def __init__(self, start_ms: int, span_ms: int, *, seed: int = 1) -> None:
        self._random = random.Random(seed)
        self._end_ms = start_ms + span_ms
        self._clicks = []
        for event in shop.history():
            fields = orjson.loads(event.value)
            for name in ("user_id", "event_id", "ts", "session_id"):
                fields.pop(name, None)
            self._clicks.append(orjson.dumps(fields)[1:])

    def event(self, number: int, at_ms: int) -> tuple[bytes, bytes]:
        """Make the key and the value of one event that is due at a clock time."""
        user_id = b"visitor-%0*d" % (USER_DIGITS, self._random.randrange(USERS))
        event_ms = self._end_ms - (self._end_ms - at_ms) * SPEED
        click = self._clicks[number % len(self._clicks)]
        return user_id, b'{"user_id":"%b","event_id":"soak-%d","ts":%d,%b' % (
            user_id,
            number,
            event_ms,
            click,
        )
