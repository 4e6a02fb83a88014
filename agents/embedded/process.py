"""What the embedded servers share: one owner per data directory, no orphans, a free port, a start.

A server's process is noted in a pid file. Whoever holds the lock beside it owns the server; a
process that is noted while nobody holds the lock is the orphan of an owner that crashed.
"""

import socket
import subprocess
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, Final, Self

import psutil

from agents.embedded import child
from agents.embedded.errors import DataDirInUse, PortTaken, StartFailed
from agents.embedded.locks import FileLock

HOST: Final = "127.0.0.1"
_POLL_S: Final = 0.02
_ORPHAN_TIMEOUT_S: Final = 10.0


class EmbeddedServer(ABC):
    """A server of another make that runs as our child, on this machine only.

    Parameters
    ----------
    data_dir
        Where it keeps its data (`<name>/`), its log (`logs/<name>.log`) and its pid file.
    port
        Where it listens, on the loopback interface.
    """

    name: ClassVar[str]
    """Names its files and appears in its command line."""
    port_setting: ClassVar[str]
    """What a user changes when the port is taken."""

    def __init__(self, data_dir: Path, port: int) -> None:
        self.data_dir = data_dir.resolve()
        self.port = port
        self.log_path = self.data_dir / "logs" / f"{self.name}.log"
        self._pid_path = self.data_dir / f"{self.name}.pid"
        self._owner = FileLock(self.data_dir / f"{self.name}.lock")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, timeout_s: float = 60) -> None:
        """Start the server and wait until the one that answers is ours and fit for use.

        Raises
        ------
        DataDirInUse, PortTaken, StartFailed
            In one line, what to do about it.
        """
        deadline = time.monotonic() + timeout_s
        if self.poll() is None and self._process is not None:
            return
        if not self._owner.try_acquire():
            raise DataDirInUse(f"{self.data_dir} is in use: {self.name} runs there for another")
        try:
            self._stop_orphan()
            self._require_free_port()
            command = self._command()
            self._process = child.start(command, log_path=self.log_path)
            self._note_pid(self._process.pid)
            self._wait_until_ready(deadline)
        except BaseException:
            self.kill()
            self._owner.release()
            raise

    def stop(self, timeout_s: float = 8) -> None:
        """Stop the server in order, or by force when that takes too long."""
        if self._process is not None:
            child.stop(self._process, timeout_s)
        self._forget()
        self._owner.release()

    def kill(self) -> None:
        """End the server as a crash would; `start` brings it back with its data."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._forget()

    def poll(self) -> int | None:
        """Tell the return code of a server that ended; `None` while it runs."""
        return None if self._process is None else self._process.poll()

    @property
    def pid(self) -> int | None:
        """The server's process, while we have one."""
        return None if self._process is None else self._process.pid

    @abstractmethod
    def _command(self) -> list[str]:
        """Prepare the data directory and tell the command that serves it."""

    @abstractmethod
    def _is_ready(self, timeout_s: float) -> bool:
        """Tell whether what answers on the port is our process, ready for its clients."""

    def _wait_until_ready(self, deadline: float) -> None:
        while (left_s := deadline - time.monotonic()) > 0:
            if self.poll() is not None:
                raise StartFailed(
                    f"{self.name} ended at its start: {child.last_line(self.log_path)}"
                )
            if _listens(self.port) and self._is_ready(left_s):
                return
            time.sleep(_POLL_S)
        raise StartFailed(f"{self.name} was not ready in time; see {self.log_path}")

    def _require_free_port(self) -> None:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, self.port))
            except OSError as error:
                raise PortTaken(
                    f"port {self.port} is taken{_holder(self.port)}: "
                    f"choose another for {self.name} with {self.port_setting}"
                ) from error

    def _note_pid(self, pid: int) -> None:
        note = f"{pid} {psutil.Process(pid).create_time()}\n"
        self._pid_path.write_text(note, encoding="ascii")

    def _forget(self) -> None:
        if self._process is not None:
            self._pid_path.unlink(missing_ok=True)
            self._process = None

    def _stop_orphan(self) -> None:
        orphan = self._orphan()
        if orphan is not None:
            with suppress(psutil.NoSuchProcess):
                orphan.terminate()
                if not _ends(orphan, _ORPHAN_TIMEOUT_S):
                    orphan.kill()
                    _ends(orphan, _ORPHAN_TIMEOUT_S)
        self._pid_path.unlink(missing_ok=True)

    def _orphan(self) -> psutil.Process | None:
        """Find the noted process, if it is still that one and serves this directory."""
        try:
            pid, created_at = self._pid_path.read_text(encoding="ascii").split()
            process = psutil.Process(int(pid))
            same = abs(process.create_time() - float(created_at)) < 1
            ours = any(str(self.data_dir) in argument for argument in process.cmdline())
        except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
            return None
        return process if same and ours else None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def free_port() -> int:
    """Find a port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _ends(process: psutil.Process, timeout_s: float) -> bool:
    """Wait for the end of a process; one that its parent never reaps has ended, too."""
    deadline = time.monotonic() + timeout_s
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0


def _holder(port: int) -> str:
    """Name who listens on a port, where the system tells."""
    try:
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,)
            if listens and connection.pid is not None:
                return f" by {psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except psutil.Error:
        pass
    return ""
