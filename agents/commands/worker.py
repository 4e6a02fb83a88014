"""`thalweg worker`."""

from typing import Literal

from agents.commands.flag import Slot, Standby
from agents.commands.override import override

Role = Literal["predict", "aggregate", "learn", "store", "watch", "archive"]


def worker(role: Role, /, *, slot: Slot = 0, standby: Standby = None) -> int:
    """Run one worker until it is told to stop.

    For example:

        thalweg worker predict
        thalweg worker predict --slot 1    # a second one beside it
        thalweg worker predict --slot 1 --standby 1    # ready to take over from the first
        THALWEG_DELIVERY=at_least_once thalweg worker predict

    Parameters
    ----------
    role
        Scores events, keeps the features of entities that are not of one user, teaches models,
        keeps Redis up to date, raises alerts, or writes what was predicted and what came of it to
        Parquet.
    slot
        Which of the role's workers this is: its successor takes over its partitions at once.
    standby
        Keep warm copies of the state that this worker would take over if so many others went
        (THALWEG_STANDBY).
    """
    from agents import settings  # noqa: PLC0415  # --help stays quick
    from agents.worker import run  # noqa: PLC0415

    override({"STANDBY": standby})
    return run(role, slot, settings.load())
