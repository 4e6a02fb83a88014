"""A whole system on this machine while it replays the shop, and what was published when."""

import os
import secrets
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from signal import SIGINT
from typing import Self

from agents.admin import topic_reader
from agents.embedded.process import free_port
from agents.settings import Settings
from schemas import topics

STOP_TIMEOUT_S = 30.0


class Live:
    """`thalweg up`, for as long as the context lasts.

    Parameters
    ----------
    rate
        Events of the replay a second.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._kafka_port = free_port()
        self.settings = Settings(
            kafka_bootstrap=f"127.0.0.1:{self._kafka_port}", web_port=free_port()
        )
        self.url = f"http://127.0.0.1:{self.settings.web_port}"

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            data_dir = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "data"
            ports = {
                "--kafka-port": self._kafka_port,
                "--redis-port": free_port(),
                "--web-port": self.settings.web_port,
                "--rate": self._rate,
            }
            options = [str(each) for pair in ports.items() for each in pair]
            process = subprocess.Popen(
                [sys.executable, "-m", "agents.cli", "up", "--data-dir", str(data_dir), *options],
                # As an operator has it: with what takes a token.
                env=os.environ
                | {"THALWEG_WEB_TOKEN": secrets.token_hex(16), "THALWEG_METRICS_PORT": "0"},
                stdout=subprocess.PIPE,
                text=True,
            )
            stack.callback(process.wait, STOP_TIMEOUT_S)
            stack.callback(process.send_signal, SIGINT)
            said = []
            for line in process.stdout or ():
                said.append(line)
                if line == "ready\n":
                    self._stack = stack.pop_all()
                    return self
        raise SystemExit("".join(said[-20:]))

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def published_ms(self) -> list[float]:
        """Tell when each event was published that is there by now, in that order."""
        events = topics.USER_EVENTS.named(self.settings.topic_prefix)
        found = topic_reader.read_to_end(self.settings, events)
        return sorted(float(message.timestamp()[1]) for message in found)
