"""What the models cost: to ask, to teach, and to carry."""

import gc
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from river import datasets

from benchmarks.peers.percentiles import percentiles
from online_models import catalogue, pickling

TAUGHT: Final = 2_000
TIMED: Final = 500


def cost(name: str) -> dict[str, float | None]:
    """Teach a model, then time asking and teaching it, writing and reading it."""
    model = catalogue.make(name)
    rows = list(datasets.Bananas().take(TAUGHT + TIMED))  # type: ignore[no-untyped-call]
    for features, label in rows[:TAUGHT]:
        model.learn_one(features, label)
    gc.collect()  # as a worker does, between batches
    gc.disable()
    asked, taught = [], []
    for features, label in rows[TAUGHT:]:
        asked.append(_us(partial(model.predict_proba_one, features)))
        taught.append(_us(partial(model.learn_one, features, label)))
    gc.enable()
    blob = pickling.dumps((model,))
    ask, teach = percentiles(asked), percentiles(taught)
    return {
        "ask_p50_us": ask["p50"],
        "ask_p99_us": ask["p99"],
        "teach_p50_us": teach["p50"],
        "teach_p99_us": teach["p99"],
        "kib": round(len(blob) / 1024, 1),
        "write_ms": round(_us(lambda: pickling.dumps((model,))) / 1000, 1),
        "read_ms": round(_us(lambda: pickling.loads(blob)) / 1000, 1),
    }


def _us(run: Callable[[], Any]) -> float:
    begun = time.perf_counter_ns()
    run()
    return (time.perf_counter_ns() - begun) / 1000
