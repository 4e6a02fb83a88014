"""`thalweg drift check`."""

from agents.commands.flag import Count, Flag


def check(*, scores: Count = 100_000, seed: int = 1, json: Flag = False) -> int:
    """Hold the promise on false alarms against the pipeline's own past, in which nothing changed.

    Visits of the offline store are scored by the champion's twin, which is what `predict` watches.
    Their days are drawn anew, one by one and in runs of seven, without those of declared incidents,
    and given to a detector of each partition: whatever it alarms at is false. Days that resemble
    each other keep the promise when they are drawn one by one, and weeks that differ break it when
    they are drawn in runs. It takes 10 to 20 s for 100,000 scores.

    For example:

        thalweg drift check
        thalweg drift check --scores 1000000 --json

    Parameters
    ----------
    scores
        Draw so many at most; it ends sooner where the promise has allowed thirty alarms.
    seed
        Another one draws other days.
    json
        Write the answer as JSON.
    """
    from agents import pipeline, settings  # noqa: PLC0415  # --help stays quick
    from agents.commands.output import console, write_json, write_table  # noqa: PLC0415
    from agents.history.progress import progress  # noqa: PLC0415
    from agents.monitoring import drift_check  # noqa: PLC0415
    from online_models.drift import resampling  # noqa: PLC0415

    here = settings.load()
    declared = pipeline.load(here.pipeline)
    found = drift_check.past(here, declared)
    policy = declared.drift
    run_length = policy.of_scores(here.partitions, beside_answers=declared.watches_answers)
    if declared.task == "multiclass":  # the other half of the budget is that of the class mix
        run_length = run_length.times(2)
    kept = []
    for length in drift_check.LENGTHS:
        if len(found.days) >= 2 * length:
            with progress(console(stderr=True), f"runs of {length} d") as report:
                kept.append(
                    resampling.check(
                        *(found.days, length, run_length),
                        warmup_scores=policy.warmup_scores,
                        most_scores=scores,
                        seed=seed,
                        report=report,
                    )
                )
    unit = "days" if run_length.in_time else "scores"
    promise = run_length.amount / (24 * here.partitions if run_length.in_time else 1)
    if json:
        write_json(
            {
                "instrument": found.instrument,
                "visits": found.visits,
                "days": len(found.days),
                "incident_days": found.incident_days,
                "share_of_users": found.share,
                "unit": unit,
                "promise": promise,
                "drawn": [
                    {**each._asdict(), "p": each.p, "verdict": each.verdict} for each in kept
                ],
            }
        )
        return 0
    console().print(
        f"{found.visits:,} visits of {len(found.days)} days, scored by {found.instrument};"
        f" {found.incident_days} days of known incidents are left out."
        f" Promised is a false alarm in {promise:,.0f} {unit}.",
        markup=False,
    )
    write_table(
        ("drawn by runs of", "scores", "alarms", "allowed", "one in", "the promise is"),
        [
            (
                *(f"{each.length} d", f"{each.scores:,}", each.alarms, round(each.promised, 1)),
                f"{promise * each.promised / each.alarms:,.0f} {unit}" if each.alarms else None,
                each.verdict,
            )
            for each in kept
        ],
    )
    return 0
