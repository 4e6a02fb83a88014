"""Trained over the archived log, a model is what it would be had it learned online."""

import random
import tempfile
from datetime import UTC, date, datetime
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.learning import retraining
from agents.learning.restoring import new_learner
from agents.offline import tables
from agents.offline.compaction import compact
from agents.offline.file_system import FileSystem
from agents.offline.reader import EmptyTable
from agents.offline.table_writer import TableWriter
from agents.offline.training_log import TrainingLog
from agents.testing import PipelineDriver
from examples.offers.pipeline import PIPELINE as OFFERS
from examples.shop.pipeline import PIPELINE
from online_models.gate import Comparison, Gates
from online_models.learner import Learner
from online_models.prequential import Prequential
from schemas import topics
from schemas.errors import ThalwegError
from schemas.outcomes import Outcome
from tests.agents.outcome_log import FEATURES, make_outcomes

CHAMPION, CHALLENGER = PIPELINE.models
DAY_MS = 86_400_000
SOURCE = "outcomes-0-abc"


def spread(outcome: Outcome) -> Outcome:
    """Let an event be longer after the one before, and its label be known as soon as it was."""
    event_at = outcome.event_at * 800
    labelled_at = event_at + outcome.labelled_at - outcome.event_at
    return msgspec.structs.replace(outcome, event_at=event_at, labelled_at=labelled_at)


OUTCOMES = sorted(map(spread, make_outcomes(300)), key=lambda outcome: outcome.labelled_at)
"""Of three days."""
LOG = [*enumerate(OUTCOMES)]


def archived(directory: Path | str, log, *cuts: int, source: str = SOURCE) -> TrainingLog:
    """Archive a log in pieces, each of which repeats the end of the one before, as a worker does
    that was taken for dead."""
    files = FileSystem(str(directory))
    table = tables.OUTCOMES
    writer = TableWriter(files, table.name, table.schema, event_at=table.event_at)
    for cut, end in pairwise((0, *sorted(cuts), log[-1][0] + 1)):
        start = max(0, cut - 3)
        rows = [
            (*table.row(msgspec.msgpack.encode(outcome)), 0, offset)
            for offset, outcome in log
            if start <= offset < end
        ]
        writer.write(source, start, end, rows)
    return TrainingLog(files)


def train(
    log,
    model: str = CHALLENGER,
    *,
    champion: Learner | None = None,
    since: date | None = None,
    until: date | None = None,
):
    champion = champion or new_learner(PIPELINE, FEATURES, CHAMPION)
    return retraining.train(log, PIPELINE, model, champion=champion, since=since, until=until)


def online(model: str, log) -> tuple[Learner, list[float | None]]:
    learner = new_learner(PIPELINE, FEATURES, model)
    return learner, [learner.learn(outcome, offset) for offset, outcome in log]


labels = st.none() | st.booleans() | st.text(max_size=3) | st.floats(allow_nan=False)
rows = st.lists(
    st.builds(
        Outcome,
        *(st.text(max_size=3), st.just("shop"), st.text(max_size=3)),
        event_at=st.integers(0, 3 * DAY_MS),
        labelled_at=st.integers(0, 1 << 50),
        label=labels,
        score=st.floats(0, 1),
        model=st.just("m"),
        model_version=st.integers(0, 1 << 60),
        schema=st.just("s"),
        features=st.lists(st.floats(allow_nan=False), max_size=3),
        weight=st.floats(0, 9),
        judged=st.floats(0, 9),
        revises=st.booleans(),
        by=st.text(max_size=2),
        arm=st.text(max_size=2),
        propensity=st.floats(0, 1),
        arms=st.lists(st.text(max_size=2), max_size=3),
    ),
    min_size=1,
    max_size=12,
)


