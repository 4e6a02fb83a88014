"""How bad it is: a level that is entered on evidence, and left on evidence.

Each level begins at a line. What crossed a line is at its level from then on, and stays there until
it is back behind a line that is easier to hold: so nothing flaps that stands on a line.
"""

from typing import Final

from schemas.alerts import Level

LEVELS: Final[tuple[Level, ...]] = ("normal", "warning", "critical")
"""What can be measured is at one of these, mildest first. `emergency` is that nothing is left to
measure."""


def next_level(now: Level, *, entered: int, not_left: int) -> Level:
    """Tell the level that follows.

    Parameters
    ----------
    entered
        How many lines are crossed for sure.
    not_left
        How many lines, of those crossed once, it is not back behind.

    Examples
    --------
    >>> next_level("normal", entered=1, not_left=1)
    'warning'
    >>> next_level("critical", entered=0, not_left=2), next_level("critical", entered=0, not_left=1)
    ('critical', 'warning')
    >>> next_level("normal", entered=0, not_left=2)  # what was never entered is not stayed in
    'normal'
    """
    return LEVELS[max(entered, min(LEVELS.index(now), not_left))]


def is_worse(level: Level, than: Level) -> bool:
    """Compare two levels.

    >>> is_worse("critical", than="warning"), is_worse("normal", than="normal")
    (True, False)
    """
    return LEVELS.index(level) > LEVELS.index(than)
