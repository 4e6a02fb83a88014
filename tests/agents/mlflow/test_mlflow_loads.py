"""MLflow itself takes the registry in, and loads what it took: in an environment of its own.

`make mlflow` sets it up. What is exported is held by `test_changes.py`, without MLflow.
"""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from agents.mlflow.exported_versions import SNAPSHOT
from examples.shop.pipeline import PIPELINE
from online_models.signing import Verifier
from online_models.snapshot import decode_servable
from tests.agents.deployments.published import CHALLENGER, CHAMPION, N_LEARNED
from tests.agents.deployments.test_commands import Desk, desk_of  # noqa: F401  # a fixture
from tests.agents.outcome_log import FOLD, make_outcomes
from tests.environments import MLFLOW

PROGRAMS = MLFLOW.programs()
ASK = Path(__file__).with_name("ask_mlflow.py")
ROOT = Path(__file__).resolve().parents[3]
N_ROWS = 60

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(PROGRAMS is None, reason="MLflow is not set up: `make mlflow`"),
]

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(desk_of: Desk, tmp_path: Path) -> Run:  # noqa: F811  # the fixture
    """Run a Python of MLflow's environment, which sees our checkout and our settings."""
    assert PROGRAMS is not None
    programs = PROGRAMS

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        paths = {"PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
        return subprocess.run(
            [str(programs / "python"), *map(str, arguments)],
            env={**paths, "HOME": str(tmp_path), **desk_of.env},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


class Mlflow:
    """MLflow in a file, and the commands that write and read it."""

    def __init__(self, run: Run, desk: Desk, directory: Path) -> None:
        self.uri = f"sqlite:///{directory}/mlflow.db"
        self.name = f"{desk.settings.topic_prefix}{PIPELINE.use_case}"
        self.rows = [
            dict(zip(FOLD.names, outcome.features, strict=True))
            for outcome in make_outcomes(N_ROWS)
        ]
        self._run = run
        self._file = directory / "rows.json"
        self._file.write_text(json.dumps(self.rows), encoding="utf-8")

    def export(self):
        done = self._run("-m", "agents.cli", "models", "mlflow", self.uri, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def ask(self):
        done = self._run(ASK, self.uri, self.name, self._file)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def load(self, alias: str) -> str:
        """Load a model; tell the last line of what was said."""
        done = self._run(ASK, self.uri, f"models:/{self.name}@{alias}")
        assert done.returncode != 0
        return done.stderr.splitlines()[-1]

    def ours(self, desk: Desk, model: str) -> list[str]:
        """Tell what `predict` would answer to the rows."""
        scorer = decode_servable(
            desk.newest(model),
            Verifier([desk.signer.public_pem()]),
            model=model,
            schema=FOLD.schema,
            target=PIPELINE.label.target,
        ).scorer
        return [scorer.score(row).hex() for row in self.rows]


def test_mlflow_has_what_the_registry_has_and_answers_as_we_do_to_the_last_bit(
    desk_of,  # noqa: F811  # the fixture
    run,
    tmp_path,
):
    version = desk_of.keep(CHALLENGER)
    mlflow = Mlflow(run, desk_of, tmp_path)
    first = mlflow.export()
    told = mlflow.ask()
    again = mlflow.export()
    desk_of.run("promote", CHALLENGER, "--why", "better")
    after = mlflow.export()
    told_after = mlflow.ask()

    champion, challenger = f"{CHAMPION}@{N_LEARNED}", version
    numbers = first["created"]
    assert numbers.keys() == {champion, challenger}  # the version is one with its model still
    assert first["aliases"] == told["aliases"]
    assert first["aliases"] == {"champion": numbers[champion], "challenger": numbers[challenger]}
    assert told["answers"]["champion"]["scores"] == mlflow.ours(desk_of, CHAMPION)
    assert told["answers"]["challenger"]["scores"] == mlflow.ours(desk_of, CHALLENGER)
    assert set(told["answers"]["champion"]["degraded"]) == {None}
    assert len({*told["answers"]["champion"]["scores"]}) > N_ROWS // 2
    of_champion = told["versions"][numbers[champion]]
    (shown,) = (each for each in desk_of.json("ls") if each["model"] == CHAMPION)
    assert of_champion["metrics"]["roc_auc"] == shown["roc_auc"]
    assert of_champion["params"]["LogisticRegression.optimizer"] == "SGD"
    assert of_champion["tags"]["thalweg.learned"] == str(N_LEARNED)
    assert of_champion["tags"]["thalweg.through"] == str(N_LEARNED - 1)
    assert of_champion["tags"]["thalweg.lineage"] == shown["lineage"]
    assert told["versions"][numbers[challenger]]["tags"]["thalweg.kept"] == "true"

    assert (again["created"], again["unchanged"]) == ({}, 2)
    assert again["aliases"] == first["aliases"]
    assert after["created"] == {}
    assert told_after["aliases"] == after["aliases"]
    assert after["aliases"] == {
        "champion": numbers[challenger],
        "challenger": numbers[champion],
        "previous": numbers[champion],
    }
    assert told_after["answers"]["champion"] == told["answers"]["challenger"]
    assert told_after["runs"] == told["runs"] == 2
    snapshots = [each["tags"][SNAPSHOT] for each in told_after["versions"].values()]
    assert sorted(snapshots) == sorted(each["tags"][SNAPSHOT] for each in told["versions"].values())


def test_mlflow_loads_nothing_that_no_trusted_key_has_signed(
    desk_of,  # noqa: F811  # the fixture
    run,
    tmp_path,
):
    """What has to be so for all else that can be wrong is in `test_signed_model.py`."""
    mlflow = Mlflow(run, desk_of, tmp_path)
    mlflow.export()
    for snapshot in tmp_path.rglob("artifacts/*.snapshot"):
        blob = bytearray(snapshot.read_bytes())
        blob[-1] ^= 1  # of the state
        snapshot.write_bytes(blob)

    assert [*tmp_path.rglob("*.pkl")] == []  # MLflow has nothing of its own to unpickle
    assert "SnapshotRefused: state is not the one that was signed" in mlflow.load("champion")
