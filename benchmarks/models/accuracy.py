"""How good the models are on River's bundled streams, progressively: asked first, then taught."""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from river import base, datasets, dummy, metrics, stream
from river.datasets import base as base_dataset

from online_models import catalogue

LAST_CLASS: Final = "last class (no model)"
DELAY_ROWS: Final = 300

STREAMS: Final[Mapping[str, Callable[[], base_dataset.Dataset]]] = MappingProxyType(
    {"Phishing": datasets.Phishing, "Bananas": datasets.Bananas}
)


def accuracies() -> Iterator[tuple[str, dict[str, float]]]:
    """Yield each model, and last the one that is none, with its figures."""
    for name in (*catalogue.names("binary"), LAST_CLASS):
        figures = {}
        for title, dataset in STREAMS.items():
            accuracy, log_loss = progressive(_model(name), dataset(), delay_rows=0)
            figures[f"{title.lower()}"] = round(accuracy, 4)
            figures[f"{title.lower()}_log_loss"] = round(log_loss, 3)
        late, _ = progressive(_model(name), datasets.Phishing(), delay_rows=DELAY_ROWS)
        figures["phishing_late"] = round(late, 4)
        yield name, figures


def progressive(
    model: base.Classifier, dataset: base_dataset.Dataset, *, delay_rows: int
) -> tuple[float, float]:
    """Give accuracy and log loss of a model whose labels come so many rows late."""
    accuracy, log_loss = metrics.Accuracy(), metrics.LogLoss()  # type: ignore[no-untyped-call]
    asked: dict[int, float] = {}
    for row, features, label in stream.simulate_qa(
        dataset, moment=None, delay=delay_rows or None, copy=False
    ):
        if label is None:
            asked[row] = model.predict_proba_one(features).get(True, 0.5 if row == 0 else 0.0)
        else:
            p = asked.pop(row)
            accuracy.update(label, p > 0.5)
            log_loss.update(label, p)
            model.learn_one(features, label)
    return accuracy.get(), log_loss.get()  # type: ignore[no-untyped-call]


def _model(name: str) -> base.Classifier:
    return dummy.NoChangeClassifier() if name == LAST_CLASS else catalogue.make(name)
