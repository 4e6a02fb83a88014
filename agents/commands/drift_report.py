"""`thalweg drift report`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from agents.commands.flag import Flag


def report(
    *,
    since: str = "7d",
    out: Annotated[Path, Parameter(name="--out")] = Path("drift.html"),
    weekly: Path | None = None,
    json: Flag = False,
) -> int:
    """Write a page that shows how scores and features moved, from the offline store.

    The last days are compared with as many before them. What is compared are outcomes: features as
    they were served, and the score. Takes Evidently, an extra of Thalweg's. Its verdicts rest on
    fixed limits; whether a change is more than chance `thalweg drift show` tells.

    With `--weekly` it writes a page for each of the last four weeks, Monday to Sunday (UTC), that
    is over, with the horizon of its labels, and has none yet: to be run once a day, by cron or
    whatever else there is.

    For example:

        thalweg drift report --since 7d --out drift.html
        thalweg drift report --since 4w --json
        thalweg drift report --weekly reports    # writes reports/drift-2024-W15.html

    Parameters
    ----------
    since
        How far back, before the newest outcome: `7d`, `4w`.
    out
        The file to write.
    weekly
        The directory with a page a week; takes the place of `--since` and `--out`.
    json
        Write what was compared as JSON.
    """
    import msgspec  # noqa: PLC0415  # --help stays quick

    from agents import pipeline, settings  # noqa: PLC0415
    from agents.commands.output import console, write_json  # noqa: PLC0415
    from agents.monitoring import drift_report  # noqa: PLC0415
    from agents.monitoring.spans import days  # noqa: PLC0415
    from agents.offline.file_system import FileSystem  # noqa: PLC0415

    here = settings.load()
    files, declared = FileSystem(here.offline_store), pipeline.load(here.pipeline)
    evidently = drift_report.load()
    if weekly is None:
        found = drift_report.gather(files, declared, days(since))
        written = [drift_report.write(evidently, found, out)]
        write_json(msgspec.to_builtins(written[0])) if json else None
    else:
        written = [
            drift_report.write(evidently, found, path)
            for found, path in drift_report.missing_weeks(files, declared, weekly)
        ]
        write_json(msgspec.to_builtins(written)) if json else None
        if not written and not json:
            console().print(f"{weekly}: no week is over that has no page", markup=False)
    if json:
        return 0
    for each in written:
        console().print(
            f"{each.path}: {each.rows} outcomes from {each.first} to {each.last}, against "
            f"{each.reference_rows} before",
            markup=False,
        )
        for name in each.left_out:
            console().print(f"{name} has no value in one of them, and is left out", markup=False)
    return 0
