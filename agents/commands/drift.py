"""`thalweg drift`."""

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from cyclopts import App

from agents.commands.drift_check import check
from agents.commands.drift_explain import explain
from agents.commands.drift_reference import reference
from agents.commands.drift_report import report
from agents.commands.flag import Flag

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from agents.pipeline import Pipeline
    from agents.settings import Settings

_MS: Final = timedelta(milliseconds=1)

app = App(
    name="drift",
    help="""See whether scores and features are still what they were.

For example:

    thalweg drift show
    thalweg drift explain
    thalweg drift report --since 7d --out drift.html
""",
)


@app.command
def show(*, since: str | None = None, signal: str | None = None, json: Flag = False) -> int:
    """Tell what the last day of each signal says against its reference, of all partitions together.

    A signal is what a model scores, or a feature. Its reference is its first week, or what
    `thalweg drift reference` chose. `p` is how probable such a day is if nothing had changed,
    corrected for all signals that were compared; from .001 down the signal is said to have moved.
    `index` is the population stability index, and `by chance` what it is on average without any
    change: read it only beside that.

    With `--since` it tells how it came to that, from the offline store and the topic: a mark for
    each week (`.` as it was, `w` warning, `C` critical), or, of one signal, each day.

    For example:

        thalweg drift show
        thalweg drift show --since 8w
        thalweg drift show --since 8w --signal score --json

    Parameters
    ----------
    since
        How far back, before the newest record, in whole days: `56d`, `8w`.
    signal
        This one alone: a feature's name, or `score`.
    json
        Write the answer as JSON.
    """
    from agents import pipeline, settings  # noqa: PLC0415  # --help stays quick

    here = settings.load()
    declared = pipeline.load(here.pipeline)
    if since is None:
        return _show_last(here, declared, signal, json=json)
    return _show_since(here, declared, since, signal, json=json)


def _show_last(here: "Settings", declared: "Pipeline", signal: str | None, *, json: bool) -> int:
    from agents.admin import topic_reader  # noqa: PLC0415  # --help stays quick
    from agents.commands.output import write_json, write_table  # noqa: PLC0415
    from agents.monitoring import references  # noqa: PLC0415
    from agents.monitoring.drift_view import REFERENCE_DAYS  # noqa: PLC0415
    from agents.monitoring.global_view import readings_of, told  # noqa: PLC0415
    from schemas import topics  # noqa: PLC0415

    kept = references.read(here).values()
    topic = topics.SKETCHES.named(here.topic_prefix)
    values = (message.value() for message in topic_reader.read_to_end(here, topic))
    readings = [
        told(each)
        for each in readings_of(values, kept, declared.use_case)
        if signal in (None, each.signal)
    ]
    if json:
        write_json(readings)
        return 0
    titles = ("signal", "model", "level", "day", "users", "index", "by chance", "distance", "p")
    rows = [
        (
            *(each["signal"], each["model"] or None),
            each["level"]
            if each["reference_to"]
            else f"reference: day {each['reference_days']} of {REFERENCE_DAYS}",
            *_figures(each),
        )
        for each in readings
    ]
    write_table(titles, rows)
    return 0


def _show_since(
    here: "Settings", declared: "Pipeline", since: str, signal: str | None, *, json: bool
) -> int:
    from agents.commands.output import console, write_json, write_table  # noqa: PLC0415
    from agents.monitoring import drift_days, references  # noqa: PLC0415
    from agents.monitoring.global_view import told  # noqa: PLC0415
    from agents.monitoring.sketch_fold import DAY_MS  # noqa: PLC0415
    from agents.monitoring.sketch_log import newest_ms, records_since  # noqa: PLC0415
    from agents.monitoring.spans import days  # noqa: PLC0415

    span_ms = days(since) // _MS
    begin_ms = newest_ms(here, declared.use_case) - span_ms
    # From midnight on: a part of a day is not what whole days are.
    records = records_since(here, declared.use_case, begin_ms - begin_ms % DAY_MS)
    readings = [
        each
        for each in drift_days.days(records, references.read(here).values(), declared.use_case)
        if signal in (None, each.signal)
    ]
    if json:
        write_json([told(each) for each in readings])
    elif not readings:
        console().print(
            f"no day of the last {since} could be compared: there is no reference yet, or too few"
            " users came",
            markup=False,
        )
    elif signal is not None:
        rows = [
            (each["model"] or None, each["day"], each["level"], *_figures(each)[1:])
            for each in map(told, readings)
        ]
        write_table(("model", "day", "level", "users", "index", "by chance", "distance", "p"), rows)
    else:
        found = drift_days.histories(readings)
        first = drift_days.first_monday(readings)
        titles = ("signal", "model", "days", "moved", "largest", "by chance", "on", "weeks")
        rows = []
        for each in found:
            largest = told(each.largest)
            rows.append(
                (
                    *(each.signal, each.model or None, each.compared, each.moved),
                    *(_short(largest["index"]), _short(largest["index_by_chance"])),
                    *(largest["day"], each.weeks),
                )
            )
        write_table(titles, rows)
        console().print(
            f"weeks from Monday {first}: `.` as it was, `w` warning, `C` critical", markup=False
        )
    return 0


def _figures(told: "Mapping[str, Any]") -> tuple[object, ...]:
    users = told["users"]
    return (
        *(told["day"], None if users is None else round(users)),
        *(_short(told[name]) for name in ("index", "index_by_chance", "distance", "p")),
    )


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.3g}")


app.command(check)
app.command(explain)
app.command(reference)
app.command(report)
