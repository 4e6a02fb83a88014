"""What models are asked: yes or no, which of many, how much, how odd.

The first word of a model's name is its task.
"""

from typing import Final

from online_models.tasks.binary import BINARY
from online_models.tasks.task import Task
from schemas.errors import InvalidDeclaration

__all__ = ["Task", "task_of"]

_TASKS: Final = {task.name: task for task in (BINARY,)}


def task_of(model: str) -> Task:
    """Tell the task of a model, or of a version of one, by its name.

    Raises
    ------
    InvalidDeclaration
        There is no such task.

    Examples
    --------
    >>> task_of("binary_logistic_v1").label
    <class 'bool'>
    >>> task_of("ternary_logistic_v1")
    Traceback (most recent call last):
    schemas.errors.InvalidDeclaration: `ternary_logistic_v1` names no task that there is: binary
    """
    name = model.partition("_")[0]
    if name not in _TASKS:
        raise InvalidDeclaration(f"`{model}` names no task that there is: {', '.join(_TASKS)}")
    return _TASKS[name]
