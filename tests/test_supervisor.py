"""Children come back when they die, later each time, and end when we say so."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from agents.local.supervisor import Child, Death, Supervisor, restart_delay_s
from tests.waiting import wait_until

SLEEPER = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


class Shop:
    """A supervisor under test, with what it reported."""

    def __init__(self, log_dir: Path, *children: Child) -> None:
        self.deaths: list[Death] = []
        self.log_dir = log_dir
        self.supervisor = Supervisor(children, log_dir, self.deaths.append)

    def __enter__(self) -> "Shop":
        self.supervisor.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.supervisor.stop(timeout_s=5)

    def pid(self, index: int = 0) -> int | None:
        self.supervisor.poll()
        return self.supervisor.children[index].pid

    def said(self, name: str) -> str:
        path = self.log_dir / f"{name}.log"
        return path.read_text(encoding="utf-8") if path.exists() else ""


def test_a_killed_child_comes_back_and_its_death_is_reported(tmp_path: Path) -> None:
    with Shop(tmp_path, Child("worker", SLEEPER)) as shop:
        first = shop.pid()
        assert first is not None
        os.kill(first, signal.SIGKILL)

        wait_until(lambda: shop.pid() not in (first, None))

        assert [(d.name, d.returncode, d.restart_in_s) for d in shop.deaths] == [
            ("worker", -signal.SIGKILL, 0.5)
        ]
        assert shop.supervisor.children[0].restarts == 1


def test_one_that_is_added_later_is_kept_running_and_stopped_like_the_others(
    tmp_path: Path,
) -> None:
    with Shop(tmp_path, Child("worker", SLEEPER)) as shop:
        shop.supervisor.add(Child("later", SLEEPER))
        first = shop.pid(1)
        assert first is not None
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: shop.pid(1) not in (first, None))
        pids = [shop.pid(0), shop.pid(1)]

    assert [pid for pid in pids if pid is not None and psutil.pid_exists(pid)] == []


def test_the_other_children_are_left_alone(tmp_path: Path) -> None:
    with Shop(tmp_path, Child("one", SLEEPER), Child("two", SLEEPER)) as shop:
        other = shop.pid(1)
        os.kill(shop.pid(0) or 0, signal.SIGKILL)
        wait_until(lambda: shop.pid(0) is not None and shop.deaths)

        assert other == shop.pid(1)


def test_a_child_that_keeps_dying_rests_longer_each_time(tmp_path: Path) -> None:
    with Shop(tmp_path, Child("worker", python("raise SystemExit(3)"))) as shop:
        wait_until(lambda: shop.pid() is None and len(shop.deaths) == 3)

        assert [death.restart_in_s for death in shop.deaths] == [0.5, 1.0, 2.0]


def test_a_rest_is_never_longer_than_ten_seconds() -> None:
    assert restart_delay_s(1_000) == 10.0


def test_a_wrong_configuration_is_reported_once_and_not_retried(tmp_path: Path) -> None:
    code = f"import os, sys; print('THALWEG_X: is wrong'); sys.exit({os.EX_CONFIG})"
    with Shop(tmp_path, Child("worker", python(code))) as shop:
        wait_until(lambda: shop.pid() is None and shop.deaths)

        assert shop.deaths == [Death("worker", os.EX_CONFIG, None, "THALWEG_X: is wrong")]


def test_a_command_that_does_not_exist_is_reported_by_name(tmp_path: Path) -> None:
    with Shop(tmp_path, Child("worker", ["no-such-command"])) as shop:
        wait_until(lambda: shop.pid() is None and shop.deaths)

        assert "no-such-command" in shop.deaths[0].last_words


def test_stopping_ends_even_a_child_that_will_not(tmp_path: Path) -> None:
    stubborn = "signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True)"
    code = f"import signal, time; {stubborn}; time.sleep(600)"
    with Shop(tmp_path, Child("stubborn", python(code)), Child("meek", SLEEPER)) as shop:
        wait_until(lambda: "up" in shop.said("stubborn"))
        pids = [status.pid for status in shop.supervisor.children]
        shop.supervisor.stop(timeout_s=0.3)

        assert not any(psutil.pid_exists(pid) for pid in pids if pid is not None)
        assert shop.deaths == []


def test_what_a_child_writes_is_kept_over_its_restarts(tmp_path: Path) -> None:
    with Shop(tmp_path, Child("worker", SLEEPER)) as shop:
        wait_until(lambda: shop.said("worker") == "up\n")
        os.kill(shop.pid() or 0, signal.SIGKILL)

        wait_until(lambda: shop.pid() and shop.said("worker") == "up\nup\n")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a child to its parent's life")
def test_children_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    code = f"""
import pathlib, time
from agents.local.supervisor import Child, Supervisor
supervisor = Supervisor([Child("worker", {SLEEPER!r})], pathlib.Path({str(tmp_path)!r}), print)
supervisor.start()
print(supervisor.children[0].pid, flush=True)
time.sleep(600)
"""
    with subprocess.Popen(python(code), stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = psutil.Process(int(parent.stdout.readline()))
        parent.kill()

    wait_until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)
