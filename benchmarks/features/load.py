"""Users that come, click for a while, and come again: the same ones for whoever is measured."""

import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from schemas.events import UserEvent

START_MS: Final = 1_704_067_200_000
ACTIONS: Final = ("view", "view", "view", "cart", "buy")
CLICKS_A_VISIT: Final = 10
SECONDS_BETWEEN_CLICKS: Final = 30.0
ITEMS: Final = 50


class Click(UserEvent, gc=False):
    """An event with something of each type that features look at."""

    ts: int  # as cleaning leaves it
    item: str | None = None


def clicks(number: int, *, away: timedelta) -> Iterator[Click]:
    """Tell what one user does, in order and for ever.

    Parameters
    ----------
    number
        Of the user, who does the same each time.
    away
        How long it is from visit to visit, on average.
    """
    chance = random.Random(number)
    at_s = chance.uniform(0, away.total_seconds())
    n = 0
    while True:
        visit, click = divmod(n, CLICKS_A_VISIT)
        pause_s = SECONDS_BETWEEN_CLICKS if click else away.total_seconds()
        at_s += chance.expovariate(1 / pause_s)
        n += 1
        yield Click(
            f"user-{number}",
            chance.choice(ACTIONS),
            START_MS + round(at_s * 1_000),
            session_id=f"visit-{visit}",
            amount=chance.randrange(10_000) / 100,
            item=f"item-{chance.randrange(ITEMS)}",
        )
