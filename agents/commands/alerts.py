"""`thalweg alerts`."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from cyclopts import App

from agents.commands.flag import Count, Flag, Why

if TYPE_CHECKING:
    from schemas.alerts import Alert

app = App(
    name="alerts",
    help="""See what was alerted and on what it rests, and silence it for a time.

For example:

    thalweg alerts show
    thalweg alerts silence drift --until 2h --why "the sale: shoppers are others"
    thalweg alerts silences
    thalweg alerts unsilence drift --why "the sale is over"
""",
)


@app.command
def show(*, kind: str | None = None, limit: Count = 10, json: Flag = False) -> int:
    """Show the newest alerts, the newest last: evidence, what was done, and where to read on.

    For example:

        thalweg alerts show
        thalweg alerts show --kind accuracy --limit 1
        thalweg alerts show --json | jq '.[] | select(.level == "critical")'

    Parameters
    ----------
    kind
        Of one kind alone: accuracy, drift, quality, sample_ratio, serving, shift.
    limit
        At most so many.
    json
        Write the answer as JSON.
    """
    import msgspec  # noqa: PLC0415  # --help stays quick

    from agents import pipeline, settings  # noqa: PLC0415
    from agents.admin import published_alerts  # noqa: PLC0415
    from agents.commands.output import console, local_time, write_json  # noqa: PLC0415
    from agents.observability.runbooks import RUNBOOKS  # noqa: PLC0415
    from schemas.errors import ThalwegError  # noqa: PLC0415

    if kind is not None and kind not in RUNBOOKS:
        raise ThalwegError(f"no alerts of the kind `{kind}`: there are {', '.join(RUNBOOKS)}")
    here = settings.load()
    use_case = pipeline.load(here.pipeline).use_case
    alerts = published_alerts.read(here, use_case, kind=kind, limit=limit)
    if json:
        write_json(msgspec.to_builtins(alerts))
        return 0
    for alert in alerts:
        said = f"{alert.kind} of {alert.signal}: {alert.value:.4g}, threshold {alert.threshold:.4g}"
        # Not as markup: brackets in what was found are what was found.
        console().print(f"{local_time(alert.raised_at)}  {alert.level}  {said}", markup=False)
        for name, value in _lines(alert):
            console().print(f"    {name:<10}{value}", markup=False)
    if not alerts:
        console().print("No alerts.")
    return 0


@app.command
def silence(kind: str, /, *, until: str, why: Why, json: Flag = False) -> int:
    """Let alerts of a kind be written down only: they call nobody, and nothing is rolled back.

    Each says so, and by whom. All workers follow within a second. A level of accuracy that is still
    above normal when the silence ends is told then. Another one of the same kind takes its place.

    For example:

        thalweg alerts silence drift --until 2h --why "the sale: shoppers are others"
        thalweg alerts silence accuracy --until 2026-11-30T08:00 --why "labels are mended"
        thalweg alerts silence all --until 30m --why "the broker moves"

    Parameters
    ----------
    kind
        As `show` tells it, or `all`.
    until
        In 90m, 2h or 3d; or a date and time, of the wall clock if it has no time zone.
    why
        For who reads the alerts.
    json
        Write the answer as JSON.
    """
    from datetime import UTC, datetime  # noqa: PLC0415  # --help stays quick

    from agents import pipeline, settings  # noqa: PLC0415
    from agents.commands.end_time import end_time  # noqa: PLC0415
    from agents.commands.model_decisions import tell  # noqa: PLC0415
    from agents.commands.output import local_time  # noqa: PLC0415
    from agents.deployments import desk  # noqa: PLC0415

    end_ms = int(end_time(until, datetime.now(UTC)).timestamp()) * 1_000
    here = settings.load()
    entry = desk.silence(
        *(here, pipeline.load(here.pipeline), _written(kind), end_ms), by=desk.operator(), why=why
    )
    return tell(entry, f"{kind} alerts are silenced until {local_time(end_ms)}", json=json)


@app.command
def unsilence(kind: str, /, *, why: Why, json: Flag = False) -> int:
    """Take a silence back before it is over.

    One that the pipeline declares holds as long as it is declared.

    For example:

        thalweg alerts unsilence drift --why "the sale is over"
        thalweg alerts unsilence all --why "the broker has moved"

    Parameters
    ----------
    kind
        As it was silenced.
    why
        For who reads the history.
    json
        Write the answer as JSON.
    """
    from agents import pipeline, settings  # noqa: PLC0415  # --help stays quick
    from agents.commands.model_decisions import tell  # noqa: PLC0415
    from agents.deployments import desk  # noqa: PLC0415

    here = settings.load()
    entry = desk.unsilence(
        *(here, pipeline.load(here.pipeline), _written(kind)), by=desk.operator(), why=why
    )
    return tell(entry, f"{kind} alerts call somebody again", json=json)


@app.command
def silences(*, json: Flag = False) -> int:
    """List the silences that hold now or will: those decided, and those that the pipeline declares.

    For example:

        thalweg alerts silences
        thalweg alerts silences --json

    Parameters
    ----------
    json
        Write the answer as JSON.
    """
    import time  # noqa: PLC0415  # --help stays quick

    from agents import pipeline, settings  # noqa: PLC0415
    from agents.commands.output import local_time, write_json, write_table  # noqa: PLC0415
    from agents.deployments import log  # noqa: PLC0415
    from agents.deployments.deployed import Deployed  # noqa: PLC0415
    from agents.silence import told  # noqa: PLC0415

    here = settings.load()
    deployed = Deployed(pipeline.load(here.pipeline))
    deployed.follow(log.read(here, deployed.registry.use_case).registry)
    standing = told(deployed.silences, time.time_ns() // 1_000_000)
    if json:
        write_json(standing)
        return 0
    write_table(
        ("alerts", "from", "until", "by", "why"),
        [
            (
                *(", ".join(each["kinds"]) or "all", local_time(each["since"])),
                *(local_time(each["until"]), each["by"] or "the pipeline", each["why"]),
            )
            for each in standing
        ],
    )
    return 0


def _written(kind: str) -> str:
    from schemas.deployments import ALL_ALERTS  # noqa: PLC0415  # see show

    return ALL_ALERTS if kind == "all" else kind


def _lines(alert: "Alert") -> Iterator[tuple[str, str]]:
    from agents.commands.output import local_time  # noqa: PLC0415  # see show

    yield "action", alert.action
    for n, (name, value) in enumerate(alert.evidence.items()):
        is_time = name.endswith("_at") and isinstance(value, int)
        yield "" if n else "evidence", f"{name} {local_time(value) if is_time else value}"
    yield "runbook", alert.runbook or "-"
