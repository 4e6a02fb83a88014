"""Models that take less time."""

from typing import Any

from river import compose

from online_models import catalogue


def small(name: str) -> Any:
    """Make a model as declared, but of three members instead of ten: as much code, less time."""
    model: Any = catalogue.recipe(name).make()
    if hasattr(model, "n_models"):
        return model.clone({"n_models": 3})
    if isinstance(model, compose.Pipeline):
        last = list(model.steps)[-1]
        if hasattr(model[last], "n_models"):
            return model.clone({last: {"n_models": 3}})
    return model
