"""`thalweg experiments`."""

from typing import Annotated

from cyclopts import App, Parameter

from agents.commands.experiment_decisions import load, show, step, stop
from agents.commands.flag import Flag, Share

app = App(
    name="experiments",
    help="""Compare a candidate with the champion, on users who have its answers.

For example:

    thalweg experiments show
    thalweg experiments step --why "nobody complained for a day"
    thalweg experiments stop --why "the candidate is not better"
    thalweg experiments report
    thalweg experiments report --by platform
    thalweg experiments assign ada bob
""",
)


@app.command
def report(
    *,
    since: str | None = None,
    until: str | None = None,
    by: str | None = None,
    exposure: Share = None,
    json: Flag = False,
) -> int:
    """Report what came of the rollout that the pipeline declares, from the offline store.

    Users are compared, not events. The intervals hold however often one looks.

    For example:

        thalweg experiments report --since 2026-11-01
        thalweg experiments report --by platform --json

    Parameters
    ----------
    since
        First date of predictions, 2026-11-01.
    until
        Last date.
    by
        A field of the event that the pipeline has `one_of` of: figures of each value too.
    exposure
        The largest share of users that was ever in it, where that is none of the declared steps.
    json
        Write the answer as JSON.
    """
    from dataclasses import replace  # noqa: PLC0415  # --help stays quick

    import msgspec  # noqa: PLC0415

    from agents.commands.output import write_json, write_table  # noqa: PLC0415
    from agents.offline import reader, tables  # noqa: PLC0415
    from agents.offline.experiment_report import SUSPICIOUS, segments_of  # noqa: PLC0415
    from agents.offline.experiment_report import report as compare  # noqa: PLC0415
    from agents.offline.file_system import FileSystem  # noqa: PLC0415
    from schemas.errors import InvalidDeclaration  # noqa: PLC0415

    here, declared, rollout = load()
    if declared.task != "binary":
        raise InvalidDeclaration(
            f"experiments are reported of yes and no alone, not of `{declared.champion}`"
        )
    segments = () if by is None else segments_of(declared.compiled(), declared.features, by)
    files = FileSystem(here.offline_store)
    declared_most = max((rollout.exposure, *rollout.steps))
    found = compare(
        replace(rollout, exposure=declared_most if exposure is None else exposure),
        reader.scan(files, tables.PREDICTIONS.name, first=since, last=until),
        reader.scan(files, tables.OUTCOMES.name, first=since, last=until),
        segments=segments,
    )
    if json:
        write_json(msgspec.to_builtins(found))
        return 0
    write_table(
        ("rollout", "candidate", "users, control", "users, candidate", "outcomes"),
        [
            (
                *(found.name, found.candidate),
                *(found.users["control"], found.users["candidate"], sum(found.outcomes.values())),
            )
        ],
    )
    write_table(
        ("", "figure", "control", "candidate", "difference", "at least", "at most", ""),
        [
            (
                *(each.segment, each.figure, f"{each.control:.4f}", f"{each.candidate:.4f}"),
                f"{each.difference:+.4f}",
                *("-" if end is None else f"{end:+.4f}" for end in (each.low, each.high)),
                "sure" if each.is_sure else "",
            )
            for each in found.comparisons
        ],
    )
    if found.sample_ratio_evidence >= SUSPICIOUS:
        from agents.commands.output import console  # noqa: PLC0415

        console(stderr=True).print(
            "Users are not shuffled as planned: look for the bug, and believe no figure."
        )
        return 1
    return 0


@app.command
def assign(
    *users: Annotated[str, Parameter(required=True)],
    exposure: Share = None,
    json: Flag = False,
) -> int:
    """Tell which variant users get, without asking anybody.

    For example:

        thalweg experiments assign ada bob
        thalweg experiments assign ada bob --exposure 0.5

    Parameters
    ----------
    users
        Ids of users.
    exposure
        Share of users in the experiment, where `show` tells another than the pipeline declares.
    json
        Write the answer as JSON.
    """
    from dataclasses import replace  # noqa: PLC0415  # --help stays quick

    from agents.commands.output import write_json, write_table  # noqa: PLC0415

    _, _, rollout = load()
    if exposure is not None:
        rollout = replace(rollout, exposure=exposure)
    variants = {user: rollout.variant(user) for user in users}
    if json:
        write_json(variants)
    else:
        write_table(("user", "variant"), [*variants.items()])
    return 0


app.command(show)
app.command(step)
app.command(stop)
