"""What several commands take: switches, and numbers within bounds."""

from typing import Annotated, Final

from cyclopts import Parameter

Flag = Annotated[bool, Parameter(show_default=False)]
"""Off unless it is given, which `--help` need not say each time."""


LAST_PORT: Final = 65_535


def _port(_: object, value: int) -> None:
    if not 1 <= value <= LAST_PORT:
        raise ValueError(f"a port is 1 to {LAST_PORT}, not {value}")


def _positive(_: object, value: int | None) -> None:
    if value is not None and value < 1:
        raise ValueError(f"must be 1 or more, not {value}")


def _not_negative(_: object, value: float) -> None:
    if not 0 <= value < float("inf"):  # nor NaN
        raise ValueError(f"must be 0 or more, not {value}")


def _share(_: object, value: float | None) -> None:
    if value is not None and not 0 <= value <= 1:  # NaN neither
        raise ValueError(f"a share is from 0 to 1, not {value}")


def _not_blank(_: object, value: str | None) -> None:
    if value is not None and not value.strip():
        raise ValueError("must say something")


Why = Annotated[str, Parameter(validator=_not_blank)]
"""The reason of a decision, for who looks at it later."""
Port = Annotated[int, Parameter(validator=_port)]
"""Where a server listens."""
Count = Annotated[int, Parameter(validator=_positive)]
"""At least one of something."""
Limit = Annotated[int | None, Parameter(validator=_positive)]
"""At most so many, if there is a limit at all."""
Rate = Annotated[float, Parameter(validator=_not_negative)]
"""Events a second; 0 for as fast as possible."""
Share = Annotated[float | None, Parameter(validator=_share)]
"""A part of a whole, if it is to be another than what is declared."""
Hours = Annotated[float, Parameter(validator=_not_negative)]
"""A span of time."""
Slot = Annotated[int, Parameter(validator=_not_negative)]
"""Which of a role's workers, from 0."""
Standby = Annotated[int | None, Parameter(show_default=False)]
"""How many workers may go at once; the setting's own bounds apply."""
