"""`thalweg offline`."""

from cyclopts import App

from agents.commands.flag import Flag, Hours

app = App(
    name="offline",
    help="""Look after the offline store.

For example:

    thalweg offline ls
    thalweg offline compact
""",
)


@app.command
def ls(*, json: Flag = False) -> int:
    """List the tables with their rows and files, and how far each reaches.

    For example:

        thalweg offline ls
        THALWEG_OFFLINE_STORE=s3://bucket/thalweg thalweg offline ls --json

    Parameters
    ----------
    json
        Write the answer as JSON.
    """
    from agents import settings  # noqa: PLC0415  # --help stays quick
    from agents.commands.output import write_json, write_table  # noqa: PLC0415
    from agents.offline.file_system import FileSystem  # noqa: PLC0415
    from agents.offline.inventory import tables, totals  # noqa: PLC0415

    files = FileSystem(settings.load().offline_store)
    found = [(table, totals(files, table)) for table in tables(files)]
    if json:
        write_json([{"table": table, **each._asdict()} for table, each in found])
    else:
        rows = [(table, *each) for table, each in found]
        write_table(("table", "rows", "files", "manifests", "first date", "last date"), rows)
    return 0


@app.command
def compact(*, keep_hours: Hours = 24.0, json: Flag = False) -> int:
    """Merge small files into large ones, and remove what was merged long ago.

    Workers, readers and other merges may run meanwhile, and it may be killed at any moment. The
    archive merges what it writes by itself; this merges all that fits together, backfills too.

    For example:

        thalweg offline compact
        thalweg offline compact --keep-hours 0    # nobody reads or writes now

    Parameters
    ----------
    keep_hours
        How long what was replaced stays for those who are reading it.
    json
        Write the answer as JSON.
    """
    from datetime import UTC, datetime, timedelta  # noqa: PLC0415  # --help stays quick

    from agents import settings  # noqa: PLC0415  # --help stays quick
    from agents.commands.output import write_json, write_table  # noqa: PLC0415
    from agents.offline import compaction, sweeping  # noqa: PLC0415
    from agents.offline.file_system import FileSystem  # noqa: PLC0415
    from agents.offline.inventory import tables  # noqa: PLC0415

    files = FileSystem(settings.load().offline_store)
    keep = timedelta(hours=keep_hours)
    rows: list[tuple[str, int, int]] = []
    for table in tables(files):
        n_merged = compaction.compact(files, table)
        n_removed = sweeping.sweep(files, table, now=datetime.now(UTC), keep=keep)
        rows.append((table, n_merged, n_removed))
    if json:
        names = ("table", "merged", "removed")
        write_json([dict(zip(names, row, strict=True)) for row in rows])
    else:
        write_table(("table", "manifests merged", "files removed"), rows)
    return 0
