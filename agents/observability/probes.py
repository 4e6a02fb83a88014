"""What a worker answers over HTTP: its metrics, whether it lives, whether it is ready.

- `/metrics`: for Prometheus.
- `/health/live`: 200 while the event loop and the threads give signs of life; else 503 and why.
  An orchestrator restarts what does not live.
- `/health/ready`: 200 while records can flow: partitions assigned, state restored, producer
  initialised; else 503 and why.
"""

import threading
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

from schemas.errors import InvalidSetting

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

Probe = Callable[[], str | None]
"""Tells why not, or nothing."""

_TEXT: Final = ("Content-Type", "text/plain; charset=utf-8")


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # the base has it
        """Log nothing: scrapes come every few seconds."""


def serve(
    registry: CollectorRegistry, host: str, port: int, *, live: Probe, ready: Probe
) -> WSGIServer | None:
    """Serve from a thread; port 0 serves nothing.

    Raises
    ------
    InvalidSetting
        When the address cannot be had.
    """
    if port == 0:
        return None
    metrics: Callable[..., Iterable[bytes]] = make_wsgi_app(registry)
    probes = {"/health/live": live, "/health/ready": ready}

    def answer(environ: "WSGIEnvironment", respond: "StartResponse") -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path in {"/metrics", "/"}:
            return metrics(environ, respond)
        if (probe := probes.get(path)) is None:
            respond("404 Not Found", [_TEXT])
            return [b"there are /metrics, /health/live and /health/ready\n"]
        why_not = probe()
        respond("200 OK" if why_not is None else "503 Service Unavailable", [_TEXT])
        return [f"{why_not or 'yes'}\n".encode()]

    try:
        server = make_server(host, port, answer, _Server, _Quiet)
    except (OSError, UnicodeError) as error:
        raise InvalidSetting(
            "THALWEG_METRICS_HOST, THALWEG_METRICS_PORT: cannot serve metrics on "
            f"{host}:{port}: {getattr(error, 'strerror', None) or error}"
        ) from error
    threading.Thread(target=server.serve_forever, name="probes", daemon=True).start()
    return server
