"""What models may be asked, and what the labels of each kind of question are."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from schemas.errors import InvalidDeclaration
from schemas.labels import LabelType

LABELS: Final[Mapping[str, tuple[LabelType, ...]]] = MappingProxyType(
    {
        "binary": (bool,),
        "multiclass": (str,),
        "regression": (float,),
        "anomaly": (bool,),
        "bandit": (bool, float),
    }
)
"""By task: whether it comes true; which class it is; how much it is; how odd it is; what choosing
an arm was worth."""
MOST_ARMS: Final = 100
"""That a bandit chooses among, and that a model of it remembers."""


def task_name(model: str) -> str:
    """Tell the task of a model, or of a version of one: it is the first word of its name.

    Raises
    ------
    InvalidDeclaration
        There is no such task.

    Examples
    --------
    >>> task_name("binary_logistic_v1")
    'binary'
    >>> task_name("oracle_v1")
    Traceback (most recent call last):
    schemas.errors.InvalidDeclaration: `oracle_v1` names no task that there is: binary, multiclass,
    regression, anomaly, bandit
    """
    name = model.partition("_")[0]
    if name not in LABELS:
        raise InvalidDeclaration(f"`{model}` names no task that there is: {', '.join(LABELS)}")
    return name
