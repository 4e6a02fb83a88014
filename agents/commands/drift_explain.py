"""`thalweg drift explain`."""

from agents.commands.flag import Flag


def explain(alert: str | None = None, /, *, json: Flag = False) -> int:
    """Say which features moved when the scores did: of a drift alert, the newest or another one.

    What came since its onset is held against the week before, or four where users are few, in whole
    days, over all partitions together. Told are features that surely moved, the largest change
    first; that any is named although none moved has a probability of .01. `before` and `since` are
    means, to 5 %.

    For example:

        thalweg drift explain
        thalweg drift explain drift-purchase-intent-2-user-events-2-4711-score_mean --json

    Parameters
    ----------
    alert
        Its id, as `alerts` and the ops page tell it.
    json
        Write the answer as JSON.
    """
    from agents import pipeline, settings  # noqa: PLC0415  # --help stays quick
    from agents.commands.output import console, write_json, write_table  # noqa: PLC0415
    from agents.monitoring.explanation import explanation  # noqa: PLC0415

    here = settings.load()
    declared = pipeline.load(here.pipeline)
    found = explanation(here, declared.use_case, alert)
    if json:
        write_json(found.as_row())
        return 0
    console().print(f"{found.alert.alert_id}\n{found.told}", markup=False)
    if found.found.moves:
        titles = ("feature", "before", "since", "index", "by chance", "distance", "p", "users")
        rows = [
            (
                move.feature,
                *(
                    float(f"{each:.3g}")
                    for each in (
                        *(move.mean_before, move.mean_since, move.comparison.psi),
                        *(move.comparison.psi_by_chance, move.comparison.ks, move.p),
                    )
                ),
                round(move.comparison.n_recent),
            )
            for move in found.found.moves
        ]
        write_table(titles, rows)
    return 0
