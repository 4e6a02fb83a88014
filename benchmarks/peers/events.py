"""The events that all peers are given: always the same ones."""

import random
from collections.abc import Iterator
from typing import NamedTuple

N_USERS = 2_000
STEP_MS = 250
"""Event time between two events; a user's hour holds about seven."""


class Event(NamedTuple):
    """A record that lacks nothing but the moment when it was due."""

    key: bytes
    unfinished: bytes

    def value(self, due_ns: int) -> bytes:
        """Give the bytes of the record.

        >>> next(events(1)).value(5)[-9:]
        b',"due":5}'
        """
        return b'%s,"due":%d}' % (self.unfinished, due_ns)


def events(n: int, first_id: int = 0) -> Iterator[Event]:
    """Make n events, numbered from `first_id` on."""
    chance = random.Random(first_id)
    for event_id in range(first_id, first_id + n):
        user = b"user-%d" % chance.randrange(N_USERS)
        amount = chance.lognormvariate(3, 1)
        bought = b"true" if chance.random() < amount / 100 else b"false"
        yield Event(
            user,
            b'{"event_id":%d,"user_id":"%s","ts":%d,"amount":%.2f,"action":"view","bought":%s'
            % (event_id, user, 1_700_000_000_000 + event_id * STEP_MS, amount, bought),
        )
