"""`thalweg replay`."""

from pathlib import Path

from agents.commands.flag import Flag, Limit, Rate


def replay(
    file: Path,
    /,
    *,
    rate: Rate = 500.0,
    limit: Limit = None,
    from_start: Flag = False,
    json: Flag = False,
) -> int:
    """Publish a file of events to `user-events`, in the order of their time.

    It goes on where the last replay of the file ended. Columns become event fields as the
    pipeline's `Replay` says; a time without a zone is UTC in a CSV, and set aside in JSON lines.

    For example:

        thalweg replay clicks.csv.gz
        thalweg replay clicks.jsonl --rate 0 --limit 10000
        thalweg replay clicks.csv --from-start

    Parameters
    ----------
    file
        CSV or JSON lines, possibly gzipped, or Parquet.
    rate
        Events a second, however the system keeps up; 0 for as fast as the broker takes them.
    limit
        Only the file's first so many events.
    from_start
        Publish all of it anew.
    json
        Write the answer as JSON.
    """
    from agents import pipeline, settings  # noqa: PLC0415  # --help stays quick
    from agents.commands.output import console, write_json  # noqa: PLC0415
    from agents.history.progress import progress  # noqa: PLC0415
    from agents.history.replay import Replay  # noqa: PLC0415
    from agents.local import data_dir  # noqa: PLC0415  # --help stays quick

    here = settings.load()
    data_dir.prepare(here.data_dir)
    run = Replay(file, here, pipeline.load(here.pipeline), limit=limit, from_start=from_start)
    with progress(console(stderr=True), f"replay {run.name}") as report:
        n_published = run.run(rate, report=report)
    if json:
        write_json({"file": str(file), "published": n_published, "events": len(run.events)})
    else:
        n_before = len(run.events) - n_published
        earlier = f" ({n_before:,} were there before)" if n_before else ""
        console().print(f"{n_published:,} events published{earlier}")
    return 0
