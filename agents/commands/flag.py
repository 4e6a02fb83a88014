"""A switch on a command line."""

from typing import Annotated

from cyclopts import Parameter

Flag = Annotated[bool, Parameter(show_default=False)]
"""Off unless it is given, which `--help` need not say each time."""
