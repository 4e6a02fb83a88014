"""What the ops page and its API answer over HTTP."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Final

import orjson
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agents.observability import metric_list
from agents.observability.metrics import Metrics
from agents.serving import shift_told
from agents.serving.feed import Feed
from agents.serving.overview import Overview
from agents.serving.pulse import Pulse, now_ms
from agents.serving.sketch_feed import SketchFeed

STATIC: Final = Path(__file__).with_name("static")

UNREADY: Final = {
    "ready": False,
    "reason": "the topics `telemetry`, `alerts` and `deployments` are not read yet",
}

HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    # With `no-referrer` a form would be sent without saying that it is ours.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


class SecureHeaders:
    """Sends `HEADERS` with every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer (ASGI)."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await self._app(scope, receive, send_with_headers)


def web_app(
    feed: Feed, sketches: SketchFeed, overview: Overview, host: str, routes: Sequence[Route]
) -> Starlette:
    """Build the application.

    Parameters
    ----------
    feed, sketches
        Started and stopped with the application.
    overview
        What is shown.
    host
        Where it is bound. Requests for other host names are refused: a page elsewhere may have
        its own name resolve to this machine (DNS rebinding).
    routes
        Of what asks Kafka itself, or writes to it.
    """
    pulse = Pulse(feed, sketches, overview)
    named = f"[{host}]" if ":" in host else host  # as a browser writes it
    metrics = Metrics()
    metrics.gauge(metric_list.UP).set(1)
    ready = metrics.gauge(metric_list.READY)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        feed.start()
        sketches.start()
        beating = asyncio.create_task(pulse.run())
        yield
        beating.cancel()
        await asyncio.to_thread(feed.stop)
        await asyncio.to_thread(sketches.stop)

    async def page(_: Request) -> Response:
        return FileResponse(STATIC / "index.html")

    async def events(_: Request) -> Response:
        return EventSourceResponse(pulse.frames())

    async def whole(_: Request) -> Response:
        if pulse.is_beating:
            return _json(overview.with_history(now_ms()))
        return _json(UNREADY, 503)

    async def alerts(_: Request) -> Response:
        return _json({"alerts": overview.alerts()})

    async def drift(request: Request) -> Response:
        return _json(overview.drift_of(request.path_params["partition"]))

    async def shift(request: Request) -> Response:
        model = request.query_params.get("model", "")
        days = sketches.of(request.path_params["signal"], model)
        return _json(shift_told.past(days))

    async def live(_: Request) -> Response:
        return _json({"live": True})

    async def is_ready(_: Request) -> Response:
        return _json({"ready": True}) if pulse.is_beating else _json(UNREADY, 503)

    async def own_metrics(_: Request) -> Response:
        ready.set(pulse.is_beating)
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return Starlette(
        routes=[
            Route("/", page),
            Route("/events", events),
            *routes,
            Route("/api/overview", whole),
            Route("/api/alerts", alerts),
            Route("/api/drift/{partition}", drift),
            Route("/api/shift/{signal}", shift),
            Route("/health/live", live),
            Route("/health/ready", is_ready),
            Route("/metrics", own_metrics),
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        middleware=[
            Middleware(SecureHeaders),
            Middleware(TrustedHostMiddleware, allowed_hosts=[named, "localhost", "127.0.0.1"]),
        ],
        lifespan=lifespan,
    )


def _json(value: Any, status: int = 200) -> Response:  # noqa: ANN401  # JSON
    return Response(orjson.dumps(value), status, media_type="application/json")
