"""A snapshot as MLflow loads it: checked as `predict` checks it, and answering alike."""

from pathlib import Path
from typing import Any, Final

from agents import key_files, settings
from online_models.class_scorer import ClassScorer
from online_models.scorer import Scores
from online_models.signing import Verifier
from online_models.snapshot import Manifest, claimed, decode_servable
from schemas.deployments import reference

CODE: Final = '''\
"""A model of Thalweg. Who loads it has Thalweg installed, and sets THALWEG_TRUSTED_KEYS_DIR."""

from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from agents.mlflow.signed_model import SignedModel


class Thalweg(SignedModel, PythonModel):
    """Answers as `predict` does."""


set_model(Thalweg())
'''
"""What MLflow runs to have the model: the code is in the artifact, the state is in the snapshot."""
ARTIFACT: Final = "snapshot"


class SignedModel:
    """What MLflow calls a Python model, but for MLflow.

    Whose snapshots may be loaded is said by the one who loads, in the setting
    `THALWEG_TRUSTED_KEYS_DIR`: nothing that lies beside the snapshot has a say in it.

    Attributes
    ----------
    manifest
        What the snapshot says of itself, once it is loaded: model, version, environment.
    """

    manifest: Manifest
    _scorer: Scores

    def load_context(self, context: Any) -> None:  # noqa: ANN401  # MLflow's
        """Load the snapshot that MLflow has; raises as `load` does."""
        self.load(Path(context.artifacts[ARTIFACT]))

    def load(self, snapshot: Path) -> None:
        """Load a snapshot.

        Raises
        ------
        InvalidSetting
            No keys are trusted.
        SnapshotRefused
            No trusted key signed it, or it cannot be loaded here. Nothing is unpickled before all
            its bytes are known to be what was signed.
        """
        verifier = Verifier(key_files.trusted_keys(settings.load()))
        blob = snapshot.read_bytes()
        told = claimed(blob)  # its signature has to stand for all of it
        loaded = decode_servable(
            blob,
            verifier,
            model=reference(told.model, told.version),
            schema=told.schema,
            target=told.target,
            environment=told.environment,
        )
        self.manifest, self._scorer = loaded.manifest, loaded.scorer

    def predict(
        self,
        context: Any,  # noqa: ANN401  # MLflow's
        model_input: Any,  # noqa: ANN401  # a data frame
        params: dict[str, Any] | None = None,  # it has none
    ) -> Any:  # noqa: ANN401  # a data frame
        """Answer each row of features.

        `score` is that of our predictions, `degraded` why it is not the model's own, if it is not;
        of classes, `prediction` is the one that is most probable. Which arms there are only a
        pipeline says: of choices, `score` is what is expected of one among all that it knows.
        """
        names = self.manifest.feature_names
        columns: dict[str, list[Any]] = {"score": [], "degraded": []}
        is_of_classes = isinstance(self._scorer, ClassScorer)
        if is_of_classes:
            columns["prediction"] = []
        for row in model_input[list(names)].to_numpy(dtype=float).tolist():
            columns["score"].append(self._scorer.score(dict(zip(names, row, strict=True))))
            columns["degraded"].append(self._scorer.degraded_reason)
            if isinstance(self._scorer, ClassScorer):
                columns["prediction"].append(self._scorer.prediction)
        return type(model_input)(columns, index=model_input.index)
