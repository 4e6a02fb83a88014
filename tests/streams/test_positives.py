"""Laws of remembered positives, held against remembering all of them."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from streams.positives import RecentPositives, positives_table

HORIZON_MS = 10
TIMES = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 60)), max_size=40)


def recent_positives() -> RecentPositives:
    return RecentPositives(positives_table(), timedelta(milliseconds=HORIZON_MS))


@given(TIMES, st.integers(0, 60))
def test_what_may_be_asked_is_answered_as_if_all_were_remembered(actions, watermark_ms):
    positives = recent_positives()
    for user, at_ms in actions:
        positives.remember(user, at_ms)
    positives.forget(watermark_ms)

    for user in "ab":
        for asked_ms in range(max(0, watermark_ms - HORIZON_MS), 61):
            within = [
                at_ms
                for actor, at_ms in actions
                if actor == user and asked_ms < at_ms <= asked_ms + HORIZON_MS
            ]
            answer = positives.first_after(user, asked_ms)
            assert (answer is None) == (within == [])
            assert answer is None or answer in within


@given(st.lists(st.integers(0, HORIZON_MS), max_size=200))
def test_any_number_of_actions_within_a_horizon_costs_two_numbers(times):
    table = positives_table()
    positives = RecentPositives(table, timedelta(milliseconds=HORIZON_MS))
    for at_ms in times:
        positives.remember("a", at_ms)

    assert len(table.get("a") or []) <= 2


@given(TIMES)
def test_nothing_is_left_when_the_watermark_has_passed_everything(actions):
    positives = recent_positives()
    for user, at_ms in actions:
        positives.remember(user, at_ms)
    positives.forget(max([at_ms for _, at_ms in actions], default=0) + HORIZON_MS)

    assert len(positives) == 0


@given(TIMES, TIMES)
def test_what_is_undone_leaves_no_trace(actions, undone):
    table = positives_table()
    positives = RecentPositives(table, timedelta(milliseconds=HORIZON_MS))
    for user, at_ms in actions:
        positives.remember(user, at_ms)
    logged = dict(table.changes())
    for user, at_ms in undone:
        positives.remember(user, at_ms)
    positives.forget(61 + HORIZON_MS)
    positives.undo()
    assert {user: table.raw(user) for user in "ab" if user in table} == {
        key[1:].decode(): raw for key, raw in logged.items()
    }

    positives.forget(61 + HORIZON_MS)
    assert len(positives) == 0
