"""What a model of the catalogue is made with, as plain names and values."""

from river import base

from online_models.catalogue import recipe
from online_models.estimator import Estimator

Parameter = str | int | float | bool | None


def parameters_of(name: str) -> dict[str, Parameter]:
    """Tell every parameter that a model of the catalogue is made with, whatever its task.

    Raises
    ------
    InvalidDeclaration
        When the catalogue has no such model.

    Examples
    --------
    >>> parameters_of("regression_neighbours_v1")["KNNRegressor.n_neighbors"]
    10
    """
    return parameters(recipe(name).make())


def parameters(model: Estimator) -> dict[str, Parameter]:
    """Tell every parameter of a model and of its parts; a part itself is told by its class.

    Examples
    --------
    >>> from online_models import catalogue
    >>> told = parameters(catalogue.make("binary_logistic_v1"))
    >>> told["LogisticRegression.optimizer"], told["LogisticRegression.optimizer.lr.learning_rate"]
    ('SGD', 0.001)
    >>> parameters(catalogue.make("binary_forest_v1"))["n_models"]
    10
    """
    found: dict[str, Parameter] = {}
    _note(found, "", _params(model))
    return found


def _note(found: dict[str, Parameter], path: str, value: object) -> None:
    inside = f"{path}." if path else ""
    match value:
        case (type() as kind, dict() as params):  # as River tells a part that is made anew
            found[path] = kind.__name__
            _note(found, path, params)
        case dict():
            for name, each in value.items():
                _note(found, f"{inside}{name}", each)
        case list() | tuple():
            for number, each in enumerate(value):
                _note(found, f"{inside}{number}", each)
        case base.Base():
            found[path] = type(value).__name__
            _note(found, path, _params(value))
        case str() | int() | float() | None:
            found[path] = value
        case _:
            found[path] = getattr(value, "__name__", repr(value))


def _params(model: base.Base) -> dict[str, object]:
    return model._get_params()  # noqa: SLF001  # River's `clone` rests on it; nothing public tells
