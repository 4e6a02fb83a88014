"""`thalweg features`."""

from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import App

from agents.commands.flag import Flag, Rate

if TYPE_CHECKING:
    from agents.admin.feature_costs import FeatureCosts
    from agents.pipeline import Pipeline

app = App(
    name="features",
    help="""List the features of the pipeline, see how they are computed, or look one user up.

For example:

    thalweg features ls
    thalweg features explain
    thalweg features plan --users 10e6
    thalweg features show user_0042
    thalweg features backfill clicks.csv.gz
    thalweg features historical decisions.csv --out training.parquet
    thalweg features feast --out feature_repo
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

    declared = _pipeline()
    rows = [
        (name, "user", describe(feature)) for feature in declared.features for name in feature.names
    ]
    order = declared.compiled().names
    rows += [
        (f"{view.entity.name}_{name}", view.entity.name, describe(feature))
        for view in declared.entities
        for feature in view.features
        for name in feature.names
    ]
    rows.sort(key=lambda row: order.index(row[0]))
    if json:
        write_json(
            [{"name": name, "entity": entity, **said._asdict()} for name, entity, said in rows]
        )
    else:
        write_table(
            ("feature", "entity", "kind", "over", "of"),
            [(name, entity, said.kind, said.over, said.of) for name, entity, said in rows],
        )
    return 0


@app.command
def explain() -> int:
    """Show the functions that the declarations are compiled to: this very code runs per event.

    First that of users, then that of each other entity, with what keys it and where it runs.

    For example:

        thalweg features explain
        thalweg features explain | less
    """
    import sys  # noqa: PLC0415  # --help stays quick

    built = _pipeline().compiled()
    sys.stdout.write(built.user.source)
    for view in built.views:
        entity, keys = view.entity, " and ".join(view.entity.keys)
        where = "in predict, before the score" if entity.is_of_user else "in aggregate, after it"
        sys.stdout.write(f"\n\n# entity {entity.name}, by {keys}: {where};")
        sys.stdout.write(f" served as {entity.name}_...\n{view.fold.source}")
    return 0


@app.command
def plan(
    *, users: Rate = 1e6, events_per_day: Rate = 50, entities: Rate = 1e5, json: Flag = False
) -> int:
    """Tell what the features cost to keep, before there are users: it follows from declarations.

    Of each figure the first is for users who came once, the second for users who never leave: so
    many events a day (at least one an hour, at most one a minute) for as long as anything looks
    back. The truth lies between. Rates are averages, and at most so much: a batch writes each user
    once.

    For example:

        thalweg features plan --users 10e6
        THALWEG_PIPELINE=mine.pipeline thalweg features plan --users 2e6 --events-per-day 8

    Parameters
    ----------
    users
        How many there are within what the features look back on: their widest window; 90 days where
        one looks at sessions, the time since something, or the latest value.
    events_per_day
        Events of each of them.
    entities
        How many there are of each other kind.
    json
        Write the answer as JSON.
    """
    from dataclasses import asdict  # noqa: PLC0415  # --help stays quick

    from agents import settings  # noqa: PLC0415
    from agents.admin.feature_costs import (  # noqa: PLC0415
        costs,
        entity_costs,
        written_bytes_per_s,
    )
    from agents.commands.output import write_json, write_table  # noqa: PLC0415

    declared = _pipeline()
    both = costs(
        declared,
        events_per_day=events_per_day,
        feast_project=settings.load().feast_project,
    )
    others = entity_costs(declared, events_per_day=events_per_day)

    def per_s(record_bytes: int) -> float:
        return written_bytes_per_s(record_bytes, users, events_per_day)

    def mb_per_s(record_bytes: int) -> str:
        return f"{per_s(record_bytes) / 1e6:,.1f} MB/s"

    if json:
        write_json(
            [
                {
                    "state_bytes": each.state,
                    "memory_bytes": each.memory,
                    "redis_bytes": each.redis,
                    "update_bytes": each.update,
                    "changelog_bytes_per_s": per_s(each.state),
                    "updates_bytes_per_s": per_s(each.update),
                    "entities": {
                        name: {f"{what}_bytes": n for what, n in asdict(costs[index]).items()}
                        for name, costs in others.items()
                    },
                }
                for index, each in enumerate(both)
            ]
        )
        return 0
    n = f"{users:,.0f} users"
    rate = f"{users * events_per_day / 86_400:,.0f} events/s"
    once, busy = both
    write_table(
        ("what", "came once", "never leave"),
        [
            ("state of a user", f"{once.state:,} B", f"{busy.state:,} B"),
            (f"memory of predict, {n}", *(_gb(each.memory * users) for each in both)),
            (f"changelog, {n}", *(_gb(each.state * users) for each in both)),
            (f"changelog, {rate}", *(mb_per_s(each.state) for each in both)),
            (f"feature-updates, {n}", *(_gb(each.update * users) for each in both)),
            (
                f"feature-updates, {rate}",
                *(mb_per_s(each.update) for each in both),
            ),
            (f"Redis, {n}", *(_gb(each.redis * users) for each in both)),
            *(row for name, costs in others.items() for row in _entity_rows(name, costs, entities)),
        ],
    )
    return 0


def _entity_rows(
    name: str, costs: "tuple[FeatureCosts, FeatureCosts]", entities: float
) -> list[tuple[str, ...]]:
    once, busy = costs
    n = f"{entities:,.0f} of {name}"
    keeper = "aggregate" if once.known else "predict"
    rows: list[tuple[str, ...]] = [
        (f"state of one {name}", f"{once.state:,} B", f"{busy.state:,} B"),
        (f"memory of {keeper}, {n}", *(_mb(each.memory * entities) for each in costs)),
        (f"Redis, {n}", *(_mb(each.redis * entities) for each in costs)),
    ]
    if once.known:
        known = (_mb(each.known * entities) for each in costs)
        rows.insert(2, (f"memory of each predict, {n}", *known))
    return rows


@app.command
def show(user: str, /, *, entity: str = "user", at: str = "", json: Flag = False) -> int:
    """Show the features of one user, or of another entity, from what Redis has of the last event.

    For example:

        thalweg features show user_0042
        thalweg features show user_0042 --at 2024-06-30T12:00:00Z
        thalweg features show sku-4711 --entity item
        thalweg features show user_0042 --json | jq .click_rate_7d

    Parameters
    ----------
    user
        The user's id; with --entity, that of an item, say.
    entity
        A kind of entity that the pipeline declares, where it is not users. The parts of a pair are
        separated by `|`.
    at
        As of when, RFC 3339; by default as of the newest event of any user. Features of other
        entities are shown as of their last event.
    json
        Write the answer as JSON.
    """
    from agents import pipeline, settings  # noqa: PLC0415  # --help stays quick
    from agents.admin import online_features  # noqa: PLC0415  # --help stays quick
    from agents.commands.output import write_json, write_table  # noqa: PLC0415
    from schemas.errors import ThalwegError  # noqa: PLC0415

    here = settings.load()
    declared = pipeline.load(here.pipeline)
    if at and entity != "user":
        raise ThalwegError(
            "--at is for users: features of other entities are as of their last event"
        )
    found = online_features.read(here, declared, user, entity=entity, at_ms=_moment_ms(at))
    if not found:
        raise ThalwegError(f"Redis has no features of {entity} `{user}`")
    if json:
        write_json(found)
    else:
        write_table(("feature", "value"), [(name, f"{found[name]:g}") for name in found])
    return 0


@app.command
def backfill(*files: Path, entity: str = "user", json: Flag = False) -> int:
    """Compute the features of a history, as predict would have served them, into the offline store.

    Events are cleaned, deduplicated and folded by the very code that serves. A row is written for
    each, under the date of the event: `thalweg features historical` reads them. The files of a call
    are one history; in which order they are named does not matter. Done again it adds nothing; what
    was interrupted goes on.

    For example:

        thalweg features backfill january.csv.gz february.csv.gz
        thalweg features backfill                     # the pipeline's own history
        thalweg features backfill january.csv.gz --entity item
        THALWEG_OFFLINE_STORE=s3://bucket/thalweg thalweg features backfill 2024.parquet

    Parameters
    ----------
    files
        CSV, JSON lines (both possibly gzipped) or Parquet; columns as for `thalweg replay`.
    entity
        Whose features: users', with those of entities of one user, or those of a kind of entity
        that the pipeline declares.
    json
        Write the answer as JSON.
    """
    import time  # noqa: PLC0415  # --help stays quick

    from agents import pipeline, settings  # noqa: PLC0415
    from agents.commands.output import console, write_json, write_table  # noqa: PLC0415
    from agents.history.progress import progress  # noqa: PLC0415
    from agents.local.up import CHECKOUT  # noqa: PLC0415
    from agents.offline import backfill as offline  # noqa: PLC0415
    from agents.offline.file_system import FileSystem  # noqa: PLC0415
    from schemas.errors import ThalwegError  # noqa: PLC0415

    here = settings.load()
    declared = pipeline.load(here.pipeline)
    store = FileSystem(here.offline_store)
    paths = files or ((CHECKOUT / declared.replay.file,) if declared.replay is not None else ())
    if not paths:
        raise ThalwegError(f"`{here.pipeline}` has no history of its own: name a file of events")
    name = paths[0].name if len(paths) == 1 else f"{len(paths)} files"
    with progress(console(stderr=True), f"features of {name}") as report:
        told = offline.backfill(
            declared,
            paths,
            store,
            now_ms=time.time_ns() // 1_000_000,
            entity=entity,
            report=report,
        )
    if json:
        write_json(
            {
                "files": [str(path) for path in paths],
                "table": told.table,
                "events": told.events,
                "rows": told.rows,
                "written": told.written,
                "duplicates": told.duplicates,
                "set_aside": dict(told.set_aside),
                "elsewhere": told.elsewhere,
            }
        )
        return 0
    write_table(
        ("events", "rows", "written now", "duplicates", "set aside"),
        [
            (
                f"{told.events:,}",
                f"{told.rows:,}",
                f"{told.written:,}",
                f"{told.duplicates:,}",
                ", ".join(f"{n:,} {reason}" for reason, n in told.set_aside.most_common()) or "0",
            )
        ],
    )
    console().print(f"table {told.table} in {store.root}")
    return 0


@app.command
def historical(
    entities: Path,
    /,
    *,
    out: Path,
    at: str = "event_timestamp",
    entity: str = "user",
    max_age_days: Rate = 0,
) -> int:
    """Join rows with their users' features as they were at a point in time, for training.

    Each row gets the features as of its user's latest event before the row's moment, to the
    millisecond, and none from later. `thalweg features backfill` comes first.

    For example:

        thalweg features historical decisions.csv --out training.parquet
        thalweg features historical decisions.parquet --at decided_at --out training.csv
        thalweg features historical prices.csv --entity item --out items.parquet

    Parameters
    ----------
    entities
        CSV or Parquet with `user_id`, or the key of another entity, and a moment; further columns
        are kept.
    out
        Where the rows go, with features: `.parquet` or `.csv`.
    at
        The column that holds the moment, in UTC unless it says otherwise.
    entity
        Whose features, as of `thalweg features backfill`.
    max_age_days
        Features of a user who did nothing for longer are left out; 0: however long.
    """
    from datetime import timedelta  # noqa: PLC0415  # --help stays quick

    from agents import pipeline, settings  # noqa: PLC0415
    from agents.commands.output import console  # noqa: PLC0415
    from agents.offline import backfill as offline  # noqa: PLC0415
    from agents.offline import frames  # noqa: PLC0415
    from agents.offline.file_system import FileSystem  # noqa: PLC0415
    from agents.offline.historical_features import get_historical_features  # noqa: PLC0415
    from agents.offline.reader import scan  # noqa: PLC0415
    from agents.offline.tables import OFFSET, PARTITION  # noqa: PLC0415

    here = settings.load()
    frames.check_suffix(out)
    table = offline.feature_table(pipeline.load(here.pipeline), entity)
    asked = frames.read(entities, moments=at, ids=table.keys)
    features = scan(FileSystem(here.offline_store), table.name).drop("event_id", PARTITION, OFFSET)
    max_age = timedelta(days=max_age_days) if max_age_days else None
    joined = get_historical_features(asked, features, at=at, by=table.keys, max_age=max_age)
    frames.write(joined, out)
    n_known = joined["feature_timestamp"].count()
    console().print(f"{out}: {joined.height:,} rows, {n_known:,} of them with features")
    return 0


@app.command
def feast(*, out: Path) -> int:
    """Write a repository for Feast, through which other teams read the features that are served.

    `feast apply` takes it as it is. The store role writes Feast's layout of Redis while
    THALWEG_FEAST_PROJECT is set. Where Redis wants a password, Feast takes it from
    THALWEG_REDIS_PASSWORD.

    For example:

        THALWEG_FEAST_PROJECT=shop thalweg features feast --out feature_repo
        feast --chdir feature_repo apply

    Parameters
    ----------
    out
        Directory of `feature_store.yaml` and `feature_repo.py`; both are written anew.
    """
    from agents import pipeline, settings  # noqa: PLC0415  # --help stays quick
    from agents.commands.output import console  # noqa: PLC0415
    from agents.feast import feature_repo  # noqa: PLC0415

    here = settings.load()
    names = feature_repo.write(here, pipeline.load(here.pipeline), out)
    console().print(f"{out}: {len(names)} features of project {here.feast_project}")
    return 0


def _mb(n_bytes: float) -> str:
    return f"{n_bytes / 1e6:,.1f} MB"


def _gb(n_bytes: float) -> str:
    return f"{n_bytes / 1e9:,.1f} GB"


def _pipeline() -> "Pipeline":
    from agents import pipeline, settings  # noqa: PLC0415  # --help stays quick

    return pipeline.load(settings.load().pipeline)


def _moment_ms(text: str) -> int | None:
    from agents.history.event_file import to_ms  # noqa: PLC0415  # --help stays quick
    from schemas.errors import ThalwegError  # noqa: PLC0415

    try:
        return to_ms(text) if text else None
    except ValueError as error:
        raise ThalwegError(f"--at: `{text}` is no moment like 2024-06-30T12:00:00Z") from error
