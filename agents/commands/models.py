"""`thalweg models`."""

from cyclopts import App

from agents.commands.flag import Flag

app = App(
    name="models",
    help="""See the models that serve and compete.

For example:

    thalweg models ls
    thalweg models ls --json
""",
)


@app.command
def ls(*, json: Flag = False) -> int:
    """List the newest snapshot of each model: what it learned, and how well it predicts.

    The scores are prequential: each outcome was predicted before it was learned.

    For example:

        thalweg models ls
        thalweg models ls --json | jq '.[] | {model, roc_auc}'

    Parameters
    ----------
    json
        Write the answer as JSON.
    """
    import msgspec  # noqa: PLC0415  # --help stays quick

    from agents import pipeline, settings  # noqa: PLC0415
    from agents.admin import published_models  # noqa: PLC0415
    from agents.commands.output import local_time, write_json, write_table  # noqa: PLC0415

    here = settings.load()
    models = published_models.read(here, pipeline.load(here.pipeline))
    if json:
        write_json(msgspec.to_builtins(models))
        return 0
    titles = ("model", "role", "version", "learned", "ROC AUC", "log loss", "of late", "", "at")
    write_table(
        titles,
        [
            (
                *(each.model, each.role, each.version, f"{each.learned:,}"),
                *(f"{each.roc_auc:.4f}", f"{each.log_loss:.4f}"),
                *(f"{each.recent_roc_auc:.4f}", f"{each.recent_log_loss:.4f}"),
                local_time(each.created_at),
            )
            for each in models
        ],
    )
    return 0
