"""`thalweg serve`: the ops page in a process of its own."""

import ipaddress
import signal
import socket
from typing import Final

import uvicorn

from agents import pipeline
from agents.serving.feed import Feed
from agents.serving.overview import Overview
from agents.serving.web import web_app
from agents.settings import Settings
from schemas.errors import InvalidSetting

SHUTDOWN_TIMEOUT_S: Final = 3


def run(settings: Settings) -> int:
    """Serve until SIGTERM or Ctrl-C; tell the exit code.

    Raises
    ------
    InvalidSetting
        The address cannot be had, or is not for everybody to reach.
    """
    with listen(settings.web_host, settings.web_port) as listener:
        overview = Overview(pipeline.load(settings.pipeline), settings.delivery)
        config = uvicorn.Config(
            web_app(Feed(settings), overview, settings.web_host),
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=SHUTDOWN_TIMEOUT_S,
        )
        # uvicorn shuts down on these, then raises them again; by then there is nothing to do.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
        server = uvicorn.Server(config)
        server.run(sockets=[listener])
    return 0 if server.started else 1


def listen(host: str, port: int) -> socket.socket:
    """Take the address, which must be this machine's own: there is no authentication yet.

    Raises
    ------
    InvalidSetting
        Names the setting and what it can be.
    """
    if not is_loopback(host):
        raise InvalidSetting(
            f"THALWEG_WEB_HOST: the page has no authentication yet, so it is not bound to {host}; "
            "use 127.0.0.1 and a reverse proxy that authenticates"
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise InvalidSetting(
            f"THALWEG_WEB_PORT: cannot serve on {host}:{port}: {error.strerror}"
        ) from error


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches a host.

    >>> [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "example.org")]
    [True, True, True, False, False]
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
