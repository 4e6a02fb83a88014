"""Flags that stand for settings."""

import os
from collections.abc import Mapping


def override(flags: Mapping[str, object]) -> None:
    """Let flags win over the environment, where they are checked like any other setting."""
    for name, value in flags.items():
        if value is not None:
            os.environ[f"THALWEG_{name}"] = str(value)
            os.environ.pop(f"THALWEG_{name}_FILE", None)
