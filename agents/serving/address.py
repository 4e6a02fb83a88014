"""Where the ops page listens, and who reaches it there."""

import ipaddress
import socket

from schemas.errors import InvalidSetting


def listen(host: str, port: int) -> socket.socket:
    """Take the address, which must be this machine's own: there is no authentication yet.

    Raises
    ------
    InvalidSetting
        Names the setting and what it can be.
    """
    require_loopback(host)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise InvalidSetting(
            f"THALWEG_WEB_PORT: cannot serve on {host}:{port}: {error.strerror}"
        ) from error


def require_loopback(host: str) -> None:
    """Stop unless only this machine reaches a host.

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


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches a host.

    >>> [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "example.org")]
    [True, True, True, False, False]
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
