"""`thalweg reviews`."""

from typing import TYPE_CHECKING, Literal

from cyclopts import App

from agents.commands.flag import Count, Flag

if TYPE_CHECKING:
    from agents.pipeline import Pipeline
    from agents.settings import Settings

app = App(
    name="reviews",
    help="""See uncertain decisions, and say what is true: models learn it.

For example:

    thalweg reviews ls
    thalweg reviews show purchase-intent:e17
    thalweg reviews answer purchase-intent:e17 true
""",
)


@app.command
def ls(*, limit: Count = 20, json: Flag = False) -> int:
    """List the decisions that wait for a person, the newest first.

    For example:

        thalweg reviews ls
        thalweg reviews ls --limit 100 --json

    Parameters
    ----------
    limit
        At most so many.
    json
        Write the answer as JSON, features included.
    """
    import msgspec  # noqa: PLC0415  # --help stays quick

    from agents.admin import reviews  # noqa: PLC0415
    from agents.commands.output import local_time, write_json, write_table  # noqa: PLC0415

    here, declared = _load()
    items = reviews.waiting(here, declared)[:limit]
    if json:
        write_json(msgspec.to_builtins(items))
        return 0
    write_table(
        ("prediction", "user", "score", "decided", "stands for", "model", "event at"),
        [
            (
                *(each.prediction_id, each.user_id, round(each.score, 4)),
                *(str(each.decision).lower(), round(1 / each.probability, 1)),
                *(f"{each.model}@{each.model_version}", local_time(each.event_at)),
            )
            for each in items
        ],
    )
    return 0


@app.command
def show(prediction: str, /, *, json: Flag = False) -> int:
    """Show a decision that waits, and what it rests on.

    For example:

        thalweg reviews show purchase-intent:e17

    Parameters
    ----------
    prediction
        As `ls` names it.
    json
        Write the answer as JSON.
    """
    import msgspec  # noqa: PLC0415  # --help stays quick

    from agents.admin import reviews  # noqa: PLC0415
    from agents.commands.output import local_time, write_json, write_table  # noqa: PLC0415
    from schemas.errors import ThalwegError  # noqa: PLC0415

    here, declared = _load()
    found = {each.prediction_id: each for each in reviews.waiting(here, declared)}
    if prediction not in found:
        raise ThalwegError(f"no decision `{prediction}` waits for a verdict")
    item = found[prediction]
    if json:
        write_json(msgspec.to_builtins(item))
        return 0
    write_table(
        ("prediction", "user", "score", "decided", "event at"),
        [
            (
                *(item.prediction_id, item.user_id, round(item.score, 4)),
                *(str(item.decision).lower(), local_time(item.event_at)),
            )
        ],
    )
    write_table(("feature", "value"), [*item.features.items()])
    return 0


@app.command
def answer(
    prediction: str, label: Literal["true", "false"], /, *, why: str = "", json: Flag = False
) -> int:
    """Say what is true of a decision that waits; its model learns it within seconds.

    The first verdict on a decision counts.

    For example:

        thalweg reviews answer purchase-intent:e17 true
        thalweg reviews answer purchase-intent:e17 false --why "a test account"

    Parameters
    ----------
    prediction
        As `ls` names it.
    label
        What is true, whatever was decided.
    why
        For who reads it later.
    json
        Write the answer as JSON.
    """
    import msgspec  # noqa: PLC0415  # --help stays quick

    from agents.admin import reviews  # noqa: PLC0415
    from agents.commands.output import console, write_json  # noqa: PLC0415
    from agents.deployments.desk import operator  # noqa: PLC0415

    here, declared = _load()
    verdict = reviews.answer(
        *(here, declared, prediction), label=label == "true", by=operator(), why=why
    )
    if json:
        write_json(msgspec.to_builtins(verdict))
    else:
        console().print(f"{verdict.by} says {label} of {prediction}", markup=False)
    return 0


def _load() -> "tuple[Settings, Pipeline]":
    from agents import pipeline, settings  # noqa: PLC0415
    from schemas.errors import InvalidDeclaration  # noqa: PLC0415

    here = settings.load()
    declared = pipeline.load(here.pipeline)
    if declared.review is None:
        raise InvalidDeclaration(
            f"`{here.pipeline}` asks nobody: Pipeline(review=Review(confidence=..., per_day=...))"
        )
    return here, declared
