"""`thalweg models mlflow`."""

from agents.commands.flag import Flag


def mlflow(uri: str, /, *, name: str | None = None, json: Flag = False) -> int:
    """Let MLflow's registry say what ours says: versions, metrics, parameters, aliases.

    Exported are the versions that are kept, and each model that has a role as it is now; none of
    them twice. What MLflow has already is brought up to date, and the aliases `champion`,
    `challenger` and `previous` follow. What others wrote there is left. Takes MLflow, an extra of
    Thalweg's.

    For example:

        thalweg models mlflow sqlite:///mlflow.db
        thalweg models mlflow http://127.0.0.1:5000 --name intent --json

    Parameters
    ----------
    uri
        Where MLflow keeps what it knows: a server, or a database.
    name
        Of the registered model; by default topic prefix and use case.
    json
        Write the answer as JSON.
    """
    import msgspec  # noqa: PLC0415  # --help stays quick

    from agents import pipeline, settings  # noqa: PLC0415
    from agents.commands.output import console, write_json  # noqa: PLC0415
    from agents.mlflow import exporter  # noqa: PLC0415

    here = settings.load()
    told = exporter.export(here, pipeline.load(here.pipeline), uri, name=name)
    if json:
        write_json(msgspec.to_builtins(told))
        return 0
    lines = [f"{version} is {told.name}/{number}" for version, number in told.created.items()]
    lines += [f"{alias} is {told.name}/{number}" for alias, number in told.aliases.items()]
    lines += [f"{version} is left out: {why}" for version, why in told.refused.items()]
    for line in (*lines, f"{told.unchanged} versions stand as they did"):
        console().print(line, markup=False)
    return 0
