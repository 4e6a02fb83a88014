"""`thalweg drift reference`."""

from datetime import date
from typing import Annotated

from cyclopts import Parameter

from agents.commands.flag import Flag, Why


def reference(
    *,
    first: Annotated[date | None, Parameter(name="--from")] = None,
    last: Annotated[date | None, Parameter(name="--to")] = None,
    signal: str | None = None,
    why: Why | None = None,
    json: Flag = False,
) -> int:
    """Tell what signals are held against, or choose other days for it.

    It is the first week of a signal, until somebody chooses. What is chosen is kept for as long as
    the signal comes, whatever becomes of the sketches of those days; it holds for days of event
    time that are not over yet. Levels begin at `normal` with it.

    For example:

        thalweg drift reference
        thalweg drift reference --from 2024-03-04 --to 2024-03-17 --why "windows are full now"
        thalweg drift reference --from 2024-03-04 --to 2024-03-17 --signal score --why "new model"

    Parameters
    ----------
    first
        The first day, UTC.
    last
        The last day, included.
    signal
        This one alone: a feature's name, or `score`, of all models.
    why
        For who looks at it later; takes `--from` and `--to`.
    json
        Write the answer as JSON.
    """
    import time  # noqa: PLC0415  # --help stays quick

    from agents import pipeline, settings  # noqa: PLC0415
    from agents.commands.output import console, write_json, write_table  # noqa: PLC0415
    from agents.deployments.desk import operator  # noqa: PLC0415
    from agents.monitoring import references  # noqa: PLC0415
    from agents.monitoring.references import NoReference  # noqa: PLC0415
    from agents.monitoring.sketch_fold import DAY_MS  # noqa: PLC0415
    from agents.monitoring.sketch_log import records_since  # noqa: PLC0415

    here = settings.load()
    use_case = pipeline.load(here.pipeline).use_case
    left_out: list[str] = []
    if first is None and last is None and why is None:
        found = [each for each in references.read(here).values() if each.use_case == use_case]
    elif first is None or last is None or why is None:
        raise NoReference("to choose a reference takes all of --from, --to and --why")
    else:
        day, end = ((each - date(1970, 1, 1)).days for each in (first, last))
        found, left_out = references.choose(
            records_since(here, use_case, day * DAY_MS),
            *(day, end),
            use_case=use_case,
            at_ms=time.time_ns() // 1_000_000,
            by=operator(),
            why=why,
            signal=signal,
        )
        references.publish(here, found)
    found = [each for each in found if signal in (None, each.signal)]
    found.sort(key=lambda each: (not each.model, each.model, each.signal))
    told = [references.as_row(each) for each in found]
    if json:
        write_json(told)
        return 0
    names = ("signal", "model", "from", "to", "users", "by", "why")
    rows = [
        (each["signal"], each["model"] or None, *(each[name] for name in names[2:]))
        for each in told
    ]
    write_table(names, rows)
    for name in left_out:
        console().print(f"{name}: too few users, so its reference stays what it was", markup=False)
    return 0
