"""Prometheus' own programs."""

import os
import shutil
from collections.abc import Callable

import pytest


@pytest.fixture(scope="session")
def program() -> Callable[[str], str]:
    """Find a program of Prometheus; CI must have it."""

    def program(name: str) -> str:
        path = shutil.which(name)
        if path is None and os.environ.get("CI"):
            pytest.fail(f"CI must have {name}: apt-get install prometheus")
        if path is None:
            pytest.skip(f"no {name} is installed")
        return path

    return program
