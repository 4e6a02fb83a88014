"""The newest open dead letters with the records themselves, as text that is only text."""

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Final

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agents.admin import set_aside
from agents.admin.set_aside import DeadLetter
from agents.serving.tables import Row
from agents.settings import Settings
from schemas.errors import DeliveryFailed

SHOWN: Final = 50
LOOKED_AT: Final = 200
"""Newest dead letters that are read, whatever came of them."""
LONGEST: Final = 2_000
"""Characters of a record that are shown; `thalweg dead-letters show` shows all."""


class LetterPage:
    """Reads dead letters when somebody wants to see them, one reader at a time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._one_at_a_time = asyncio.Lock()

    @property
    def routes(self) -> list[Route]:
        """Where they are read."""
        return [Route("/api/dead-letters", self.show)]

    async def show(self, _: Request) -> Response:
        """Answer a GET."""
        try:
            async with self._one_at_a_time:
                told = await asyncio.to_thread(self._read)
        except DeliveryFailed as failure:
            return Response(orjson.dumps({"error": str(failure)}), 503)
        return Response(orjson.dumps({"dead_letters": told}), media_type="application/json")

    def _read(self) -> list[Row]:
        return rows(set_aside.read(self._settings, last=LOOKED_AT))


def rows(letters: Iterable[DeadLetter]) -> list[Row]:
    """Tell the newest open letters, newest first."""
    newest = deque((_row(each) for each in letters if each.fate is None), maxlen=SHOWN)
    return list(reversed(newest))


def visible(text: str | None, longest: int = LONGEST) -> str | None:
    r"""Cut a text, and write as escapes what would not be seen, or would disarrange what is.

    >>> visible('{"a": 1}\n'), visible("\x1b[2J\u202e"), visible("abc", longest=2), visible(None)
    ('{"a": 1}\n', '\\x1b[2J\\u202e', 'ab…', None)
    """
    if text is None:
        return None
    shown = "".join(
        each if each.isprintable() or each == "\n" else each.encode("unicode_escape").decode()
        for each in text[:longest]
    )
    return shown if len(text) <= longest else f"{shown}…"


def _row(letter: DeadLetter) -> Row:
    # At most so many bytes make so many characters; the rest is not even decoded.
    key, value = (
        None if raw is None else set_aside.text(raw[: 4 * LONGEST])
        for raw in (letter.key, letter.value)
    )
    return {
        "offset": letter.offset,
        "at": letter.at,
        "reason": visible(letter.reason),
        "detail": visible(letter.detail),
        "origin": visible(letter.origin),
        "retries": letter.n_retries,
        "key": visible(key),
        "value": visible(value),
        "bytes": len(letter.value or b""),
    }
