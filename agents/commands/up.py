"""`thalweg up`."""

from pathlib import Path

from agents.commands.flag import Count, Flag, Limit, Port, Rate, Standby
from agents.commands.override import override

KAFKA_PORT = 19_092
REDIS_PORT = 16_379


def up(
    *,
    rate: Rate = 500.0,
    limit: Limit = None,
    no_replay: Flag = False,
    exit_after_replay: Flag = False,
    fresh: Flag = False,
    data_dir: Path | None = None,
    kafka_port: Port = KAFKA_PORT,
    redis_port: Port = REDIS_PORT,
    web_port: int | None = None,
    metrics_port: int | None = None,
    predict_workers: Count = 1,
    standby: Standby = None,
    json: Flag = False,
) -> int:
    """Start everything on this machine and keep it running.

    Kafka, Redis, topics, workers and the ops page; then a replay of the history that the pipeline
    bundles, with a summary. It prints `ready` on a line of its own once predictions can flow,
    starts again what dies, and ends everything on Ctrl-C. The next start goes on where this one
    ended.

    For example:

        thalweg up
        thalweg up --rate 5000 --fresh
        thalweg up --no-replay --data-dir /tmp/thalweg --kafka-port 29092
        thalweg up --exit-after-replay --limit 5000 --json

    Parameters
    ----------
    rate
        Events a second of the replay, however the system keeps up; 0 for as fast as possible.
    limit
        Replay only the history's first so many events.
    no_replay
        Start, and wait for events of your own.
    exit_after_replay
        End after the summary; the exit code is 0 when nothing was lost or predicted twice.
    fresh
        Delete what earlier runs left in the data directory.
    data_dir
        Where everything is kept (THALWEG_DATA_DIR).
    kafka_port
        Kafka's port.
    redis_port
        Redis' port.
    web_port
        The ops page's port (THALWEG_WEB_PORT).
    metrics_port
        First of the workers' Prometheus ports; 0 turns them off (THALWEG_METRICS_PORT).
    predict_workers
        How many predict workers share the partitions: one for each at most.
    standby
        How many of them may go at once without anybody reading a whole changelog
        (THALWEG_STANDBY).
    json
        Write the summary as JSON.
    """
    from agents import settings  # noqa: PLC0415  # --help stays quick
    from agents.local.up import Options, run  # noqa: PLC0415
    from schemas.errors import InvalidSetting  # noqa: PLC0415

    if kafka_port == redis_port:
        raise InvalidSetting(f"--kafka-port and --redis-port are both {kafka_port}")
    override(
        {
            "KAFKA_BOOTSTRAP": f"127.0.0.1:{kafka_port}",
            "REDIS_URL": f"redis://127.0.0.1:{redis_port}/0",
            "DATA_DIR": data_dir,
            "WEB_PORT": web_port,
            "METRICS_PORT": metrics_port,
            "STANDBY": standby,
        }
    )
    here = settings.load()
    if predict_workers > here.partitions:
        raise InvalidSetting(
            f"--predict-workers {predict_workers}: there are {here.partitions} partitions "
            "(THALWEG_PARTITIONS), and each has one worker"
        )
    options = Options(
        kafka_port=kafka_port,
        redis_port=redis_port,
        predict_workers=predict_workers,
        fresh=fresh,
        replay=not no_replay,
        rate=rate,
        limit=limit,
        exit_after_replay=exit_after_replay,
        json=json,
    )
    return run(here, options)
