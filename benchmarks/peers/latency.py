"""From when an event was due to when its prediction is read, at a steady rate.

Generator and reader are processes of their own. Events before the end of the warm-up are left out
of the percentiles; nothing is left out of what was lost or duplicated.
"""

import json
import time
from typing import Any, Final

from agents.embedded import child
from benchmarks.peers.backlog import Tell
from benchmarks.peers.candidates import Candidate
from benchmarks.peers.events import events
from benchmarks.peers.observer import Observer
from benchmarks.peers.stage import PeerEnded, Stage
from benchmarks.peers.task import LATENCY_LINGER_MS

N_PRIMER: Final = 400
"""Events sent before the generator starts: when all are predicted, the peer is ready."""


def measure(
    stage: Stage, candidate: Candidate, rate: int, *, seconds: float, warm_up_s: float, tell: Tell
) -> dict[str, Any]:
    """Run one peer at one rate."""
    source, target = stage.fresh_topic("source"), stage.fresh_topic("target")
    with stage.peer(candidate, source, target, LATENCY_LINGER_MS) as peer:
        _prime(stage, source)
        Observer(stage.bootstrap, target).wait_for(N_PRIMER, peer, lambda _: None)
        tell(f"running for {warm_up_s + seconds:.0f} s")
        figures = _watch(stage, source, target, rate, seconds=seconds, warm_up_s=warm_up_s)
        if peer.poll() is not None:
            raise PeerEnded
    return {
        "peer": candidate.name,
        "delivery": candidate.delivery.replace("_", " "),
        "rate": rate,
        **figures,
    }


def bare(stage: Stage, rate: int, *, seconds: float, warm_up_s: float) -> dict[str, Any]:
    """Read the events themselves: what generator, broker and reader take, and the machine."""
    source = stage.fresh_topic("source")
    _prime(stage, source)
    figures = _watch(stage, source, source, rate, seconds=seconds, warm_up_s=warm_up_s)
    return {"peer": "no peer, the events", "delivery": "-", "rate": rate, **figures}


def _prime(stage: Stage, source: str) -> None:
    stage.publish(source, ((each.key, each.value(0)) for each in events(N_PRIMER)))


def _watch(
    stage: Stage, source: str, target: str, rate: int, *, seconds: float, warm_up_s: float
) -> dict[str, Any]:
    """Publish to a topic and read another one."""
    n = int(rate * (warm_up_s + seconds))
    generated = {
        "bootstrap": stage.bootstrap,
        "topic": source,
        "rate": rate,
        "n": n,
        "first_id": N_PRIMER,
    }
    read = {
        "bootstrap": stage.bootstrap,
        "topic": target,
        "n": n + N_PRIMER,
        "n_skipped": N_PRIMER + int(rate * warm_up_s),
    }
    with stage.process(f"reader-{target}", "benchmarks.peers.latency_reader", json.dumps(read)) as (
        reader,
        log,
    ):
        while not log.read_text(encoding="utf-8") and reader.poll() is None:
            time.sleep(0.05)
        with stage.process(
            f"generator-{source}", "benchmarks.peers.open_loop", json.dumps(generated)
        ) as (generator, generator_log):
            if generator.wait() != 0:
                raise SystemExit(generator_log.read_text(encoding="utf-8"))
        reader.wait()
        figures: dict[str, Any] = json.loads(child.last_line(log))
    return figures
