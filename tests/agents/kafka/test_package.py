"""The package's own text leads to each of its modules."""

import re
from pathlib import Path

from agents import kafka


def test_it_names_all_of_its_modules_and_no_other() -> None:
    modules = {path.stem for path in Path(kafka.__path__[0]).glob("*.py")} - {"__init__"}

    assert set(re.findall(r"`(\w+)`", kafka.__doc__ or "")) == modules
