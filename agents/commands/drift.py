"""`thalweg drift`."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from agents.commands.flag import Flag

app = App(
    name="drift",
    help="""See whether scores and features are still what they were.

For example:

    thalweg drift show
    thalweg drift report --since 7d --out drift.html
""",
)


@app.command
def show(*, json: Flag = False) -> int:
    """Tell what the last day of each signal says against its reference, of all partitions together.

    A signal is what a model scores, or a feature. Its reference is its first week. `p` is how
    probable such a day is if nothing had changed, corrected for all signals that were compared;
    from .001 down the signal is said to have moved. `index` is the population stability index, and
    `by chance` what it is on average without any change: read it only beside that.

    For example:

        thalweg drift show
        thalweg drift show --json

    Parameters
    ----------
    json
        Write the answer as JSON.
    """
    from agents import pipeline, settings  # noqa: PLC0415  # --help stays quick
    from agents.admin import topic_reader  # noqa: PLC0415
    from agents.commands.output import write_json, write_table  # noqa: PLC0415
    from agents.monitoring.drift_view import REFERENCE_DAYS  # noqa: PLC0415
    from agents.monitoring.global_view import readings_of, told  # noqa: PLC0415
    from schemas import topics  # noqa: PLC0415

    here = settings.load()
    declared = pipeline.load(here.pipeline)
    topic = topics.SKETCHES.named(here.topic_prefix)
    values = (message.value() for message in topic_reader.read_to_end(here, topic))
    readings = [told(reading) for reading in readings_of(values, declared.use_case)]
    if json:
        write_json(readings)
        return 0
    titles = ("signal", "model", "level", "day", "users", "index", "by chance", "distance", "p")
    columns = ("index", "index_by_chance", "distance", "p")
    rows = [
        (
            *(each["signal"], each["model"] or None),
            f"reference: day {each['reference_days']} of {REFERENCE_DAYS}"
            if each["day"] is None
            else each["level"],
            *(each["day"], None if each["users"] is None else round(each["users"])),
            *(None if each[name] is None else float(f"{each[name]:.3g}") for name in columns),
        )
        for each in readings
    ]
    write_table(titles, rows)
    return 0


@app.command
def report(
    *,
    since: str = "7d",
    out: Annotated[Path, Parameter(name="--out")] = Path("drift.html"),
    json: Flag = False,
) -> int:
    """Write a page that shows how scores and features moved, from the offline store.

    The last days are compared with as many before them. What is compared are outcomes: features as
    they were served, and the score. Takes Evidently, an extra of Thalweg's. Its verdicts rest on
    fixed limits; whether a change is more than chance `thalweg drift show` tells.

    For example:

        thalweg drift report --since 7d --out drift.html
        thalweg drift report --since 28d --json

    Parameters
    ----------
    since
        How many days, before the newest outcome: `7d`.
    out
        The file to write.
    json
        Write what was compared as JSON.
    """
    import msgspec  # noqa: PLC0415  # --help stays quick

    from agents import pipeline, settings  # noqa: PLC0415
    from agents.commands.output import console, write_json  # noqa: PLC0415
    from agents.monitoring import drift_report  # noqa: PLC0415
    from agents.offline.file_system import FileSystem  # noqa: PLC0415

    here = settings.load()
    evidently = drift_report.load()
    found = drift_report.gather(
        FileSystem(here.offline_store), pipeline.load(here.pipeline), drift_report.days(since)
    )
    written = drift_report.write(evidently, found, out)
    if json:
        write_json(msgspec.to_builtins(written))
        return 0
    console().print(
        f"{out}: {written.rows} outcomes from {written.first} to {written.last}, against "
        f"{written.reference_rows} before",
        markup=False,
    )
    for name in written.left_out:
        console().print(f"{name} has no value in one of them, and is left out", markup=False)
    return 0
