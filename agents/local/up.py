"""`thalweg up`: everything on this machine, a replay of the bundled history, and its summary."""

import signal
import sys
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final

from confluent_kafka import KafkaException
from rich.console import Console

from agents import pipeline
from agents.deployments import log
from agents.history import summary
from agents.history.audit import Audit
from agents.history.progress import progress
from agents.history.replay import Replay
from agents.history.summary import Summary
from agents.local.local_system import LocalSystem
from agents.observability.lag_reader import GroupLag
from agents.pipeline import Pipeline
from agents.settings import Settings
from schemas import topics

CHECKOUT: Final = Path(__file__).resolve().parents[2]
"""What the file of a pipeline's replay is relative to."""
LEARNER: Final = "learn-0"
LEARNED_TIMEOUT_S: Final = 60.0
"""How long the summary waits for the learner to have learned what there is."""
HEARD_TIMEOUT_S: Final = 5.0
_POLL_S: Final = 0.1
EX_BROKEN_PROMISE: Final = 1
"""An event was lost or predicted twice."""
EX_INTERRUPTED: Final = 130
"""Ctrl-C, as shells tell it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What `thalweg up` is asked for, beside the settings."""

    kafka_port: int
    redis_port: int
    predict_workers: int = 1
    fresh: bool = False
    replay: bool = True
    rate: float = 500.0
    limit: int | None = None
    exit_after_replay: bool = False
    json: bool = False
    """The summary as JSON on stdout, and what is for people on stderr."""


def run(settings: Settings, options: Options) -> int:
    """Start, replay, sum up, and keep serving until told to stop; tell the exit code.

    Once it was ready a Ctrl-C is how one ends it, hence no failure.
    """
    started = time.monotonic()
    console = Console(stderr=options.json, highlight=False)
    declared = pipeline.load(settings.pipeline)
    declared.compiled()  # what is wrong with it shows now
    _interrupt_once()
    exit_code = EX_INTERRUPTED
    try:
        with ExitStack() as stack:
            console.print(f"[bold]thalweg[/]  {declared.use_case}, {settings.delivery}\n")
            system = _start(settings, options, console, stack)
            system.wait_until_ready()
            _announce(console, system, time.monotonic() - started)
            sys.stdout.write("ready\n")
            sys.stdout.flush()
            exit_code = 0
            if options.replay:
                exit_code = _replay(system, declared, options, console)
                if options.exit_after_replay:
                    return exit_code
            console.print("\n  serving until Ctrl-C", style="dim")
            threading.Event().wait()
    except KeyboardInterrupt:
        console.print("  stopped", style="dim")
    return exit_code


def _interrupt_once() -> None:
    """Let the first signal end us in order, and those after it change nothing.

    The end takes ten seconds at most, and one that is disturbed would leave processes behind.
    """
    ending = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        for number in ending:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in ending:
        signal.signal(number, interrupt)


def _start(settings: Settings, options: Options, console: Console, stack: ExitStack) -> LocalSystem:
    """Start everything; the stack stops it."""
    with progress(console, "downloading Kafka") as downloaded:
        return stack.enter_context(
            LocalSystem(
                settings,
                kafka_port=options.kafka_port,
                redis_port=options.redis_port,
                predict_workers=options.predict_workers,
                fresh=options.fresh,
                tell=lambda line: console.print(
                    f"  {line}", style="yellow", markup=False, soft_wrap=True
                ),
                downloaded=downloaded,
            )
        )


def _announce(console: Console, system: LocalSystem, took_s: float) -> None:
    """Say what is where."""
    settings = system.settings
    ports = [process.metrics_port for process in system.processes if process.metrics_port]
    metrics = f"http://{settings.metrics_host}:{ports[0]}-{ports[-1]}/metrics" if ports else "off"
    for name, place in {
        "page": f"http://{settings.web_host}:{settings.web_port}",
        "kafka": settings.kafka_bootstrap,
        "redis": settings.redis_url,
        "metrics": metrics,
        "offline": settings.offline_store,
        "logs": system.log_dir,
        "workers": " ".join(process.name for process in system.processes),
    }.items():
        console.print(f"  {name:<9}{place}", soft_wrap=True)
    console.print(f"\n  ready after {took_s:.1f} s", style="dim")


def _replay(system: LocalSystem, declared: Pipeline, options: Options, console: Console) -> int:
    """Replay the pipeline's history and show what came of it; tell the exit code."""
    if declared.replay is None:
        console.print(f"  the pipeline `{system.settings.pipeline}` bundles no history to replay")
        return 0
    path = CHECKOUT / declared.replay.file
    replay = Replay(path, system.settings, declared, limit=options.limit)
    if (n_before := len(replay.published)) > 0:
        console.print(f"  {n_before:,} events were published before")
    found = _audited(replay, system, declared, options.rate, console)
    if options.json:
        sys.stdout.write(summary.to_json(found) + "\n")
        sys.stdout.flush()
    else:
        console.print(summary.render(found))
        console.print(
            f"\n  predictions and outcomes are kept as Parquet: {system.settings.offline_store}",
            style="dim",
            soft_wrap=True,
        )
    kept = found.figures.lost == found.figures.duplicated == 0
    return 0 if kept else EX_BROKEN_PROMISE


def _audited(
    replay: Replay, system: LocalSystem, declared: Pipeline, rate: float, console: Console
) -> Summary:
    """Replay under the eyes of an audit, and let everything settle."""
    with Audit(system.settings, replay.checkpoint.outputs) as audit:
        for event in replay.published:
            audit.sent(event.event_id)
        with progress(console, f"replay {replay.name}") as report:
            replay.run(rate, on_acknowledged=audit.sent, report=report)
        audit.wait_until_answered()
        _wait_until_learned(system.settings)
        system.vital_signs.wait_until_heard(LEARNER, timeout_s=HEARD_TIMEOUT_S)
        learner = system.vital_signs.newest.get(LEARNER)
        samples = {} if learner is None else learner.samples
        registry = log.read(system.settings, declared.use_case).registry
        return summary.summarise(declared, registry, audit.figures(), samples)


def _wait_until_learned(settings: Settings) -> None:
    """Wait until no outcome waits for the learner, or the time is over."""
    outcomes = topics.OUTCOMES.named(settings.topic_prefix)
    client = {"bootstrap.servers": settings.kafka_bootstrap, "log_level": 0}
    lag = GroupLag(client, f"{settings.topic_prefix}learn", [outcomes])
    deadline = time.monotonic() + LEARNED_TIMEOUT_S
    try:
        while time.monotonic() < deadline:
            # Not by seconds: what waits is only just seen for the first time.
            with suppress(KafkaException):  # it may be away for a moment; the time decides
                if lag.read(time.time_ns() // 1_000_000)[outcomes].records == 0:
                    return
            time.sleep(_POLL_S)
    finally:
        lag.close()
