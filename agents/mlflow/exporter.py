"""Write the registry into MLflow's, through MLflow."""

import importlib
import logging
import os
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import msgspec

from agents import key_files
from agents.admin import published_models
from agents.deployments import log
from agents.mlflow.changes import Changes, Present, changes, numbers
from agents.mlflow.exported_versions import ExportedVersion, Gathered, gather
from agents.mlflow.signed_model import ARTIFACT, CODE
from agents.pipeline import Pipeline
from agents.settings import Settings
from online_models.signing import Verifier
from online_models.snapshot import environment_of
from schemas.errors import ThalwegError

INSTALL: Final = "pip install -e '.[mlflow]'"
_ITS_WAYS: Final = {
    "MLFLOW_DISABLE_TELEMETRY": "true",  # it would tell its makers
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # where `--json` answers
    "GIT_PYTHON_REFRESH": "quiet",
}
"""What MLflow is asked to leave, unless who calls us has said otherwise."""
_NEEDED: Final = ("cryptography", "msgspec", "pydantic-settings", "river")
"""What a loaded model needs beside the checkout, in the versions that it was exported with."""


class Exported(msgspec.Struct, frozen=True):
    """What came of it."""

    name: str
    """Of MLflow's registered model."""
    created: dict[str, str]
    """Number in MLflow of each version that was not there yet."""
    unchanged: int
    """Versions that stand there as they did, and that the registry has."""
    aliases: dict[str, str]
    """Number of the version that each alias names."""
    refused: dict[str, str]
    """What was left out, and why."""


def export(
    settings: Settings, declared: Pipeline, uri: str, *, name: str | None = None
) -> Exported:
    """Let MLflow say what the registry says now.

    Parameters
    ----------
    uri
        Where MLflow keeps what it knows: a server, or a database such as `sqlite:///mlflow.db`.
    name
        Of the registered model; by default topic prefix and use case.

    Raises
    ------
    ThalwegError
        MLflow is not installed, or fails.
    InvalidSetting
        No keys are trusted.
    DeliveryFailed
        The broker cannot be reached.
    """
    name = name or f"{settings.topic_prefix}{declared.use_case}"
    mlflow = _mlflow()
    verifier = Verifier(key_files.trusted_keys(settings))
    # First the decisions: what they name is on `models` by then.
    registry = log.read(settings, declared.use_case).registry
    environment = environment_of(settings.topic_prefix, declared.use_case)
    there_is = published_models.snapshots(settings)
    gathered = gather(there_is, declared, registry, verifier, environment)
    try:
        mlflow.set_tracking_uri(uri)
        return _Registered(mlflow, name).follow(gathered)
    except mlflow.exceptions.MlflowException as error:
        raise ThalwegError(f"MLflow: {error}") from error


class _Registered:
    """One registered model of MLflow's."""

    def __init__(self, mlflow: Any, name: str) -> None:  # noqa: ANN401  # a module without types
        self._mlflow = mlflow
        self._client = mlflow.MlflowClient()
        self._name = name

    def follow(self, gathered: Gathered) -> Exported:
        before = self._present()
        todo = changes(gathered.versions, before)
        number_of = numbers(before)
        created = self._create_missing(todo)
        for each in todo.tags:
            if each.value is None:
                self._client.delete_model_version_tag(self._name, each.number, each.tag)
            else:
                self._client.set_model_version_tag(self._name, each.number, each.tag, each.value)
        number_of |= created
        # Last: an alias never names what is not all there.
        for alias, snapshot in todo.aliases.items():
            if snapshot is None:
                self._client.delete_registered_model_alias(self._name, alias)
            else:
                number = number_of[snapshot]
                self._client.set_registered_model_alias(self._name, alias, number)
        touched = {each.number for each in todo.tags} | {*created.values()}
        return Exported(
            name=self._name,
            created={each.reference: created[each.snapshot] for each in todo.missing},
            unchanged=sum(number_of[each.snapshot] not in touched for each in gathered.versions),
            aliases={
                alias: number_of[each.snapshot]
                for each in gathered.versions
                for alias in sorted(each.aliases)
            },
            refused=gathered.refused,
        )

    def _present(self) -> Present:
        found = self._client.search_registered_models(f"name='{self._name}'")
        if not found:
            return Present()
        versions: dict[str, dict[str, str]] = {}
        token: str | None = None
        while token != "":
            page = self._client.search_model_versions(
                f"name='{self._name}'", page_token=token or None
            )
            versions |= {str(each.version): dict(each.tags) for each in page}
            token = page.token or ""
        aliases = {alias: str(number) for alias, number in found[0].aliases.items()}
        return Present(versions, aliases)

    def _create_missing(self, todo: Changes) -> dict[str, str]:
        """Make the versions that are not there; tell the number of each snapshot."""
        if not todo.missing:
            return {}
        self._mlflow.set_experiment(self._name)
        with tempfile.TemporaryDirectory() as directory:
            code = Path(directory) / "thalweg_model.py"
            code.write_text(CODE, encoding="utf-8")
            return {each.snapshot: self._create(each, code) for each in todo.missing}

    def _create(self, exported: ExportedVersion, code: Path) -> str:
        mlflow = self._mlflow
        snapshot = code.with_name(f"{exported.reference}.snapshot")
        snapshot.write_bytes(exported.blob)
        types = mlflow.types
        features = [types.ColSpec("double", feature) for feature in exported.feature_names]
        answers = [types.ColSpec("double", "score")]
        # A run that fails is told as such, and no version comes of it.
        with mlflow.start_run(run_name=exported.reference, tags=exported.tags):
            mlflow.log_params(exported.parameters)
            mlflow.log_metrics(exported.metrics)
            logged = mlflow.pyfunc.log_model(
                name="model",
                python_model=str(code),
                artifacts={ARTIFACT: str(snapshot)},
                signature=mlflow.models.ModelSignature(
                    types.Schema(features), types.Schema(answers)
                ),
                pip_requirements=[f"{package}=={version(package)}" for package in _NEEDED],
            )
        snapshot.unlink()
        made = mlflow.register_model(logged.model_uri, self._name, tags=exported.tags)
        return str(made.version)


def _mlflow() -> Any:  # noqa: ANN401  # a module without types
    for variable, value in _ITS_WAYS.items():
        os.environ.setdefault(variable, value)
    try:
        mlflow = importlib.import_module("mlflow")
        for part in ("exceptions", "models", "pyfunc", "types", "store.tracking.sqlalchemy_store"):
            importlib.import_module(f"mlflow.{part}")
    except ModuleNotFoundError as error:
        raise ThalwegError(
            f"`{error.name}` is not installed, which an export to MLflow takes: {INSTALL} in the"
            " checkout"
        ) from error
    for name in ("alembic", "mlflow"):  # what was done is told by the command
        logging.getLogger(name).setLevel(logging.WARNING)
    return mlflow