@given(rows, st.data())
@settings(max_examples=15, deadline=None)
def test_what_is_archived_of_the_log_is_the_log(outcomes, data):
    offsets = sorted(data.draw(st.sets(st.integers(0, 40), min_size=len(outcomes))))
    log = [*zip(offsets, outcomes, strict=False)]
    cuts = data.draw(st.sets(st.integers(1, 41), max_size=3))
    with tempfile.TemporaryDirectory() as directory:
        found = [*archived(directory, log, *(cut for cut in cuts if cut <= log[-1][0]))]

    assert found == log


def test_trained_over_the_whole_log_it_is_the_online_model_to_the_last_bit(tmp_path):
    """Workers die, snapshots are read back, files are merged: the models are the same."""
    driver = PipelineDriver(PIPELINE)
    for start in range(0, len(OUTCOMES), 100):
        values = map(msgspec.msgpack.encode, OUTCOMES[start : start + 100])
        driver.append(*values, topic=topics.OUTCOMES, key=b"")
        driver.process()
        driver.crash("learn")
    log = [
        (record.offset(), msgspec.msgpack.decode(record.value() or b"", type=Outcome))
        for record in driver.read(topics.OUTCOMES)
    ]
    archived(tmp_path, log, *range(20, 300, 35))
    assert compact(FileSystem(str(tmp_path)), "outcomes")

    for model in PIPELINE.models:
        learner, told = train(TrainingLog(FileSystem(str(tmp_path))), model)
        assert learner.fingerprint() == driver._training.learners[model].fingerprint()
        assert (told.candidate.learned, told.missing) == (len(OUTCOMES), 0)
    assert driver._training.learners.keys() == set(PIPELINE.models)


@pytest.mark.parametrize(
    ("since", "until"),
    [(None, date.max), (date(1970, 1, 2), None), (None, date(1970, 1, 2)), (date(1970, 1, 2),) * 2],
)
def test_both_are_compared_on_the_outcomes_of_the_span(tmp_path, since, until):
    """The champion as it was online; the candidate as one that learned nothing else."""
    chosen = [
        (offset, outcome)
        for offset, outcome in LOG
        if (since or date.min)
        <= datetime.fromtimestamp(outcome.event_at / 1_000, UTC).date()
        <= (until or date.max)
    ]
    candidate, ours = online(CHALLENGER, chosen)
    champion, all_of_theirs = online(CHAMPION, LOG)
    theirs = dict(zip(range(len(LOG)), all_of_theirs, strict=True))
    evaluation, comparison = Prequential(), Comparison("", 0.0)
    for (offset, outcome), score in zip(chosen, ours, strict=True):
        of_champion = theirs[offset]
        assert of_champion is not None
        assert score is not None
        evaluation.update(outcome.label is True, of_champion)
        comparison.update(offset, outcome.label is True, candidate=score, champion=of_champion)

    learner, told = train(archived(tmp_path, LOG, 150), since=since, until=until)

    assert learner.fingerprint() == candidate.fingerprint()
    assert told.candidate.figures == candidate.prequential.figures()
    assert (told.candidate.judged, told.candidate.learned) == (len(chosen), len(chosen))
    assert told.champion.figures == evaluation.figures()
    assert told.champion.learned == champion.n_learned
    assert told.through == chosen[-1][0]
    assert told.difference.labels == len(chosen) == comparison.differences.n
    interval = comparison.differences.interval(error=Gates().error)
    assert (told.difference.low, told.difference.high) == interval
    assert len(chosen) > 90


def test_a_champion_that_went_on_from_a_version_answers_what_came_behind_that(tmp_path):
    """It has learned but a part of what is before."""
    champion, _ = online(CHAMPION, LOG[50:120])
    as_online, _ = online(CHAMPION, LOG[50:120])
    evaluation = Prequential()
    for offset, outcome in LOG[120:]:
        score = as_online.learn(outcome, offset)
        assert score is not None
        evaluation.update(outcome.label is True, score)

    _, told = train(archived(tmp_path, LOG), champion=champion)

    assert told.champion.figures == evaluation.figures()
    assert told.difference.labels == told.champion.judged == 180
    assert (told.candidate.judged, told.champion.learned) == (300, 250)


