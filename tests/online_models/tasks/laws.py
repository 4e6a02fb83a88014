"""Laws that hold of the learners of each task, and logs to try them on."""

import math
import random
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import msgspec
from hypothesis import strategies as st

from online_models import snapshot
from online_models.learner import Learner
from online_models.signing import Signer, Verifier
from schemas.labels import LabelValue
from schemas.outcomes import Outcome
from tests.online_models.conftest import FEATURES, SCHEMA, TARGET, _make_log

SIGNER = Signer.generate()
OURS: dict[str, Any] = {"schema": SCHEMA, "target": TARGET}

Meaning = Callable[[list[float], random.Random], LabelValue | None]


def log_of(meaning: Meaning, seed: int, n: int) -> list[Outcome]:
    """Make a log whose labels follow from the features."""
    rng = random.Random(seed)
    outcomes = []
    for outcome in _make_log(seed, n):
        label = meaning(outcome.features, rng)
        outcomes.append(
            msgspec.structs.replace(outcome, label=label, judged=float(label is not None))
        )
    return outcomes


def learner_of(model: str) -> Learner:
    return Learner(
        model,
        feature_names=FEATURES,
        schema=SCHEMA,
        target=TARGET,
        label_delay=timedelta(seconds=1),
    )


def taught(model: str, log: list[Outcome]) -> Learner:
    learner = learner_of(model)
    for offset, outcome in enumerate(log):
        learner.learn(outcome, offset)
    return learner


class Answer(NamedTuple):
    """All that a model says to one question."""

    score: float
    prediction: str | None
    scores: Any


def answers(learner: Learner, log: list[Outcome]) -> list[Answer]:
    """Ask a learner about the features of a log."""
    scorer = learner.scorer()
    told = []
    for outcome in log:
        score = scorer.score(dict(zip(FEATURES, outcome.features, strict=True)))
        extra = getattr(scorer, "prediction", None), getattr(scorer, "scores", None)
        told.append(Answer(score, *extra))
    return told


Cut = tuple[int, int]
"""Of a log: after how many outcomes a snapshot is taken, and from which its reader learns again."""


def cuts(length: int, *, n: int) -> st.SearchStrategy[list[Cut]]:
    """Draw cuts of a log."""
    at = st.integers(0, length)
    cut = at.flatmap(lambda at: st.tuples(st.just(at), st.integers(0, at)))
    return st.lists(cut, min_size=n, max_size=n)


def replays_to_the_same_bits(model: str, log: list[Outcome], cuts: Sequence[Cut]) -> None:
    """Compare a learner with those that were restored from its snapshots on the way."""
    uninterrupted = learner_of(model)
    states = [msgspec.msgpack.encode(uninterrupted.state())]
    expected = []
    wanted = {at for at, _ in cuts}
    for offset, outcome in enumerate(log):
        expected.append(uninterrupted.learn(outcome, offset))
        is_wanted = offset + 1 in wanted
        states.append(msgspec.msgpack.encode(uninterrupted.state()) if is_wanted else b"")
    answered = answers(uninterrupted, log)

    for at, start in cuts:
        state = msgspec.msgpack.decode(states[at], type=uninterrupted.task.state)
        restored = Learner.from_state(model, feature_names=FEATURES, **OURS, state=state)
        replayed = [restored.learn(log[offset], offset) for offset in range(start, len(log))]

        assert replayed == [None] * (at - start) + expected[at:]
        assert restored.progress == uninterrupted.progress
        assert answers(restored, log) == answered


def is_gone_on_from(model: str, log: list[Outcome]) -> None:
    """Carry a learner as a snapshot, half way through a log."""
    half = len(log) // 2
    learner = taught(model, log[:half])
    blob = snapshot.encode(learner, SIGNER, at_ms=5)
    verifier = Verifier([SIGNER.public_pem()])

    read = snapshot.decode(blob, verifier, model=model, **OURS)
    served = snapshot.decode_servable(blob, verifier, model=model, **OURS)

    figures = learner.prequential.figures()
    assert figures
    assert not any(map(math.isnan, figures.values()))
    assert read.manifest.figures == served.manifest.figures == figures
    assert len(read.manifest.golden) > 0
    assert answers(read.learner, log) == answers(learner, log)
    later = list(enumerate(log[half:], start=half))
    assert [read.learner.learn(o, offset) for offset, o in later] == [
        learner.learn(o, offset) for offset, o in later
    ]


def dear(model: str) -> bool:
    """Tell whether a model takes milliseconds to teach."""
    return "forest" in model
