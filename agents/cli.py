"""The command line: `thalweg COMMAND`.

Nothing heavy is imported before it is known what is asked for: this page's list of commands answers
a bare `thalweg --help`, and each command imports what it needs when it runs.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from schemas.errors import InvalidSetting, ThalwegError

if TYPE_CHECKING:
    from cyclopts import App

EX_ERROR: Final = 2
"""What was asked cannot be done."""
EX_CONFIG: Final = 78
"""A setting is wrong (`sysexits.h`)."""
EX_INTERRUPTED: Final = 130
"""Ctrl-C, as shells tell it."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command: where it is, and what it is for."""

    name: str
    import_path: str
    purpose: str


COMMANDS: Final = (
    Command("up", "agents.commands.up:up", "Start everything on this machine and keep it running."),
    Command("worker", "agents.commands.worker:worker", "Run one worker: predict, learn, store ..."),
    Command("serve", "agents.commands.serve:serve", "Serve the ops page and the API."),
    Command("replay", "agents.commands.replay:replay", "Publish a file of events at a rate."),
    Command("topics", "agents.commands.topics:app", "List the topics, or create them."),
    Command("features", "agents.commands.features:app", "List, explain or look up features."),
    Command("offline", "agents.commands.offline:app", "Look after the offline store."),
    Command("models", "agents.commands.models:app", "See the models; decide who serves."),
    Command(
        "experiments", "agents.commands.experiments:app", "Compare a candidate with the champion."
    ),
    Command("drift", "agents.commands.drift:app", "See whether scores and features moved."),
    Command("alerts", "agents.commands.alerts:app", "See what was alerted; silence it for a time."),
    Command("reviews", "agents.commands.reviews:app", "Judge the decisions that are uncertain."),
    Command(
        "dead-letters",
        "agents.commands.dead_letters:app",
        "See, retry, drop what was set aside.",
    ),
    Command("doctor", "agents.commands.doctor:doctor", "Check this machine and its settings."),
)

OVERVIEW: Final = """\
Usage: thalweg COMMAND [OPTIONS]

User events in, predictions out: exactly once, from models that learn from every label.

Commands:
{commands}

For example:

    thalweg up                      # everything, with a replay of the bundled history
    thalweg up --no-replay          # everything, for events of your own
    thalweg replay clicks.csv.gz    # your history, through the pipeline's columns

`thalweg COMMAND --help` tells more. Settings come from the environment, with the prefix THALWEG_;
docs/settings.md lists them.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; tell the exit code."""
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    if tokens in ([], ["--help"], ["-h"]):
        sys.stdout.write(overview())
        return 0
    from cyclopts import CycloptsError  # noqa: PLC0415  # 0.2 s that a bare --help does without

    try:
        returned = application()(tokens)
        sys.stdout.flush()
        return int(returned or 0)
    except KeyboardInterrupt:
        return EX_INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough; the interpreter's last flush must not fail too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ThalwegError, CycloptsError) as error:
        sys.stderr.write(f"thalweg: {' '.join(str(error).split())}\n")
        return EX_CONFIG if isinstance(error, InvalidSetting) else EX_ERROR


def overview() -> str:
    """Write what a bare `thalweg --help` shows."""
    width = max(len(command.name) for command in COMMANDS)
    lines = (f"    {command.name:<{width}}  {command.purpose}" for command in COMMANDS)
    return OVERVIEW.format(commands="\n".join(lines))


def application() -> "App":
    """Build the parser; it imports a command's module when that command is called."""
    from cyclopts import App, Parameter  # noqa: PLC0415  # see main

    app = App(
        name="thalweg",
        help_format="plaintext",
        version=_version,
        default_parameter=Parameter(negative=()),
        suppress_keyboard_interrupt=False,
        exit_on_error=False,
        print_error=False,
        result_action="return_value",
    )
    for command in COMMANDS:
        app.command(command.import_path, name=command.name)
    return app


def _version() -> str:
    from importlib.metadata import version  # noqa: PLC0415  # rarely asked for

    return version("thalweg")


if __name__ == "__main__":
    sys.exit(main())
