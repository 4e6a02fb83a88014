"""`thalweg models`."""

from typing import TYPE_CHECKING

from cyclopts import App

from agents.commands import model_figures
from agents.commands.flag import Count, Flag
from agents.commands.model_decisions import promote, rollback
from agents.commands.model_mlflow import mlflow
from agents.commands.model_rebuild import rebuild, resume
from agents.commands.model_retraining import retrain
from agents.commands.model_training import train
from agents.commands.model_versions import archive, diff, export, keep

if TYPE_CHECKING:
    from agents.deployments.log import Entry
    from schemas.deployments import Deployment

app = App(
    name="models",
    help="""See the models that serve and compete, and decide who serves.

For example:

    thalweg models ls
    thalweg models show binary_hoeffding_tree_v1
    thalweg models promote binary_hoeffding_tree_v1 --why "ROC AUC .02 better for a week"
    thalweg models rollback --why "conversions fell by a tenth"
    thalweg models rebuild binary_logistic_v1 --why "its snapshot was tampered with"
    thalweg models resume binary_forest_v1@20261128034512 --why "trained on the new prices"
    thalweg models history
""",
)


@app.command
def ls(*, json: Flag = False) -> int:
    """List the newest snapshot of each model: its part, what it learned, how well it predicts.

    The scores are prequential: each outcome was predicted before it was learned.

    For example:

        thalweg models ls
        thalweg models ls --json | jq '.[] | {model, state, roc_auc}'

    Parameters
    ----------
    json
        Write the answer as JSON.
    """
    import msgspec  # noqa: PLC0415  # --help stays quick

    from agents import pipeline, settings  # noqa: PLC0415
    from agents.admin import published_models  # noqa: PLC0415
    from agents.commands.output import local_time, write_json, write_table  # noqa: PLC0415
    from agents.deployments import log  # noqa: PLC0415

    here = settings.load()
    declared = pipeline.load(here.pipeline)
    registry = log.read(here, declared.use_case).registry
    models = published_models.read(here, declared, registry)
    if json:
        write_json(msgspec.to_builtins(models))
        return 0
    titles = ("model", "state", "role", "version", "learned")
    columns = model_figures.columns(declared.task)
    write_table(
        (*titles, *columns.values(), "answers in", "at"),
        [
            (
                *(each.model, each.state, ", ".join(each.aliases) or each.role),
                *(each.version, f"{each.learned:,}"),
                *(model_figures.written(each, name) for name in columns),
                model_figures.asking(each.asking_p99_s, may_serve=each.may_serve),
                local_time(each.created_at),
            )
            for each in models
        ],
    )
    return 0


@app.command
def show(model: str, /, *, json: Flag = False) -> int:
    """Show one model: what its newest snapshot says, its parameters, and what was decided about it.

    For example:

        thalweg models show binary_hoeffding_tree_v1
        thalweg models show binary_hoeffding_tree_v1 --json

    Parameters
    ----------
    model
        As `ls` names it.
    json
        Write the answer as JSON.
    """
    import msgspec  # noqa: PLC0415  # --help stays quick

    from agents import pipeline, settings  # noqa: PLC0415
    from agents.admin import published_models  # noqa: PLC0415
    from agents.commands.output import (  # noqa: PLC0415
        console,
        local_time,
        write_json,
        write_table,
    )
    from agents.deployments import log  # noqa: PLC0415

    here = settings.load()
    declared = pipeline.load(here.pipeline)
    found = log.read(here, declared.use_case)
    models = published_models.read(here, declared, found.registry)
    shown = published_models.find({each.model: each for each in models}, model)
    told = [each for each in found.entries if _is_about(each.event, model)]
    if json:
        write_json(msgspec.to_builtins(shown) | {"history": [log.as_json(each) for each in told]})
        return 0
    for name, value in {
        "model": shown.model,
        "state": shown.state,
        "role": ", ".join(shown.aliases) or shown.role,
        "version": f"{shown.version} of {local_time(shown.created_at)}, {shown.bytes:,} bytes",
        "learned": f"{shown.learned:,} outcomes, {_offsets(shown.first, shown.through)}",
        "lineage": f"{shown.lineage or '-'}, parent {shown.parent or '-'},"
        f" environment {shown.environment or '-'}",
        **{
            title: model_figures.written(shown, name)
            + (f", of late {model_figures.written(shown, recent)}" if recent else "")
            for title, name, recent in model_figures.FIGURES[declared.task]
        },
        "made for": f"features {shown.schema}, label rule {shown.target or '-'},"
        f" River {shown.river}, Python {shown.python}",
    }.items():
        console().print(f"{name:<10}{value}", markup=False)
    console().print()
    write_table(("parameter", "value"), [*shown.parameters.items()])
    if told:
        console().print()
        _write_history(told)
    return 0


@app.command
def history(*, limit: Count = 20, json: Flag = False) -> int:
    """List what was decided about who serves, by whom and why, the newest last.

    For example:

        thalweg models history
        thalweg models history --limit 100 --json

    Parameters
    ----------
    limit
        At most so many of the newest.
    json
        Write the answer as JSON.
    """
    from agents import pipeline, settings  # noqa: PLC0415  # --help stays quick
    from agents.commands.output import write_json  # noqa: PLC0415
    from agents.deployments import log  # noqa: PLC0415

    here = settings.load()
    entries = log.read(here, pipeline.load(here.pipeline).use_case).entries[-limit:]
    if json:
        write_json([log.as_json(each) for each in entries])
    else:
        _write_history(entries)
    return 0


app.command(promote)
app.command(rollback)
app.command(train)
app.command(retrain)
app.command(resume)
app.command(keep)
app.command(rebuild)
app.command(archive)
app.command(diff)
app.command(export)
app.command(mlflow)


def _is_about(event: "Deployment", model: str) -> bool:
    from schemas.deployments import RESUMED  # noqa: PLC0415  # see ls

    # It names the version, and is about the model that goes on from it as well.
    is_resumed = event.kind == RESUMED and event.model == model
    return is_resumed or model in (event.reference, event.replaces)


def _offsets(first: int, through: int) -> str:
    return f"up to offset {through}" if first < 0 else f"offsets {first} to {through}"


def _write_history(entries: "list[Entry]") -> None:
    from agents.commands.output import local_time, write_table  # noqa: PLC0415  # see ls

    write_table(
        ("offset", "at", "by", "decision", "model", "instead of", "why", "refused"),
        [
            (
                *(each.offset, local_time(each.event.at), each.event.by),
                *(each.event.kind.replace("_", " "), each.event.subject),
                *(each.event.replaces or None, each.event.why),
                None if each.refusal is None else each.refusal.reason,
            )
            for each in entries
        ],
    )
