"""Progress for people: a bar in a terminal, a line now and then elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

LINE_S: Final = 5.0
"""How often a log file is told."""

Report = Callable[[int, int], None]
"""Called with how much is done, and how much there is."""


@contextmanager
def progress(console: Console, title: str) -> Iterator[Report]:
    """Show how far something is, for as long as the context lasts."""
    if console.is_terminal:
        with _bar(console) as bar:
            task = bar.add_task(title, total=None, visible=False)
            yield lambda done, total: bar.update(task, completed=done, total=total, visible=True)
    else:
        yield _lines(console, title)


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("  {task.description}"),
        BarColumn(bar_width=32),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True),
        console=console,
        # Once a second would do, but a bar that moves is one that is believed.
        refresh_per_second=5,
    )


def _lines(console: Console, title: str) -> Report:
    told = time.monotonic()

    def report(done: int, total: int) -> None:
        nonlocal told
        if done == total or time.monotonic() - told >= LINE_S:
            told = time.monotonic()
            console.print(f"  {title}  {done:,}/{total:,}")

    return report
