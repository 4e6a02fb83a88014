"""What can be done from the page: what the commands do, by the same functions.

Those are imported when they are called: they load River and Faust, which the page itself starts
without.
"""

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agents.admin import set_aside
from agents.pipeline import Pipeline
from agents.serving.permission import Permission
from agents.serving.tables import Row
from agents.settings import Settings
from schemas.dead_letters import Verdict
from schemas.errors import UNREADABLE, DeliveryFailed, ThalwegError

if TYPE_CHECKING:
    from agents.deployments.log import Entry

MOST_BYTES: Final = 10_000
"""Of a request."""
MOST_LETTERS: Final = 50

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=r"^\S(.*\S)?$")]
Why = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
Offset = Annotated[int, msgspec.Meta(ge=0)]


class Promotion(msgspec.Struct, forbid_unknown_fields=True):
    """`promote`: another model or version is to serve."""

    model: Name
    by: Name
    why: Why


class Rollback(msgspec.Struct, forbid_unknown_fields=True):
    """`rollback`: who served before is to serve."""

    by: Name
    why: Why


class Letters(msgspec.Struct, forbid_unknown_fields=True):
    """`retry` and `drop`: what is to come of dead letters."""

    offsets: Annotated[list[Offset], msgspec.Meta(min_length=1, max_length=MOST_LETTERS)]
    by: Name


class Actions:
    """Takes actions, one at a time, from who knows the token.

    Who acts names themselves, and stands as `NAME@ops-page` in what is written.
    """

    def __init__(self, settings: Settings, pipeline: Pipeline) -> None:
        self.permission: Final = Permission(settings.web_token)
        self._settings = settings
        self._pipeline = pipeline
        self._one_at_a_time = asyncio.Lock()
        self._actions: Final[dict[str, Callable[[bytes], Row]]] = {
            "promote": self._promote,
            "rollback": self._roll_back,
            "retry": lambda body: self._settle(body, "retried"),
            "drop": lambda body: self._settle(body, "dropped"),
        }

    @property
    def routes(self) -> list[Route]:
        """Where they are taken."""
        return [Route("/api/actions/{action}", self.answer, methods=["POST"])]

    async def answer(self, request: Request) -> Response:
        """Answer a POST."""
        denial = self.permission.denial(request.headers, time.monotonic())
        if denial is not None:
            return _said(denial.text, denial.status)
        action = self._actions.get(request.path_params["action"])
        if action is None:
            return _said(f"there are {', '.join(self._actions)}", 404)
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > MOST_BYTES:
                return _said(f"an action has at most {MOST_BYTES} bytes", 413)
        try:
            async with self._one_at_a_time:
                return Response(orjson.dumps(await asyncio.to_thread(action, body)), 200, _JSON)
        except (*UNREADABLE, ThalwegError) as error:
            return _said(str(error), _status(error))

    def _promote(self, body: bytes) -> Row:
        from agents.deployments import desk  # noqa: PLC0415

        said = msgspec.json.decode(body, type=Promotion)
        entry = desk.promote(
            *(self._settings, self._pipeline, said.model), by=_operator(said.by), why=said.why
        )
        return _told(entry)

    def _roll_back(self, body: bytes) -> Row:
        from agents.deployments import desk  # noqa: PLC0415

        said = msgspec.json.decode(body, type=Rollback)
        entry = desk.roll_back(self._settings, self._pipeline, by=_operator(said.by), why=said.why)
        return _told(entry)

    def _settle(self, body: bytes, verdict: Verdict) -> Row:
        from agents.admin.settle import settle  # noqa: PLC0415

        said = msgspec.json.decode(body, type=Letters)
        letters = set_aside.at(self._settings, said.offsets)
        by = _operator(said.by)
        return {verdict: sum(settle(self._settings, letters, verdict, by=by))}


_JSON: Final = {"Content-Type": "application/json"}


def _operator(name: str) -> str:
    return f"{name}@ops-page"


def _told(entry: "Entry") -> Row:
    from agents.deployments import log  # noqa: PLC0415

    if entry.refusal is not None:
        raise ThalwegError(f"refused: {entry.refusal.reason}")
    return log.as_json(entry)


def _status(error: Exception) -> int:
    if isinstance(error, msgspec.MsgspecError):
        return 400
    return 503 if isinstance(error, DeliveryFailed) else 409


def _said(error: str, status: int) -> Response:
    return Response(orjson.dumps({"error": error}), status, _JSON)
