"""Whoever learns the log again, in whatever process, comes to the same model."""

import os
import subprocess
import sys

from online_models import catalogue

NAMES = [name for name in catalogue.NAMES if not name.startswith("binary_")]


def told(hash_seed: str) -> dict[str, str]:
    """Teach all models in a process of their own; Python hashes texts by that seed."""
    run = subprocess.run(
        [sys.executable, "-m", "tests.online_models.tasks.learns_alike", *NAMES],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(zip(NAMES, run.stdout.split(), strict=True))


def test_the_order_in_which_a_process_keeps_texts_changes_no_bit():
    """True and false have one order everywhere; classes have not, if they are kept in sets.

    Nor does it change the fingerprint that tells whether a model learned anew is the same.
    """
    assert told("1") == told("2")
