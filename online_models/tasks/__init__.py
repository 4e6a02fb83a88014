"""What models are asked, and how they are judged: yes or no, which of many, how much, and so on."""

from typing import Final

from online_models.tasks.anomaly import ANOMALY
from online_models.tasks.bandit import BANDIT
from online_models.tasks.binary import BINARY
from online_models.tasks.multiclass import MULTICLASS
from online_models.tasks.regression import REGRESSION
from online_models.tasks.task import Task
from schemas.tasks import task_name

__all__ = ["Task", "task_of"]

_TASKS: Final = {task.name: task for task in (BINARY, MULTICLASS, REGRESSION, ANOMALY, BANDIT)}


def task_of(model: str) -> Task:
    """Tell the task of a model, or of a version of one, by its name.

    Raises
    ------
    InvalidDeclaration
        There is no such task.

    Examples
    --------
    >>> task_of("binary_logistic_v1").name
    'binary'
    """
    return _TASKS[task_name(model)]
