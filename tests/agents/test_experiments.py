"""A rollout from declaration to report: who gets whose answers, and what came of it."""

from dataclasses import replace
from datetime import timedelta

import msgspec
import orjson
import polars as pl
import pytest

from agents import cli
from agents.observability.metrics import Metrics
from agents.offline import tables
from agents.offline.experiment_report import NoExperiment, report, segments_of
from agents.offline.file_system import FileSystem
from agents.offline.table_writer import TableWriter
from agents.prediction.predict_plan import PredictPlan
from agents.prediction.served_models import Served
from agents.testing import PipelineDriver
from examples.shop.pipeline import PIPELINE as SHOP
from online_models.assignment import BUCKETS, Rollout, bucket
from online_models.catalogue import make
from online_models.scorer import Scorer
from schemas.errors import InvalidDeclaration

CANDIDATE = "binary_hoeffding_tree_v1"
ROLLOUT = Rollout(name="tree", candidate=CANDIDATE, exposure=0.6)
PIPELINE = replace(SHOP, rollout=ROLLOUT)
"""What `THALWEG_PIPELINE` names in the tests of the command."""
USERS = [f"user-{n}" for n in range(60)]
MINUTE = timedelta(minutes=1)


def visit(driver, user, **fields):
    return {"user_id": user, "action": "home", "ts": driver.now_ms, "session_id": user, **fields}


@pytest.fixture(scope="module")
def driver():
    """All users twice: to teach the models, and to be answered by them."""
    driver = PipelineDriver(PIPELINE)
    for _ in range(2):
        for n, user in enumerate(USERS):
            driver.append(visit(driver, user, platform=("mobile", "desktop", "tablet")[n % 3]))
        driver.process()
        driver.advance(PIPELINE.label.horizon + PIPELINE.allowed_lateness + MINUTE)
        driver.publish(visit(driver, "somebody who moves the watermark"))
    return driver


def served(name):
    return Served(name, 7, 0, Scorer(make(name), n_learned=10**6, base_rate=0.1))


def answering(*in_service, pipeline=PIPELINE):
    plan = PredictPlan(pipeline, Metrics(), lambda topic: topic.name)
    return plan.answering({name: served(name) for name in in_service})


def one(variant):
    return next(user for user in USERS if ROLLOUT.variant(user) == variant)


def test_users_get_the_answers_of_their_variant(driver):
    last = {each.user_id: each for each in driver.predictions}

    assert {user: last[user].variant for user in USERS} == {
        user: ROLLOUT.variant(user) for user in USERS
    }
    assert {(last[user].variant, last[user].model) for user in USERS} == {
        ("champion", PIPELINE.champion),
        ("control", PIPELINE.champion),
        ("candidate", CANDIDATE),
    }


def test_outcomes_say_whose_answer_it_was(driver):
    models = {each.user_id: each.model for each in driver.outcomes if each.user_id in USERS}

    assert {user for user in USERS if models[user] == CANDIDATE} == {
        user for user in USERS if ROLLOUT.variant(user) == "candidate"
    }


def test_without_a_rollout_everybody_is_answered_by_the_champion():
    answer = answering(SHOP.champion, CANDIDATE, pipeline=SHOP)

    assert {(variant, its.model) for variant, its in map(answer, USERS)} == {
        ("champion", SHOP.champion)
    }


def test_the_champion_stands_in_for_a_candidate_that_is_not_in_service():
    """And its users stay in its group: who leaves it when it fails, makes it look better."""
    variant, answer = answering(PIPELINE.champion)(one("candidate"))

    assert (variant, answer.model) == ("candidate", PIPELINE.champion)
    assert "stand_in" in answer.degraded(is_late=False)


def test_a_candidate_without_anybody_to_stand_in_says_so():
    _, answer = answering()(one("candidate"))

    assert answer.degraded(is_late=False)[0] == "no_model"


def test_only_the_champions_scores_are_watched_for_drift():
    answer = answering(PIPELINE.champion, CANDIDATE)

    assert answer(one("control"))[1].is_warm
    assert not answer(one("candidate"))[1].is_warm


def test_a_candidate_must_learn():
    with pytest.raises(InvalidDeclaration, match="binary_ftrl_v1"):
        replace(SHOP, rollout=replace(ROLLOUT, candidate="binary_ftrl_v1"))


# ---- the report ----------------------------------------------------------------------------------


def rows(n_users, positive, variant=ROLLOUT.variant):
    """A prediction and an outcome of each user in the experiment."""
    users = [user for user in map("user-{}".format, range(n_users)) if variant(user) != "champion"]
    ids = [f"p:{user}" for user in users]
    labels = [positive(user) for user in users]
    predictions = pl.LazyFrame(
        {"prediction_id": ids, "variant": [*map(variant, users)], "decision": [False] * len(ids)}
    )
    outcomes = {"prediction_id": ids, "user_id": users, "label": labels, "score": [0.2] * len(ids)}
    return predictions, pl.LazyFrame(outcomes)


def by_figure(found, segment="all"):
    return {each.figure: each for each in found.comparisons if each.segment == segment}


