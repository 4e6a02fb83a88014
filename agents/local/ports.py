"""Ports on this machine: find out that one is taken before anything is started."""

import socket

from agents.embedded.errors import PortTaken


def require_free(host: str, port: int, *, wanted_by: str, flag: str) -> None:
    """Stop unless a port can be listened on.

    Raises
    ------
    PortTaken
        Names the port, who wanted it, and the flag that chooses another.
    """
    if not is_free(host, port):
        raise PortTaken(f"port {port} is taken: choose another for {wanted_by} with {flag}")


def is_free(host: str, port: int) -> bool:
    """Tell whether a port can be listened on.

    >>> with socket.create_server(("127.0.0.1", 0)) as server:
    ...     is_free("127.0.0.1", server.getsockname()[1])
    False
    """
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        # As servers do, so that connections which a predecessor left closing do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def is_listening(host: str, port: int) -> bool:
    """Tell whether somebody answers on a port."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((host, port)) == 0
