"""`thalweg models promote` and `rollback`."""

import sys
from typing import TYPE_CHECKING, Final

from agents.commands.flag import Flag, Why

if TYPE_CHECKING:
    from agents.deployments.log import Entry

EX_REFUSED: Final = 1
"""Somebody else was faster."""


def promote(model: str, /, *, why: Why, json: Flag = False) -> int:
    """Let another model serve: its predictions are the ones that count, within a second.

    It has learned all along. Who served until now competes, and is who `rollback` puts back. If
    somebody else decides at the same moment, one of both is refused, and told who was faster (exit
    code 1).

    For example:

        thalweg models promote binary_hoeffding_tree_v1 --why "ROC AUC .02 better for a week"
        thalweg models promote binary_hoeffding_tree_v1 --why "as agreed" --json

    Parameters
    ----------
    model
        As `ls` names it.
    why
        For who reads the history.
    json
        Write the answer as JSON.
    """
    from agents import pipeline, settings  # noqa: PLC0415  # --help stays quick
    from agents.deployments import desk  # noqa: PLC0415

    here = settings.load()
    declared = pipeline.load(here.pipeline)
    entry = desk.promote(here, declared, model, by=desk.operator(), why=why)
    return tell(entry, _serves(entry), json=json)


def rollback(*, why: Why, json: Flag = False) -> int:
    """Put back who served before, within a second; a second rollback takes the first one back.

    For example:

        thalweg models rollback --why "conversions fell by a tenth"
        thalweg models rollback --why "false alarm" --json

    Parameters
    ----------
    why
        For who reads the history.
    json
        Write the answer as JSON.
    """
    from agents import pipeline, settings  # noqa: PLC0415  # --help stays quick
    from agents.deployments import desk  # noqa: PLC0415

    here = settings.load()
    declared = pipeline.load(here.pipeline)
    entry = desk.roll_back(here, declared, by=desk.operator(), why=why)
    return tell(entry, _serves(entry), json=json)


def tell(entry: "Entry", effect: str, *, json: bool) -> int:
    """Tell what came of a decision; tell the exit code."""
    from agents.commands.output import console, local_time, write_json  # noqa: PLC0415
    from agents.deployments.log import as_json  # noqa: PLC0415

    refusal = entry.refusal
    if json:
        write_json(as_json(entry))
    elif refusal is None:
        console().print(effect, markup=False)
    else:
        faster = refusal.faster
        at = "" if faster is None else f", at {local_time(faster.event.at)}"
        sys.stderr.write(
            f"thalweg: refused: {refusal.reason}{at}; `thalweg models history` tells more\n"
        )
    return 0 if refusal is None else EX_REFUSED


def _serves(entry: "Entry") -> str:
    return f"{entry.event.reference} serves now, not {entry.event.replaces}"
