"""`thalweg worker`."""

from typing import Literal

Role = Literal["predict", "learn", "store", "watch"]


def worker(role: Role, /, *, slot: int = 0) -> int:
    """Run one worker until it is told to stop.

    For example:

        thalweg worker predict
        thalweg worker predict --slot 1    # a second one beside it
        THALWEG_DELIVERY=at_least_once thalweg worker predict

    Parameters
    ----------
    role
        `predict` scores events, `learn` teaches models, `store` keeps Redis up to date, `watch`
        measures and raises alerts.
    slot
        Which of the role's workers this is. A restarted worker with the slot of its predecessor
        takes over its partitions at once.
    """
    from agents import settings  # noqa: PLC0415  # --help stays quick
    from agents.worker import run  # noqa: PLC0415

    return run(role, slot, settings.load())