def test_a_model_is_not_told_apart_from_itself(tmp_path):
    _, told = train(archived(tmp_path, LOG), CHAMPION)

    assert told.candidate == told.champion
    assert (told.difference.mean, told.difference.verdict) == (0.0, "not to be told apart")


def test_progress_is_told_to_the_end(tmp_path):
    told = []
    log = archived(tmp_path, LOG)
    champion = new_learner(PIPELINE, FEATURES, CHAMPION)
    retraining.train(
        log, PIPELINE, CHAMPION, champion=champion, report=lambda *each: told.append(each)
    )

    assert told == [(0, 300), (300, 300)]


def test_offsets_that_nobody_archived_are_counted(tmp_path):
    files = FileSystem(str(tmp_path))
    table = tables.OUTCOMES
    writer = TableWriter(files, table.name, table.schema, event_at=table.event_at)
    for start, end in ((10, 20), (25, 30)):
        rows = [
            (*table.row(msgspec.msgpack.encode(outcome)), 0, offset)
            for offset, outcome in LOG[start:end]
        ]
        writer.write(SOURCE, start, end, rows)

    assert TrainingLog(files).n_missing == 15
    assert train(TrainingLog(files))[1].missing == 15


def test_of_a_topic_that_was_created_anew_the_newer_log_counts(tmp_path):
    newer = [
        (offset, msgspec.structs.replace(outcome, event_at=outcome.event_at + 30 * DAY_MS))
        for offset, outcome in LOG[:20]
    ]
    archived(tmp_path, newer, source="outcomes-0-aaa")

    assert [*archived(tmp_path, LOG)] == newer


def test_another_policy_is_judged_by_what_chance_chose(tmp_path):
    """Replayed over what is archived; mobile users buy with one offer, the others with another."""
    features, rng = OFFERS.compiled(), random.Random(5)
    log = []
    for n in range(600):
        is_mobile, arm = rng.random() < 0.5, rng.choice(OFFERS.arms)
        outcome = Outcome(
            *(f"o{n}", OFFERS.use_case, "ada", n * 60_000, n * 60_000 + 1_000),
            *(arm == ("free-shipping" if is_mobile else "discount"), 0.0, "m", 0),
            *(features.schema, [float(is_mobile), *(rng.random() for _ in features.names[1:])]),
            target=OFFERS.label.target,
            arm=arm,
            propensity=1 / 3,
            arms=[*OFFERS.arms],
        )
        log.append((n, outcome))
    _, told = retraining.train(
        archived(tmp_path, log),
        OFFERS,
        "bandit_linucb_v1",
        champion=new_learner(OFFERS, features, "bandit_epsilon_greedy_v1"),
    )

    assert told.difference is None
    assert told.candidate.learned == told.candidate.judged == 600
    figures, of_champion = told.candidate.figures, told.champion.figures
    assert figures["over_best_arm_low"] > 0.0
    assert figures["reward"] > of_champion["reward"] + 0.15


def test_a_file_that_cannot_be_read_is_said(tmp_path):
    log = archived(tmp_path, LOG)
    (file,) = (file for file in tmp_path.rglob("date=1970-01-02/*.parquet"))
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(ThalwegError, match=r"archive cannot be read: outcomes-0-abc-.*\.json: "):
        train(log)
    file.unlink()
    with pytest.raises(ThalwegError, match="archive cannot be read"):
        train(log)


def test_what_cannot_be_trained_is_said(tmp_path):
    files = FileSystem(str(tmp_path))
    with pytest.raises(EmptyTable, match="does `archive` run"):
        TrainingLog(files)
    with pytest.raises(ThalwegError, match="has learned nothing"):
        train(archived(tmp_path, LOG), since=date(2026, 1, 1))
    with pytest.raises(ThalwegError, match="2026-01-01, is before the first, 2026-01-02"):
        train(TrainingLog(files), since=date(2026, 1, 2), until=date(2026, 1, 1))
    with pytest.raises(ThalwegError, match="no model `multiclass_logistic_v1`"):
        retraining.check(PIPELINE, "multiclass_logistic_v1")
