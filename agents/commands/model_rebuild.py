"""`thalweg models rebuild` and `resume`."""

import sys
from typing import TYPE_CHECKING

from agents.commands.flag import Flag, Why

if TYPE_CHECKING:
    from agents.admin.rebuilding import Rebuild


def rebuild(model: str, /, *, why: Why, json: Flag = False) -> int:
    """Let a model be learned anew from the training log, and wait until it is.

    For a model whose snapshots are refused or not to be trusted. `learn` replays `outcomes` from
    their beginning, or behind the version that the model was resumed from, beside what it learns
    anyway; the last good snapshot serves until the new model has caught up and takes its place. It
    has to be the same to the last bit as one that learned all along, and the command tells whether
    it is. It takes as long as learning took so far.

    Ctrl-C ends the waiting alone: the decision stands, and survives the learner.

    For example:

        thalweg models rebuild binary_logistic_v1 --why "its snapshot was tampered with"
        thalweg models rebuild binary_logistic_v1 --why "a drill" --json

    Parameters
    ----------
    model
        One that learns.
    why
        For who reads the history.
    json
        Write the answer as JSON.
    """
    import msgspec  # noqa: PLC0415  # --help stays quick

    from agents import pipeline, settings  # noqa: PLC0415
    from agents.admin import rebuilding  # noqa: PLC0415
    from agents.commands.output import console, write_json  # noqa: PLC0415
    from agents.deployments import desk  # noqa: PLC0415

    here = settings.load()
    declared = pipeline.load(here.pipeline)
    former = rebuilding.before(here, declared, model)
    entry = desk.rebuild(here, declared, model, by=desk.operator(), why=why)
    done = rebuilding.follow(
        here,
        declared,
        model,
        entry.offset,
        former=former,
        tell=_tell,
    )
    if json:
        write_json(msgspec.to_builtins(done))
    else:
        for line in _told(done):
            console().print(line, markup=False)
    return 0


def resume(version: str, /, *, why: Why, json: Flag = False) -> int:
    """Let a challenger go on learning from one of its versions, and wait until it does.

    For a version that was trained from the archive, or kept. `learn` teaches it what came since,
    beside what it learns anyway; then it takes its model's place: it learns on, its answers are
    compared with the champion's, and it can be promoted or be the candidate of a rollout. Without a
    version, NAME alone, the model is learned from the beginning of the log again.

    Refused is who answers users, or would after a rollback, and a version that is not to be
    trusted or was made for other features or labels. If somebody else decides at the same moment,
    one of both is refused, and told who was faster (exit code 1). Ctrl-C ends the waiting alone:
    the decision stands, and survives the learner.

    For example:

        thalweg models resume binary_forest_v1@20261128034512 --why "trained on the new prices"
        thalweg models resume binary_forest_v1 --why "from all of the log again" --json

    Parameters
    ----------
    version
        NAME@VERSION of a challenger, as `ls` names it, or NAME alone.
    why
        For who reads the history.
    json
        Write the answer as JSON.
    """
    import msgspec  # noqa: PLC0415  # --help stays quick

    from agents import pipeline, settings  # noqa: PLC0415
    from agents.admin import rebuilding  # noqa: PLC0415
    from agents.commands.model_decisions import tell  # noqa: PLC0415
    from agents.commands.output import console, write_json  # noqa: PLC0415
    from agents.deployments import desk, log  # noqa: PLC0415

    here = settings.load()
    declared = pipeline.load(here.pipeline)
    former = rebuilding.before_resuming(here, declared, version)
    entry = desk.resume(here, declared, version, by=desk.operator(), why=why)
    if entry.refusal is not None:
        return tell(entry, "", json=json)
    done = rebuilding.follow(
        here, declared, entry.event.model, entry.offset, former=former, tell=_tell
    )
    if json:
        write_json(log.as_json(entry) | msgspec.to_builtins(done))
    else:
        whence = "the beginning of the log" if former.origin is None else former.origin
        console().print(
            f"{done.model} goes on from {whence}: {done.learned:,} outcomes, up to offset"
            f" {done.through}",
            markup=False,
        )
    return 0


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _told(done: "Rebuild") -> list[str]:
    lines = [
        f"{done.model} is learned anew: version {done.version}, {done.learned:,} outcomes, up to"
        f" offset {done.through}"
    ]
    if done.before_refused is not None:
        lines.append(f"the snapshot before is refused: {done.before_refused}")
    for same, whom in (
        (done.confirmed, "the model that had learned all along"),
        (done.same_as_before, "the snapshot before"),
    ):
        if same is not None:
            lines.append(f"{'the same to the last bit as' if same else 'NOT the same as'} {whom}")
    return lines
