"""Users of a rollout, counted live: who is lost is missed, and nobody else."""

import random
from dataclasses import replace

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from agents import watch
from agents.deployments.deployed import Deployed
from agents.kafka.app import App, KafkaSettings
from agents.observability.alert_desk import AlertDesk
from agents.observability.metrics import Metrics
from agents.observability.sample_ratio_alert import SampleRatioWatch
from agents.settings import Settings
from agents.testing import AppDriver
from examples.shop.pipeline import PIPELINE as SHOP
from online_models.assignment import Rollout
from online_models.sample_ratio import SampleRatio
from schemas.alerts import Alert
from tests.agents.record import Record

ROLLOUT = Rollout(name="tree", candidate=SHOP.challengers[0], exposure=1.0)
PIPELINE = replace(SHOP, rollout=ROLLOUT)


def predictions(users, rollout=ROLLOUT, lost=lambda user, variant: False):
    answered = [(user, rollout.variant(user)) for user in users]
    return [
        Record(msgspec.json.encode({"user_id": user, "variant": variant}))
        for user, variant in answered
        if not lost(user, variant)
    ]


def users(n, seed=0):
    return [f"{seed}-{i}" for i in range(n)]


def group(user):
    return ROLLOUT.variant(user)


def third_of_the_candidates(user, variant):
    return variant == "candidate" and user[-1] in "147"


def alarms(watching, records, every=200):
    found = []
    for start in range(0, len(records), every):
        found += watching.predictions(records[start : start + every], 7)
    return found


def test_users_as_planned_raise_no_alarm_and_lost_ones_do_once():
    watching = [SampleRatioWatch("intent", Deployed(PIPELINE), Metrics()) for _ in range(2)]
    none = alarms(watching[0], predictions(users(5_000)))
    (alert,) = alarms(watching[1], predictions(users(5_000), lost=third_of_the_candidates))

    assert none == []
    assert (alert.kind, alert.level, alert.raised_at) == ("sample_ratio", "warning", 7)
    assert alert.value < alert.threshold == 0.5
    assert alert.evidence["users_candidate"] < alert.evidence["users_control"]
    assert alert.evidence["evidence_power_of_ten"] > 4


def test_in_two_hundred_experiments_that_are_watched_all_the_time_nobody_cries_wolf():
    found = [
        alarms(SampleRatioWatch("intent", Deployed(PIPELINE), Metrics()), records, every=50)
        for records in (predictions(users(1_000, seed)) for seed in range(200))
    ]

    assert found == [[]] * 200


@given(st.lists(st.integers(0, 30), max_size=200), st.integers(2, 40), st.randoms())
def test_each_user_counts_once_in_whatever_order(seen, most_users, dice):
    ratio, again = (SampleRatio(ROLLOUT, most_users=1_000) for _ in range(2))
    bounded = SampleRatio(ROLLOUT, most_users=most_users)
    shuffled = dice.sample(seen, len(seen))
    for order, counting in ((seen, ratio), (shuffled, again), (seen, bounded)):
        for n in order:
            counting.add(str(n), group(str(n)))

    assert sum(ratio.counts.values()) == len(set(seen))
    assert ratio.counts == again.counts
    assert sum(bounded.counts.values()) <= most_users


def test_every_turn_asks_for_more_evidence():
    ratio = SampleRatio(ROLLOUT, most_users=300)
    told = []
    for user in users(4_000):
        if ROLLOUT.variant(user) == "control":
            ratio.add(user, "control")
            if (found := ratio.mismatch()) is not None:
                told.append((found.turn, round(found.threshold, 2)))

    assert told[:3] == [(0, 4.3), (1, 4.78), (2, 5.08)]


def test_users_of_another_rollout_and_what_is_no_prediction_are_passed_over():
    watching = SampleRatioWatch("intent", Deployed(PIPELINE), Metrics())
    other = replace(ROLLOUT, name="forest", split=0.1)
    junk = [Record(value) for value in (None, b"", b"{", b'{"user_id": "u", "variant": "x"}')]
    found = alarms(watching, [*predictions(users(5_000), other), *junk])

    assert found == []


def test_a_rollout_that_is_over_is_told_of_no_more():
    deployed, metrics = Deployed(PIPELINE), Metrics()
    watching = SampleRatioWatch("intent", deployed, metrics)
    watching.predictions(predictions(users(10)), 0)
    counted = [value for name, value in metrics.samples().items() if "rollout_users" in name]
    deployed.rollout = None
    watching.predictions(predictions(users(10)), 0)

    assert sum(counted) == 10
    assert not any("rollout" in name for name in metrics.samples())


def test_the_watch_role_emits_the_alert():
    app, metrics = App("watch", KafkaSettings(bootstrap="127.0.0.1:1", group="watch")), Metrics()
    desk = AlertDesk(Deployed(PIPELINE), metrics, topic="alerts", source=watch.SOURCE)
    watch._count_users(app, Settings(), PIPELINE, metrics, Deployed(PIPELINE), desk=desk)
    records = predictions(users(2_000), lost=third_of_the_candidates)
    random.Random(1).shuffle(records)
    with AppDriver(app) as driver:
        for record in records:
            driver.append("predictions", record.value())
        driver.process()
        found = [
            msgspec.json.decode(each.value() or b"", type=Alert) for each in driver.read("alerts")
        ]

    assert [each.kind for each in found] == ["sample_ratio"]
    assert metrics.samples()['thalweg_alerts_total{kind="sample_ratio",level="warning"}'] == 1


def test_users_who_go_on_getting_the_other_groups_answers_are_noticed():
    ratio, found = SampleRatio(ROLLOUT), None
    for n in range(60_000):
        user = f"user-{n}"
        variant = ROLLOUT.variant(user)
        if variant == "champion":
            continue
        if variant == "candidate" and n % 3 == 0:  # a worker that lost its way
            variant = "control"
        ratio.add(user, variant)
        found = found or ratio.mismatch()

    assert found is not None
    assert found.share < 0.4
