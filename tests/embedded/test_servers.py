"""The promises that both embedded servers keep: identity, one owner, no orphans, one clear line."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from agents.embedded.errors import DataDirInUse, PortTaken
from agents.embedded.kafka import EmbeddedKafka
from agents.embedded.process import HOST, EmbeddedServer
from agents.embedded.valkey import EmbeddedRedis
from schemas.errors import InvalidSetting
from tests.waiting import wait_until

pytestmark = pytest.mark.integration

Make = Callable[[], EmbeddedServer]


@pytest.fixture(params=[EmbeddedKafka, EmbeddedRedis], ids=["kafka", "redis"])
def make(request: pytest.FixtureRequest, tmp_path: Path, free_port: Callable[[], int]) -> Make:
    """Make a server object for one directory and port; each call makes another object."""
    port = free_port()
    return lambda: request.param(tmp_path, port)


def gone(pid: int | None) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def test_a_stopped_server_leaves_neither_process_nor_note(make: Make) -> None:
    with make() as server:
        pid = server.pid
        assert server.poll() is None

    assert gone(pid)
    assert not list(server.data_dir.glob("*.pid"))


def test_it_starts_again_after_a_crash(make: Make) -> None:
    with make() as server:
        first = server.pid
        os.kill(first or 0, signal.SIGKILL)
        wait_until(lambda: server.poll() is not None)

        server.start()

        assert server.poll() is None
        assert first != server.pid


def test_a_second_owner_of_the_directory_is_turned_away_in_one_line(make: Make) -> None:
    with make() as server, pytest.raises(DataDirInUse) as refusal:
        make().start()

    assert str(server.data_dir) in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_taken_port_is_named_with_the_setting_to_change(make: Make) -> None:
    server = make()
    with socket.create_server((HOST, server.port)), pytest.raises(PortTaken) as refusal:
        server.start()

    line = str(refusal.value)
    assert isinstance(refusal.value, InvalidSetting)
    assert line.startswith(f"port {server.port} is taken")
    assert server.port_setting in line
    assert f"pid {os.getpid()}" in line
    assert "\n" not in line


def test_the_orphan_of_a_crashed_owner_is_stopped_first(make: Make) -> None:
    """On Linux an orphan ends by itself, if not at once; elsewhere only this ends it."""
    server = make()
    # As a crash leaves it: the process runs, its note is there, nobody holds the lock.
    command = server._command()
    orphan = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    server._note_pid(orphan.pid)
    wait_until(lambda: listens(server.port), timeout_s=30)

    with server:
        assert orphan.poll() is not None
        assert server.pid != orphan.pid


def test_a_note_whose_pid_was_given_to_another_harms_nobody(make: Make) -> None:
    server = make()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as bystander:
        server._note_pid(bystander.pid)
        with server:
            assert bystander.poll() is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a child to its parent's life")
def test_the_server_ends_with_an_owner_that_is_killed(make: Make) -> None:
    server = make()
    kind = type(server)
    code = f"""
import pathlib, time
from {kind.__module__} import {kind.__name__} as Server
server = Server(pathlib.Path({str(server.data_dir)!r}), {server.port})
server.start()
print(server.pid, flush=True)
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        owner.kill()

    wait_until(lambda: gone(pid))
    with server:
        assert server.pid != pid
