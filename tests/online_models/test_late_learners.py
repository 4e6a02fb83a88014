"""Who lags behind comes to the same model, whatever happens meanwhile."""

from hypothesis import given, settings
from hypothesis import strategies as st

from online_models.late_learners import Gap, LateLearners
from online_models.learner import Learner

from .conftest import FEATURES, SCHEMA, TARGET

MODELS = ("binary_logistic_v1", "binary_hoeffding_tree_v1", "binary_ftrl_v1")


def new_learner(model: str) -> Learner:
    return Learner(model, feature_names=FEATURES, schema=SCHEMA, target=TARGET)


class Log:
    """Outcomes at offsets with gaps, as markers of transactions leave them."""

    def __init__(self, outcomes, offsets):
        self.at = list(zip(offsets, outcomes, strict=True))
        self.end = offsets[-1] + 2

    def between(self, start, end):
        return [each for each in self.at if start <= each[0] < end]


def same(learner: Learner, expected: Learner, log: Log) -> bool:
    probe = [outcome.features for _, outcome in log.at[:20]]
    return learner.progress == expected.progress and learner.scores(probe) == expected.scores(probe)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_whoever_lags_joins_with_the_model_of_who_never_did(data, make_log):
    """Batches, slices, and reads of the log in any order, of which some come too late."""
    n = data.draw(st.integers(5, 60))
    steps = data.draw(st.lists(st.sampled_from([1, 1, 1, 3]), min_size=n, max_size=n))
    log = Log(make_log(data.draw(st.integers(0, 99)), n), [sum(steps[:i]) for i in range(1, n + 1)])
    position = data.draw(st.integers(0, log.end))
    late_learners = []
    for model in MODELS:
        learner = new_learner(model)
        for offset, outcome in log.between(0, data.draw(st.integers(0, position))):
            learner.learn(outcome, offset)
        late_learners.append(learner)
    late = LateLearners(late_learners, position, most_kept=data.draw(st.integers(1, 20)))
    joined: dict[str, Learner] = {}
    asked: list[Gap] = []

    def go_on(end):
        nonlocal position
        outcomes = log.between(position, end)
        for learner in joined.values():
            for offset, outcome in outcomes:
                learner.learn(outcome, offset)
        late.went_on(outcomes, end)
        position = end

    def teach(most):
        left = iter(range(most))
        for learner in late.teach(lambda: next(left, None) is not None):
            assert same_as_of(learner, position)
            joined[learner.model] = learner

    def same_as_of(learner, end):
        expected = new_learner(learner.model)
        for offset, outcome in log.between(0, end):
            expected.learn(outcome, offset)
        return same(learner, expected, log)

    for _ in range(data.draw(st.integers(0, 30))):
        match data.draw(st.sampled_from(["batch", "ask", "answer", "teach", "anew"])):
            case "anew" if joined:
                model = data.draw(st.sampled_from(sorted(joined)))
                if all(learner.model != model for learner in late.learners):
                    late.begin_anew(new_learner(model))
            case "batch":
                go_on(data.draw(st.integers(position, log.end)))
            case "ask" if (gap := late.gap()) is not None:
                asked.append(gap)
            case "answer" if asked:
                gap = asked.pop(data.draw(st.integers(0, len(asked) - 1)))
                late.fill(gap, log.between(*gap))
            case "teach":
                teach(data.draw(st.integers(0, 8)))
    go_on(log.end)
    while late.learners:
        before = late.lags()
        if (gap := late.gap()) is not None:
            late.fill(gap, log.between(*gap))
        teach(5)
        assert late.lags() != before

    assert {
        model: same_as_of(learner, log.end) for model, learner in joined.items()
    } == dict.fromkeys(MODELS, True)
    assert late.lags() == {}


def test_the_least_late_one_goes_first_and_keeps_nobody_waiting_for_the_latest(make_log):
    log = Log(make_log(3, 50), list(range(50)))
    nearly, new = new_learner(MODELS[0]), new_learner(MODELS[1])
    for offset, outcome in log.between(0, 45):
        nearly.learn(outcome, offset)
    late = LateLearners([new, nearly], 50)

    assert late.lags() == {MODELS[0]: 5, MODELS[1]: 50}
    assert late.gap() == Gap(45, 50)
    late.fill(Gap(45, 50), log.between(45, 50))
    assert late.teach(lambda: True) == [nearly]
    assert (late.lags(), late.gap()) == ({MODELS[1]: 50}, Gap(0, 50))


def test_what_is_kept_for_the_late_is_bounded_and_let_go(make_log):
    log = Log(make_log(3, 60), list(range(60)))
    late = LateLearners([new_learner(MODELS[0])], 10, most_kept=20)
    late.went_on(log.between(10, 60), 60)

    assert len(late._kept) == 20
    assert late.gap() == Gap(0, 20)
    while (gap := late.gap()) is not None:
        late.fill(gap, log.between(*gap))
        late.teach(lambda: True)
    assert late.learners == ()
    late.went_on(log.between(50, 60), 70)
    assert len(late._kept) == 0
