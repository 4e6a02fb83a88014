"""Run in MLflow's environment: asks it what it has, and a model for its answers, as JSON.

Arguments: the address of MLflow, the name of a registered model, and a file of rows; or, to load
a model and no more, the address of MLflow and that of the model.
"""

import json
import sys
from pathlib import Path
from typing import Any


def answers(mlflow: Any, model: str, rows: list[dict[str, float]]) -> dict[str, Any]:
    import pandas  # type: ignore[import-not-found,import-untyped,unused-ignore]  # noqa: PLC0415

    loaded = mlflow.pyfunc.load_model(model)
    told = loaded.predict(pandas.DataFrame(rows))
    return {
        "scores": [score.hex() for score in told["score"].tolist()],
        "degraded": told["degraded"].tolist(),
        "version": loaded.unwrap_python_model().manifest.version,
    }


def registered(client: Any, name: str) -> dict[str, Any]:
    versions = client.search_model_versions(f"name='{name}'")
    aliases = client.get_registered_model(name).aliases
    runs = {each.version: client.get_run(each.run_id).data for each in versions}
    return {
        "aliases": {alias: str(number) for alias, number in aliases.items()},
        "versions": {
            each.version: {
                "tags": each.tags,
                "metrics": runs[each.version].metrics,
                "params": runs[each.version].params,
            }
            for each in versions
        },
        "runs": len(client.search_runs([client.get_experiment_by_name(name).experiment_id])),
    }


def main(uri: str, name: str, rows: str | None = None) -> None:
    import mlflow  # type: ignore[import-not-found,import-untyped,unused-ignore]  # noqa: PLC0415

    mlflow.set_tracking_uri(uri)
    if rows is None:
        mlflow.pyfunc.load_model(name)
        return
    told = registered(mlflow.MlflowClient(), name)
    asked = json.loads(Path(rows).read_text(encoding="utf-8"))
    told["answers"] = {
        alias: answers(mlflow, f"models:/{name}@{alias}", asked) for alias in told["aliases"]
    }
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
