"""`thalweg models train`."""

from datetime import date
from typing import TYPE_CHECKING

from agents.commands.flag import Flag, Why
from agents.commands.model_decisions import EX_REFUSED

if TYPE_CHECKING:
    from agents.deployments.log import Entry
    from agents.learning.retraining import Retraining


def train(
    model: str,
    /,
    *,
    since: date | None = None,
    until: date | None = None,
    against: str | None = None,
    register: Flag = False,
    why: Why | None = None,
    json: Flag = False,
) -> int:
    """Train a model over the archived outcomes, and hold it against the champion.

    It learns as `learn` does: each outcome is answered by an earlier self before it is learned.
    The champion learns all of the archive beside it, so that it gives the answers it gave online
    (one that went on from a version, what came since), and both are compared on the outcomes of
    the span. Nothing is published without `--register`;
    what is registered is a version, to be promoted as any other. Reading and learning takes about
    as long as it took `learn`; Ctrl-C leaves nothing behind.

    For example:

        thalweg models train binary_logistic_v1 --since 2026-10-01
        thalweg models train binary_forest_v1 --against binary_logistic_v1 --json
        thalweg models train binary_logistic_v1 --since 2026-10-01 --register --why "new prices"

    Parameters
    ----------
    model
        One of the catalogue; to be registered, one that the pipeline names.
    since
        First date of events (UTC) whose outcomes it learns, 2026-11-01.
    until
        Last date.
    against
        Who to compare with, instead of the present champion; then no broker is asked.
    register
        Register what was learned as a version. Takes the key that snapshots are signed with.
    why
        Of a registered version, for who reads the history.
    json
        Write the answer as JSON.
    """
    import msgspec  # noqa: PLC0415  # --help stays quick

    from agents import key_files, pipeline, settings  # noqa: PLC0415
    from agents.commands.output import console, write_json  # noqa: PLC0415
    from agents.deployments import desk, log, trained_versions  # noqa: PLC0415
    from agents.history.progress import progress  # noqa: PLC0415
    from agents.learning import origins, retraining  # noqa: PLC0415
    from agents.learning.restoring import new_learner  # noqa: PLC0415
    from agents.offline.file_system import FileSystem  # noqa: PLC0415
    from agents.offline.training_log import TrainingLog  # noqa: PLC0415
    from online_models.signing import Signer  # noqa: PLC0415
    from schemas.deployments import split  # noqa: PLC0415
    from schemas.errors import ThalwegError  # noqa: PLC0415

    here = settings.load()
    declared = pipeline.load(here.pipeline)
    retraining.check(declared, model, is_registered=register)
    if register and why is None:
        raise ThalwegError("--register needs --why: who reads the history wants to know")
    signer = Signer.from_pem(key_files.signing_key(here)) if register else None
    if against is None:
        registry = log.read(here, declared.use_case).registry
        # Of a version, the model as it goes on learning.
        name, _ = split(registry.roles(declared.models).champion)
        champion = origins.begun(here, declared, registry, name)
    else:
        retraining.check(declared, against)
        champion = new_learner(declared, declared.compiled(), against)
    archived = TrainingLog(FileSystem(here.offline_store))
    with progress(console(stderr=True), f"train {model}") as report:
        learner, told = retraining.train(
            archived, declared, model, champion=champion, since=since, until=until, report=report
        )
    entry = None
    if signer is not None:
        (entry,) = trained_versions.register(
            here, declared.use_case, learner, signer, by=desk.operator(), why=why or ""
        )
    if json:
        registered = None if entry is None else entry.event.reference
        write_json(msgspec.to_builtins(told) | {"registered": registered})
    else:
        _write(told, entry, declared.task)
    return 0 if entry is None or entry.refusal is None else EX_REFUSED


def _write(told: "Retraining", entry: "Entry | None", task: str) -> None:
    from agents.commands import model_figures  # noqa: PLC0415
    from agents.commands.output import console, write_table  # noqa: PLC0415

    columns = model_figures.columns(task)
    write_table(
        ("", "model", "learned", "skipped", "judged", *columns.values()),
        [
            (
                *(part, each.model, f"{each.learned:,}", f"{each.skipped:,}", f"{each.judged:,}"),
                *(f"{each.figures[name]:.4f}" for name in columns),
            )
            for part, each in (("candidate", told.candidate), ("champion", told.champion))
        ],
    )
    said = []
    if (found := told.difference) is not None:
        said.append(
            f"log loss {found.mean:+.4f} ({found.low:+.4f} to {found.high:+.4f}) against the"
            f" champion's, by {found.labels:,} labels: {found.verdict}"
        )
    if told.missing:
        said.append(
            f"the archive lacks {told.missing:,} of the log's offsets: `learn` may know more"
        )
    if entry is not None:
        said.append(f"{entry.event.reference} can be promoted now")
    for line in said:
        console().print(line, markup=False)
