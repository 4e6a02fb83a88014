"""How long a swap of a model keeps everybody else in the process waiting for the interpreter."""

import copyreg
import gc
import io
import pickle  # written and read here
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from statistics import median
from typing import Final

from river import proba

from agents.garbage import NEVER, YOUNG_THRESHOLD
from agents.prediction.retired_models import RetiredModels
from agents.prediction.served_models import let_others_go_first
from benchmarks.models.learning import FEATURES, outcomes
from online_models import catalogue, pickling
from online_models.estimator import Estimator

TAUGHT: Final = 4_000
SWAPS: Final = 20
BEAT_S: Final = 0.0005


def swap(name: str) -> dict[str, float]:
    """Teach a model, then read it and give it up again and again beside a thread that beats.

    Of each swap the longest time between two beats counts: with the model in one pickle, as it was,
    and in pieces, as it is; and when nothing happens at all.
    """
    model = catalogue.make(name)
    for outcome in outcomes(TAUGHT):
        model.learn_one(dict(zip(FEATURES, outcome.features, strict=True)), bool(outcome.label))
    whole, in_pieces = _whole(model), pickling.dumps((model,))
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_THRESHOLD, NEVER, NEVER)  # as a worker does
    before = _longest_ms(_Whole(whole))
    after = _longest_ms(_InPieces(in_pieces))
    idle = _longest_ms(lambda: time.sleep(0.02))
    gc.unfreeze()
    gc.set_threshold(700, 10, 10)
    return {
        "whole_kib": round(len(whole) / 1024, 1),
        "pieces_kib": round(len(in_pieces) / 1024, 1),
        "pieces": len(pickling.pieces_of(in_pieces)),
        "idle_ms": round(median(idle), 1),
        "before_ms": round(median(before), 1),
        "before_max_ms": round(max(before), 1),
        "after_ms": round(median(after), 1),
        "after_max_ms": round(max(after), 1),
        "ratio": round(median(before) / median(after), 1),
    }


class _Whole:
    """As it was: one pickle, and the former model is given up at once."""

    def __init__(self, blob: bytes) -> None:
        self._blob = blob

    def __call__(self) -> None:
        self._served = pickling.loads(self._blob)


class _InPieces:
    """As it is."""

    def __init__(self, blob: bytes) -> None:
        self._blob = blob
        self._retired = RetiredModels(let_others_go_first)
        self._served: tuple[Estimator, list[object]] | None = None

    def __call__(self) -> None:
        pieces: list[object] = []
        (model,) = pickling.loads(self._blob, pause=let_others_go_first, pieces=pieces)
        if self._served is not None:
            self._retired.add(*self._served)
        self._served = model, pieces
        self._retired.give_up()


def _whole(model: Estimator) -> bytes:
    out = io.BytesIO()
    pickler = pickle.Pickler(out, protocol=5)
    pickler.dispatch_table = {
        **copyreg.dispatch_table,
        proba.Gaussian: pickling._reduce_gaussian,  # noqa: SLF001  # as it was
    }
    pickler.dump((model,))
    return out.getvalue()


def _longest_ms(run: Callable[[], None]) -> list[float]:
    """Run something often; tell the longest time between two beats of another thread each time."""
    beats: list[float] = []
    closing = threading.Event()

    def beat() -> None:
        while not closing.is_set():
            beats.append(time.perf_counter())
            time.sleep(BEAT_S)

    thread = threading.Thread(target=beat)
    thread.start()
    longest = []
    for _ in range(SWAPS):
        time.sleep(0.01)
        del beats[:-1]
        run()
        time.sleep(0.01)
        longest.append(max(later - earlier for earlier, later in pairwise(beats)) * 1_000)
    closing.set()
    thread.join()
    return longest
