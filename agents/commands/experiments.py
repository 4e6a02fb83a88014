"""`thalweg experiments`."""

from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from agents.commands.flag import Flag

if TYPE_CHECKING:
    from agents.pipeline import Pipeline
    from online_models.assignment import Rollout

app = App(
    name="experiments",
    help="""Compare a candidate with the champion, on users who have its answers.

For example:

    thalweg experiments report
    thalweg experiments report --by platform
    thalweg experiments assign ada bob
""",
)


@app.command
def report(
    *, since: str | None = None, until: str | None = None, by: str | None = None, json: Flag = False
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
    json
        Write the answer as JSON.
    """
    import msgspec  # noqa: PLC0415  # --help stays quick

    from agents import settings  # noqa: PLC0415
    from agents.commands.output import write_json, write_table  # noqa: PLC0415
    from agents.offline import reader, tables  # noqa: PLC0415
    from agents.offline.experiment_report import SUSPICIOUS, segments_of  # noqa: PLC0415
    from agents.offline.experiment_report import report as compare  # noqa: PLC0415
    from agents.offline.file_system import FileSystem  # noqa: PLC0415
    from schemas.errors import InvalidDeclaration  # noqa: PLC0415

    here = settings.load()
    declared, rollout = _rollout()
    if declared.task != "binary":
        raise InvalidDeclaration(
            f"experiments are reported of yes and no alone, not of `{declared.champion}`"
        )
    segments = () if by is None else segments_of(declared.compiled(), declared.features, by)
    files = FileSystem(here.offline_store)
    found = compare(
        rollout,
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
def assign(*users: Annotated[str, Parameter(required=True)], json: Flag = False) -> int:
    """Tell which variant users get.

    For example:

        thalweg experiments assign ada bob

    Parameters
    ----------
    users
        Ids of users.
    json
        Write the answer as JSON.
    """
    from agents.commands.output import write_json, write_table  # noqa: PLC0415  # --help stays quick

    _, rollout = _rollout()
    variants = {user: rollout.variant(user) for user in users}
    if json:
        write_json(variants)
    else:
        write_table(("user", "variant"), [*variants.items()])
    return 0


def _rollout() -> tuple["Pipeline", "Rollout"]:
    from agents import pipeline, settings  # noqa: PLC0415
    from schemas.errors import InvalidDeclaration  # noqa: PLC0415

    here = settings.load()
    declared = pipeline.load(here.pipeline)
    if declared.rollout is None:
        raise InvalidDeclaration(
            f"`{here.pipeline}` declares no rollout: Pipeline(rollout=Rollout(name=..., "
            "candidate=..., exposure=...))"
        )
    return declared, declared.rollout