def test_a_candidate_that_is_better_is_seen():
    def positive(user):
        return hash_of(user) < (0.3 if ROLLOUT.variant(user) == "candidate" else 0.2)

    found = by_figure(report(ROLLOUT, *rows(20_000, positive)))["positives"]

    assert found.is_sure
    assert found.low < 0.1 < found.high
    assert found.difference == pytest.approx(0.1, abs=0.03)


def test_where_nothing_differs_nothing_is_sure():
    found = report(ROLLOUT, *rows(20_000, lambda user: hash_of(user) < 0.2))

    assert not any(each.is_sure for each in found.comparisons)
    assert found.sample_ratio_evidence < 0


def test_users_of_another_rollout_are_left_out():
    other = replace(ROLLOUT, name="forest", exposure=1.0)
    found = report(ROLLOUT, *rows(2_000, lambda user: True, variant=other.variant))

    assert found.strangers > 500
    assert sum(found.users.values()) < 1_000


def test_an_outcome_counts_as_the_many_it_stands_for_or_not_at_all():
    """A fifth of the negatives, and revisions beside them."""
    predictions, outcomes = rows(20_000, lambda user: hash_of(user) < 0.2)
    whole = outcomes.collect()
    kept = whole.with_row_index().filter(pl.col("label") | (pl.col("index") % 5 == 0))
    weighed = kept.with_columns(pl.when("label").then(1.0).otherwise(5.0).alias("judged"))
    revisions = weighed.with_columns(~pl.col("label"), judged=pl.lit(0.0))
    found = report(ROLLOUT, predictions, pl.concat([weighed, revisions]).lazy())
    expected = report(ROLLOUT, predictions, outcomes)

    assert sum(found.outcomes.values()) < 0.5 * sum(expected.outcomes.values())
    for ours, theirs in zip(found.comparisons, expected.comparisons, strict=True):
        assert ours.control == pytest.approx(theirs.control, abs=0.02)
        assert ours.candidate == pytest.approx(theirs.candidate, abs=0.02)


def test_a_group_that_lost_its_users_is_suspicious():
    predictions, outcomes = rows(10_000, lambda user: True)
    ids = predictions.filter(pl.col("variant") == "candidate").collect()["prediction_id"]
    lost = outcomes.filter(
        ~(pl.col("user_id").str.ends_with("3") & pl.col("prediction_id").is_in(ids.to_list()))
    )

    assert report(ROLLOUT, predictions, lost).sample_ratio_evidence > 3


def test_no_outcome_is_no_report():
    predictions, outcomes = rows(10, lambda user: True)

    with pytest.raises(NoExperiment, match="tree"):
        report(ROLLOUT, predictions, outcomes.filter(pl.lit(value=False)))


def hash_of(user):
    """A number from 0 to 1 that does not depend on the variant."""
    return bucket("dice", user) / BUCKETS


# ---- the command ---------------------------------------------------------------------------------


@pytest.fixture
def store(driver, tmp_path, monkeypatch):
    """What `archive` makes of what the driver predicted and learned."""
    files = FileSystem(str(tmp_path))
    for table in tables.ALL:
        records = driver.read(table.topic)
        writer = TableWriter(files, table.name, table.schema, event_at=table.event_at)
        of_table = [(*table.row(each.value() or b""), 0, n) for n, each in enumerate(records)]
        writer.write(f"{table.name}-0", 0, len(records), of_table)
    monkeypatch.setenv("THALWEG_OFFLINE_STORE", str(tmp_path))
    monkeypatch.setenv("THALWEG_PIPELINE", __name__)


def test_the_command_reports(store, capsys):
    assert cli.main(["experiments", "report", "--by", "platform", "--json"]) == 0
    told = orjson.loads(capsys.readouterr().out)

    assert told["users"] == {
        variant: sum(ROLLOUT.variant(user) == variant for user in USERS)
        for variant in ("control", "candidate")
    }
    assert {each["segment"] for each in told["comparisons"]} == {
        *("all", "platform=mobile", "platform=desktop", "platform: others"),
    }
    assert cli.main(["experiments", "report"]) == 0
    assert "positives" in capsys.readouterr().out


def test_a_field_without_segments_is_named_with_those_that_have(store, capsys):
    assert cli.main(["experiments", "report", "--by", "colour"]) == cli.EX_ERROR
    said = capsys.readouterr().err

    assert "colour" in said
    assert "platform" in said


def test_the_command_assigns(store, capsys):
    assert cli.main(["experiments", "assign", "ada", "bob", "--json"]) == 0

    assert orjson.loads(capsys.readouterr().out) == {
        user: ROLLOUT.variant(user) for user in ("ada", "bob")
    }


def test_a_pipeline_without_a_rollout_says_how_to_declare_one(monkeypatch, capsys):
    monkeypatch.setenv("THALWEG_PIPELINE", "examples.shop.pipeline")

    assert cli.main(["experiments", "report"]) != 0
    assert "Rollout(" in capsys.readouterr().err


def test_segments_are_disjoint_and_whole(driver):
    outcomes = pl.DataFrame([msgspec.structs.asdict(each) for each in driver.outcomes])
    conditions = segments_of(PIPELINE.compiled(), PIPELINE.features, "platform")
    counted = [outcomes.filter(condition).height for _, condition in conditions]

    assert sum(counted) == outcomes.height
    assert min(counted) >= 20
