"""The worker processes of one machine: what each is called, runs, and is told."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from agents.local.keys import KeyFiles
from agents.local.supervisor import Child
from agents.settings import PREFIX, Settings

SERVE: Final = "serve"
AGGREGATE: Final = "aggregate"
RETRAIN: Final = "retrain"
_SINGLE_ROLES: Final = ("learn", "store", "watch", "archive")
_AFTERWARDS: Final = frozenset({"archive"})
NICE: Final = ("nice", "-n", "10")


@dataclass(frozen=True, slots=True)
class Process:
    """One process of the fleet."""

    name: str
    """Role and slot, as in its telemetry: `predict-0`."""
    command: tuple[str, ...]
    """Behind `thalweg`."""
    metrics_port: int
    """0 when it has none of its own."""
    starts_afterwards: bool = False
    """Whether it is started once predictions flow: they do not need it, and start sooner so."""


def processes(
    settings: Settings, predict_workers: int, *, aggregate: bool = False, retrain: bool = False
) -> list[Process]:
    """Plan the fleet: predict workers, one of each other role, and the page.

    Parameters
    ----------
    aggregate
        Whether the pipeline has entities whose events are to be gathered.
    retrain
        Whether it has models trained again.

    Examples
    --------
    >>> [(each.name, each.metrics_port) for each in processes(Settings(), predict_workers=2)]
    [('predict-0', 9600), ('predict-1', 9601), ('learn-0', 9602), ('store-0', 9603),
     ('watch-0', 9604), ('archive-0', 9605), ('serve', 0)]
    >>> processes(Settings(), 1, retrain=True)[-2].command
    ('models', 'retrain', '--watch')
    """
    workers = [("predict", slot) for slot in range(predict_workers)]
    workers += [(role, 0) for role in _SINGLE_ROLES]
    # Last: with it the others keep their ports.
    workers += [(AGGREGATE, 0)] if aggregate else []
    told: list[tuple[str, tuple[str, ...], bool]] = [
        (f"{role}-{slot}", ("worker", role, "--slot", str(slot)), role in _AFTERWARDS)
        for role, slot in workers
    ]
    told += [(RETRAIN, ("models", RETRAIN, "--watch"), True)] if retrain else []
    first_port = settings.metrics_port
    return [
        *(
            Process(name, command, first_port + index if first_port else 0, afterwards)
            for index, (name, command, afterwards) in enumerate(told)
        ),
        Process(SERVE, (SERVE,), 0),
    ]


def child(
    process: Process, settings: Settings, keys: KeyFiles, environ: Mapping[str, str]
) -> Child:
    """Tell the supervisor how to run a process; who makes snapshots is told where the key is."""
    told = {
        "KAFKA_BOOTSTRAP": settings.kafka_bootstrap,
        "REDIS_URL": settings.redis_url,
        "DATA_DIR": settings.data_dir,
        "TRUSTED_KEYS_DIR": keys.trusted_keys_dir,
        "METRICS_PORT": process.metrics_port,
    }
    if process.name.startswith(("learn-", RETRAIN)):
        told["SIGNING_KEY_FILE"] = keys.signing_key_file
    env = {name: value for name, value in environ.items() if name != f"{PREFIX}SIGNING_KEY_FILE"}
    env |= {PREFIX + name: str(value) for name, value in told.items()}
    # What nobody waits for gives way to what somebody does.
    politely = NICE if process.starts_afterwards else ()
    argv = [*politely, sys.executable, "-m", "agents.cli", *process.command]
    return Child(process.name, argv, env)
