"""The whole system on one machine: Kafka, Redis, topics, keys, workers and the page.

It starts from below and stops from above, so that nobody ever writes to a broker that is going.
"""

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from signal import Signals
from typing import Final, Self

from agents import pipeline
from agents.admin import topic_admin
from agents.embedded.errors import EmbeddedError, StartFailed
from agents.embedded.kafka import EmbeddedKafka
from agents.embedded.process import EmbeddedServer
from agents.embedded.valkey import EmbeddedRedis
from agents.local import fleet, ports
from agents.local.data_dir import DataDir
from agents.local.keys import KeyFiles, ensure_keys
from agents.local.supervisor import Child, Death, Supervisor
from agents.local.vital_signs import VitalSigns
from agents.serving.address import require_loopback
from agents.settings import Settings
from schemas.errors import InvalidSetting

READY_TIMEOUT_S: Final = 60.0
# Together less than the ten seconds that a Ctrl-C may take.
WORKERS_STOP_S: Final = 6.0
SERVER_STOP_S: Final = 1.5
REVIVE_AGAIN_S: Final = 2.0
_POLL_S: Final = 0.1

Tell = Callable[[str], None]


class LocalSystem:
    """Everything `thalweg up` runs, for as long as the context lasts.

    Parameters
    ----------
    fresh
        Empty the data directory first.
    tell
        Told in one line what a person should know: who died, and when it is back.
    downloaded
        Told how many of the broker's jars are there, while they are downloaded.

    Raises
    ------
    InvalidSetting
        A port is taken, the page would be reached from elsewhere, or the data directory is in use
        or not ours.
    EmbeddedError
        Kafka or Redis cannot be started.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        kafka_port: int,
        redis_port: int,
        predict_workers: int = 1,
        fresh: bool = False,
        tell: Tell = lambda line: None,
        downloaded: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        self.settings = settings
        self.data_dir = DataDir(settings.data_dir)
        self.log_dir = self.data_dir.path / "logs"
        declared = pipeline.load(settings.pipeline)
        self.processes = fleet.processes(
            settings,
            predict_workers,
            aggregate=bool(declared.compiled().gathered),
            retrain=declared.retrain is not None,
        )
        self._fresh = fresh
        self._tell = tell
        self._kafka = EmbeddedKafka(
            self.data_dir.path, kafka_port, throughput=True, progress=downloaded
        )
        self._redis = EmbeddedRedis(self.data_dir.path, redis_port)
        self._stopping = threading.Event()
        self._given_up: Death | None = None
        """Who is not started again: its configuration is wrong."""

    def __enter__(self) -> Self:
        # What is entered here is undone in the opposite order, also when a later step fails.
        with ExitStack() as stack:
            self.data_dir.claim()
            stack.callback(self.data_dir.release)
            self._require_free_ports()
            if self._fresh:
                self.data_dir.empty()
            stack.callback(self._kafka.stop, SERVER_STOP_S)
            stack.callback(self._redis.stop, SERVER_STOP_S)
            self._kafka.install()
            # Workers import for seconds, then wait for their topics: Kafka starts meanwhile.
            at_once = self._children(afterwards=False)
            self._supervisor = Supervisor(at_once, self.log_dir, self._report_death)
            stack.callback(self._supervisor.stop, WORKERS_STOP_S)
            self._supervisor.start()
            self._start_servers()
            topic_admin.create(self.settings)
            self.vital_signs = VitalSigns(self.settings)
            self.vital_signs.start()
            stack.callback(self.vital_signs.stop)
            keeper = threading.Thread(target=self._keep, name="keeper", daemon=True)
            keeper.start()
            stack.callback(keeper.join)
            stack.callback(self._stopping.set)
            self._running = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def wait_until_ready(self) -> None:
        """Wait until predictions can flow and the page is served; then start whoever else there is.

        Raises
        ------
        InvalidSetting
            Somebody ended, and would again: says what they said.
        StartFailed
            Somebody is not ready in time; names who, and where their logs are.
        """
        deadline = time.monotonic() + READY_TIMEOUT_S
        while waiting_for := self._unready():
            if (death := self._given_up) is not None:
                said = death.last_words.removeprefix("thalweg: ")
                raise InvalidSetting(f"{death.name} cannot start: {said}")
            if time.monotonic() > deadline:
                raise StartFailed(
                    f"not ready after {READY_TIMEOUT_S:.0f} s: {', '.join(waiting_for)}; "
                    f"their logs are in {self.log_dir}"
                )
            time.sleep(_POLL_S)
        for child in self._children(afterwards=True):
            self._supervisor.add(child)

    def _require_free_ports(self) -> None:
        """Look at all addresses before anything is started."""
        require_loopback(self.settings.web_host)
        for server in (self._kafka, self._redis):
            # A server that is noted there may be the orphan of a crash; its start takes care.
            if not (self.data_dir.path / f"{server.name}.pid").exists():
                flag = server.port_setting
                ports.require_free("127.0.0.1", server.port, wanted_by=server.name, flag=flag)
        web = (self.settings.web_host, self.settings.web_port)
        ports.require_free(*web, wanted_by="the page", flag="--web-port")
        for process in self.processes:
            if process.metrics_port:
                metrics = (self.settings.metrics_host, process.metrics_port)
                wanted_by = f"the metrics of {process.name}"
                ports.require_free(*metrics, wanted_by=wanted_by, flag="--metrics-port")

    def _start_servers(self) -> None:
        with ThreadPoolExecutor(1) as pool:
            redis = pool.submit(self._redis.start)
            self._kafka.start()
            redis.result()

    def _children(self, *, afterwards: bool) -> list[Child]:
        keys = self._keys()
        return [
            fleet.child(process, self.settings, keys, os.environ)
            for process in self.processes
            if process.starts_afterwards == afterwards
        ]

    def _keys(self) -> KeyFiles:
        ours = ensure_keys(self.data_dir.path / "keys")
        return KeyFiles(
            self.settings.signing_key_file or ours.signing_key_file,
            self.settings.trusted_keys_dir or ours.trusted_keys_dir,
        )

    def _unready(self) -> list[str]:
        pids = {child.name: child.pid or 0 for child in self._supervisor.children}
        del pids[fleet.SERVE]  # it has no telemetry: it is ready when it listens
        unready = self.vital_signs.unready(pids)
        web = (self.settings.web_host, self.settings.web_port)
        return unready if ports.is_listening(*web) else [*unready, fleet.SERVE]

    def _keep(self) -> None:
        """Keep everything running until told to stop."""
        while not self._stopping.wait(_POLL_S):
            self._supervisor.poll()
            for server in (self._kafka, self._redis):
                if server.pid is None or server.poll() is not None:
                    self._revive(server)

    def _revive(self, server: EmbeddedServer) -> None:
        self._tell(f"{server.name} died, starting it again")
        try:
            server.start()
        except EmbeddedError as error:
            self._tell(f"{server.name}: {error}")
            self._stopping.wait(REVIVE_AGAIN_S)

    def _report_death(self, death: Death) -> None:
        if death.restart_in_s is None:
            self._given_up = death
        again = (
            "not started again: its configuration is wrong"
            if death.restart_in_s is None
            else f"back in {death.restart_in_s:g} s"
        )
        # Who was killed had no time for last words: the log's last line is about something else.
        said = f": {death.last_words}" if death.returncode > 0 else ""
        self._tell(f"{death.name} died ({_how(death.returncode)}), {again}{said}")


def _how(returncode: int) -> str:
    """Say how a process ended.

    >>> _how(-9), _how(1)
    ('SIGKILL', 'exit code 1')
    """
    return Signals(-returncode).name if returncode < 0 else f"exit code {returncode}"
