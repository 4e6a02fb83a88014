"""`thalweg features`."""

from typing import TYPE_CHECKING

from cyclopts import App

from agents.commands.flag import Flag, Rate

if TYPE_CHECKING:
    from agents.pipeline import Pipeline

app = App(
    name="features",
    help="""List the features of the pipeline, see how they are computed, or look one user up.

For example:

    thalweg features ls
    thalweg features explain
    thalweg features plan --users 10e6
    thalweg features show user_0042
""",
)


@app.command
def ls(*, json: Flag = False) -> int:
    """List the features in the order in which models see them, and their declarations.

    For example:

        thalweg features ls
        THALWEG_PIPELINE=mine.pipeline thalweg features ls --json

    Parameters
    ----------
    json
        Write the answer as JSON.
    """
    from agents.commands.declarations import describe  # noqa: PLC0415  # --help stays quick
    from agents.commands.output import write_json, write_table  # noqa: PLC0415

    rows = [(name, describe(feature)) for feature in _pipeline().features for name in feature.names]
    if json:
        write_json([{"name": name, **declared._asdict()} for name, declared in rows])
    else:
        write_table(
            ("feature", "kind", "over", "of"),
            [(name, declared.kind, declared.over, declared.of) for name, declared in rows],
        )
    return 0


@app.command
def explain() -> int:
    """Show the function that the declarations are compiled to: this very code runs per event.

    For example:

        thalweg features explain
        thalweg features explain | less
    """
    import sys  # noqa: PLC0415  # --help stays quick

    from streams.fold import compile_features  # noqa: PLC0415

    declared = _pipeline()
    sys.stdout.write(compile_features(declared.features, declared.event).source)
    return 0


@app.command
def plan(*, users: Rate = 1e6, events_per_day: Rate = 50, json: Flag = False) -> int:
    """Tell what the features cost to keep, before there are users: it follows from declarations.

    Of each figure the first is for users who came once, the second for users who have an event in
    every tile of the widest window; the truth lies between. The changelog's rate is an average, and
    at most so much: a batch writes each user once.

    For example:

        thalweg features plan --users 10e6
        THALWEG_PIPELINE=mine.pipeline thalweg features plan --users 2e6 --events-per-day 8

    Parameters
    ----------
    users
        How many there are within the widest window.
    events_per_day
        Events of each of them.
    json
        Write the answer as JSON.
    """
    from agents.admin.feature_costs import changelog_bytes_per_s, costs  # noqa: PLC0415
    from agents.commands.output import write_json, write_table  # noqa: PLC0415

    both = costs(_pipeline())
    if json:
        write_json(
            [
                {
                    "state_bytes": each.state,
                    "memory_bytes": each.memory,
                    "redis_bytes": each.redis,
                    "changelog_bytes_per_s": changelog_bytes_per_s(each, users, events_per_day),
                }
                for each in both
            ]
        )
        return 0
    n = f"{users:,.0f} users"
    once, busy = both
    write_table(
        ("what", "came once", "never leave"),
        [
            ("state of a user", f"{once.state:,} B", f"{busy.state:,} B"),
            (f"memory of predict, {n}", *(_gb(each.memory * users) for each in both)),
            (f"changelog, {n}", *(_gb(each.state * users) for each in both)),
            (
                f"changelog, {users * events_per_day / 86_400:,.0f} events/s",
                *(
                    f"{changelog_bytes_per_s(each, users, events_per_day) / 1e6:,.1f} MB/s"
                    for each in both
                ),
            ),
            (f"Redis, {n}", *(_gb(each.redis * users) for each in both)),
        ],
    )
    return 0


@app.command
def show(user: str, /, *, json: Flag = False) -> int:
    """Show the latest features of one user, as Redis has them.

    For example:

        thalweg features show user_0042
        thalweg features show user_0042 --json | jq .click_rate_7d

    Parameters
    ----------
    user
        The user's id.
    json
        Write the answer as JSON.
    """
    from agents import pipeline, settings  # noqa: PLC0415  # --help stays quick
    from agents.admin import online_features  # noqa: PLC0415  # --help stays quick
    from agents.commands.output import write_json, write_table  # noqa: PLC0415
    from schemas.errors import ThalwegError  # noqa: PLC0415

    here = settings.load()
    found = online_features.read(here, pipeline.load(here.pipeline), user)
    if not found:
        raise ThalwegError(f"Redis has no features of user `{user}`")
    if json:
        write_json(found)
    else:
        write_table(("feature", "value"), [(name, f"{found[name]:g}") for name in found])
    return 0


def _gb(n_bytes: float) -> str:
    return f"{n_bytes / 1e9:,.1f} GB"


def _pipeline() -> "Pipeline":
    from agents import pipeline, settings  # noqa: PLC0415  # --help stays quick

    return pipeline.load(settings.load().pipeline)
