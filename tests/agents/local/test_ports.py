"""A port that is taken is found out, and the message says what to change."""

import socket

import pytest

from agents.local import ports
from schemas.errors import InvalidSetting


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_a_taken_port_is_named_with_the_flag_that_changes_it(listener):
    port = listener.getsockname()[1]

    with pytest.raises(InvalidSetting, match=f"port {port} is taken.*the page.*--web-port"):
        ports.require_free("127.0.0.1", port, wanted_by="the page", flag="--web-port")


def test_a_port_is_free_once_its_listener_is_gone(listener):
    port = listener.getsockname()[1]
    assert ports.is_listening("127.0.0.1", port)

    listener.close()

    assert ports.is_free("127.0.0.1", port)
    assert not ports.is_listening("127.0.0.1", port)
