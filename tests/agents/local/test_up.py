"""`thalweg up` as its user has it: ready, a summary, Ctrl-C, and on from there."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import psutil
import pytest

from agents.history.summary import Summary
from agents.offline.file_system import FileSystem
from agents.offline.inventory import totals
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[3]
N_EVENTS = 400
END_S = 10.0
"""What a Ctrl-C may take."""


class Up:
    """One `thalweg up` in a process of its own."""

    def __init__(self, flags: list[str], env: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "agents.cli", "up", *flags],
            cwd=ROOT,
            env=os.environ | {"PYTHONUNBUFFERED": "1"} | env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")

    def children(self) -> dict[str, psutil.Process]:
        """The processes it started, by what their command lines end with."""
        found = {}
        for child in psutil.Process(self.process.pid).children(recursive=True):
            with suppress(psutil.Error):  # it ended while we looked
                found[" ".join(child.cmdline()[-4:])] = child
        return found

    def worker(self, role: str) -> psutil.Process | None:
        return self.children().get(f"worker {role} --slot 0")

    def end(self, how: signal.Signals) -> int:
        self.process.send_signal(how)
        return self.process.wait(END_S)


@pytest.fixture
def flags(tmp_path, free_port) -> list[str]:
    ports = {name: free_port() for name in ("kafka", "redis", "web")}
    return [
        *("--data-dir", str(tmp_path / "data"), "--metrics-port", "0"),
        *(word for name, port in ports.items() for word in (f"--{name}-port", str(port))),
    ]


@pytest.fixture
def up() -> Iterator[Callable[..., Up]]:
    started: list[Up] = []

    def start(flags: list[str], **env: str) -> Up:
        started.append(Up(flags, env))
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        each.process.communicate()


@pytest.mark.integration
@pytest.mark.parametrize("flag", ["--kafka-port", "--redis-port", "--web-port", "--metrics-port"])
def test_a_taken_port_is_one_line_before_anything_is_started(up, flags, flag, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        refused = up([*flags, flag, port] if flag not in flags else _with(flags, flag, port))
        out, err = refused.process.communicate(timeout=30)

    assert refused.process.returncode == 78
    assert err.startswith(f"thalweg: port {port} is taken")
    assert err.rstrip().endswith(flag)
    assert err.count("\n") == 1
    assert "ready" not in out
    assert not (tmp_path / "data" / "logs").exists()


def test_a_page_that_others_would_reach_is_refused_before_anything_is_started(up, flags, tmp_path):
    refused = up([*flags, "--no-replay"], THALWEG_WEB_HOST="0.0.0.0")
    _, err = refused.process.communicate(timeout=30)

    assert refused.process.returncode == 78
    assert err.startswith("thalweg: THALWEG_WEB_HOST: the page has no authentication")
    assert not (tmp_path / "data" / "logs").exists()


@pytest.mark.integration
def test_who_cannot_start_whatever_happens_ends_the_wait_for_it(up, flags, tmp_path):
    (tmp_path / "signing.pem").write_text("no key")
    refused = up([*flags, "--no-replay"], THALWEG_SIGNING_KEY_FILE=str(tmp_path / "signing.pem"))
    out, err = refused.process.communicate(timeout=120)

    assert refused.process.returncode == 78
    assert "thalweg: learn-0 cannot start: signing key is no unencrypted" in err
    assert "ready" not in out
    assert "not ready after" not in err


def _with(flags: list[str], flag: str, value: str) -> list[str]:
    at = flags.index(flag)
    return [*flags[: at + 1], value, *flags[at + 2 :]]


def archived(tmp_path: Path) -> int:
    return totals(FileSystem(str(tmp_path / "data" / "offline")), "predictions").rows


@pytest.mark.integration
def test_it_replays_refuses_another_survives_a_kill_ends_in_order_and_goes_on(up, flags, tmp_path):
    soon = {"THALWEG_ARCHIVE_INTERVAL_S": "0.5"}
    first = up([*flags, "--json", "--rate", "0", "--limit", str(N_EVENTS)], **soon)
    assert first.line() == "ready"

    whole = msgspec.json.decode(first.line(), type=Summary)
    assert whole.figures.events_in == whole.figures.predictions_out == N_EVENTS
    assert whole.figures.lost == whole.figures.duplicated == 0
    assert whole.models[0].outcomes > 0
    assert len({model.outcomes for model in whole.models}) == 1
    wait_until(lambda: archived(tmp_path) == N_EVENTS, timeout_s=60)

    beside = up([*flags, "--no-replay"])
    _, err = beside.process.communicate(timeout=30)
    assert beside.process.returncode == 78
    assert "in use" in err

    killed = first.worker("predict")
    assert killed is not None
    killed.kill()
    wait_until(lambda: (now := first.worker("predict")) is not None and now.pid != killed.pid)

    children = first.children().values()
    assert first.end(signal.SIGINT) == 0
    assert [child for child in children if child.is_running()] == []

    second = up([*flags, "--json", "--exit-after-replay", "--limit", str(2 * N_EVENTS)])
    assert second.line() == "ready"
    resumed = msgspec.json.decode(second.line(), type=Summary)
    assert resumed.figures.events_in == resumed.figures.predictions_out == 2 * N_EVENTS
    assert resumed.figures.lost == resumed.figures.duplicated == 0
    assert second.process.wait(END_S) == 0
