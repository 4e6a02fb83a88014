"""How commands answer: aligned columns for people, JSON for programs."""

import sys
from collections.abc import Sequence
from datetime import datetime

import orjson
from rich.console import Console
from rich.markup import escape
from rich.table import Table

_WIDE = 200


def console(*, stderr: bool = False) -> Console:
    """Open the terminal; into a pipe, lines are not wrapped at a width that nobody has."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, highlight=False, width=None if stream.isatty() else _WIDE)


def write_json(answer: object) -> None:
    """Write an answer for a program, on one line."""
    sys.stdout.write(orjson.dumps(answer).decode() + "\n")


def write_table(titles: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Write rows for people; numbers are aligned to the right."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    for index, title in enumerate(titles):
        numeric = all(isinstance(row[index], int | float | None) for row in rows)
        table.add_column(title, justify="right" if rows and numeric else "left")
    for row in rows:
        # Not as markup: brackets in what somebody wrote are what they wrote.
        table.add_row(*("-" if cell is None else escape(str(cell)) for cell in row))
    console().print(table)


def local_time(at_ms: int) -> str:
    """Write a time point as the clock on the wall shows it; one beyond the calendar as it is.

    >>> local_time(1_795_910_400_000)[:5], local_time(10**18)
    ('2026-', '1000000000000000000 ms')
    """
    try:
        at = datetime.fromtimestamp(at_ms / 1_000).astimezone()
    except (ValueError, OverflowError, OSError):  # anybody may write anything to a topic
        return f"{at_ms} ms"
    return f"{at:%Y-%m-%d %H:%M:%S}"
