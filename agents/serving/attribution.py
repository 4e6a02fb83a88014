"""Which features moved with a drift alert, asked when somebody wants to know."""

import asyncio

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agents.monitoring.attribution import NoAttribution
from agents.monitoring.explanation import explanation
from agents.pipeline import Pipeline
from agents.settings import Settings
from schemas.errors import ThalwegError


class AttributionPage:
    """Explains drift alerts from the sketches, one at a time."""

    def __init__(self, settings: Settings, pipeline: Pipeline) -> None:
        self._settings = settings
        self._use_case = pipeline.use_case
        self._one_at_a_time = asyncio.Lock()

    @property
    def routes(self) -> list[Route]:
        """Where they are explained."""
        # An id ends with the event's, which may be anything.
        return [Route("/api/drift/explain/{alert_id:path}", self.explain)]

    async def explain(self, request: Request) -> Response:
        """Answer a GET."""
        alert_id = request.path_params["alert_id"]
        try:
            async with self._one_at_a_time:
                found = await asyncio.to_thread(
                    explanation, self._settings, self._use_case, alert_id
                )
        except NoAttribution as error:
            return _json({"error": str(error)}, 404)
        except ThalwegError as error:
            return _json({"error": str(error)}, 503)
        return _json(found.as_row())


def _json(value: object, status: int = 200) -> Response:
    return Response(orjson.dumps(value), status, media_type="application/json")
