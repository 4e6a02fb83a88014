"""What watches over scores and answers find, held against what can be known without the shop."""

import random
from datetime import UTC, datetime
from itertools import islice

from benchmarks.drift.answers import (
    BUG,
    DRAWN,
    Combination,
    in_runs,
    quiet_days,
    without_bug,
)
from benchmarks.drift.shop_scores import Visit, incident_at
from benchmarks.drift.streams import DAY_MS

FIRST_MS = int(datetime(2024, 3, 5, tzinfo=UTC).timestamp() * 1_000)
VISITS = [
    Visit(FIRST_MS + n * DAY_MS // 20, f"u{n}", 0.1 + 0.4 * (n * 0.618 % 1), n % 9 == 0)
    for n in range(110 * 20)
]


def day_of(visit: Visit) -> int:
    return visit.at_ms // DAY_MS


def test_where_there_is_no_bug_its_days_are_quiet_ones():
    told = list(without_bug(VISITS, seed=1))
    by_user = {each.user_id: each for each in VISITS}
    others = [each for each in told if incident_at(each.at_ms) != BUG]
    replaced = [by_user[each.user_id] for each in told if incident_at(each.at_ms) == BUG]

    assert others == [each for each in VISITS if incident_at(each.at_ms) != BUG]
    assert len(replaced) == len(VISITS) - len(others)
    assert {incident_at(each.at_ms) for each in replaced} == {None}
    assert [day_of(each) for each in told] == [day_of(each) for each in VISITS]


def test_runs_are_of_days_that_follow_each_other():
    drawn = list(islice(in_runs(VISITS, 7, random.Random(2)), 20 * 14))
    by_user = {each.user_id: day_of(each) for each in VISITS}
    days = [by_user[each.user_id] for each in drawn[::20]]

    assert [day_of(each) for each in drawn[::20]] == list(range(14))
    order = [day_of(day[0]) for day in quiet_days(VISITS)]
    for week in (days[:7], days[7:]):
        first = order.index(week[0])
        assert week == order[first : first + 7]
    assert sum(1 for _ in in_runs(VISITS, 1, random.Random(2))) >= DRAWN


def test_a_combination_shows_each_visit_to_all_and_to_those_of_its_partition():
    always = Combination("always", (lambda: lambda visit: True,), (lambda: lambda visit: True,))
    seen: list[Visit] = []

    def look(visit: Visit) -> bool:
        seen.append(visit)
        return False

    never = Combination("never", (), (lambda: look,))

    assert list(always.alarms(VISITS[:3])) == [each.at_ms for each in VISITS[:3] for _ in "ab"]
    assert (list(never.alarms(VISITS)), seen) == ([], VISITS)
