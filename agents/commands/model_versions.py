"""`thalweg models keep`, `archive`, `diff` and `export`."""

from pathlib import Path

from agents.commands.flag import Flag, Why
from agents.commands.model_decisions import tell


def keep(model: str, /, *, why: Why, json: Flag = False) -> int:
    """Keep a version of a model as it is, to be promoted or put back later as `model@version`.

    The learner does so with the next outcome; `ls` then shows it. `Pipeline.keep_every` does it
    regularly.

    For example:

        thalweg models keep binary_logistic_v1 --why "before the sale begins"
        thalweg models keep binary_logistic_v1 --why "a good week" --json

    Parameters
    ----------
    model
        One that learns.
    why
        For who reads the history.
    json
        Write the answer as JSON.
    """
    from agents import pipeline, settings  # noqa: PLC0415  # --help stays quick
    from agents.deployments import desk  # noqa: PLC0415

    here = settings.load()
    declared = pipeline.load(here.pipeline)
    entry = desk.keep(here, declared, model, by=desk.operator(), why=why)
    return tell(entry, f"`learn` keeps a version of {model} with its next outcome", json=json)


def archive(version: str, /, *, why: Why, json: Flag = False) -> int:
    """Let a version that was kept never serve again; its snapshot goes with the next outcome.

    Neither the champion nor `previous` can be archived. `export` first what may be wanted again.

    For example:

        thalweg models archive binary_logistic_v1@41210 --why "learned from broken labels"
        thalweg models archive binary_logistic_v1@41210 --why "too old" --json

    Parameters
    ----------
    version
        As `ls` names it: `model@version`.
    why
        For who reads the history.
    json
        Write the answer as JSON.
    """
    from agents import pipeline, settings  # noqa: PLC0415  # --help stays quick
    from agents.deployments import desk  # noqa: PLC0415

    here = settings.load()
    declared = pipeline.load(here.pipeline)
    entry = desk.archive(here, declared, version, by=desk.operator(), why=why)
    return tell(entry, f"{version} will never serve again", json=json)


def diff(one: str, other: str, /, *, json: Flag = False) -> int:
    """Hold two models, or two versions of one, against each other.

    For example:

        thalweg models diff binary_logistic_v1 binary_hoeffding_tree_v1
        thalweg models diff binary_logistic_v1@41210 binary_logistic_v1 --json

    Parameters
    ----------
    one, other
        As `ls` names them.
    json
        Write the answer as JSON: what differs, and how.
    """
    import msgspec  # noqa: PLC0415  # --help stays quick

    from agents import pipeline, settings  # noqa: PLC0415
    from agents.admin import published_models  # noqa: PLC0415
    from agents.commands.output import write_json, write_table  # noqa: PLC0415
    from agents.deployments import log  # noqa: PLC0415

    here = settings.load()
    declared = pipeline.load(here.pipeline)
    registry = log.read(here, declared.use_case).registry
    published = {each.model: each for each in published_models.read(here, declared, registry)}
    left, right = (
        msgspec.to_builtins(published_models.find(published, each)) for each in (one, other)
    )
    differing = {
        name: (left[name], right[name])
        for name in left
        if name != "model" and left[name] != right[name]
    }
    if json:
        write_json(differing)
    else:
        write_table(("", one, other), [(name, *pair) for name, pair in differing.items()])
    return 0


def export(model: str, directory: Path, /, *, json: Flag = False) -> int:
    """Write a snapshot to a file, as it is signed, and what it says of itself as JSON beside it.

    For example:

        thalweg models export binary_logistic_v1 backup/
        thalweg models export binary_logistic_v1@41210 backup/ --json

    Parameters
    ----------
    model
        As `ls` names it.
    directory
        Where to; it is made. A file that is there already is left, and the command fails.
    json
        Write the answer as JSON.
    """
    from agents import settings  # noqa: PLC0415  # --help stays quick
    from agents.admin import published_models  # noqa: PLC0415
    from agents.commands.output import console, write_json  # noqa: PLC0415

    path = published_models.export(settings.load(), model, directory)
    if json:
        write_json({"snapshot": str(path), "bytes": path.stat().st_size})
    else:
        console().print(f"{path}: {path.stat().st_size:,} bytes", markup=False)
    return 0
