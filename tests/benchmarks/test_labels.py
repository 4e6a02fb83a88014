"""The comparison of label rules tells what each of them does, on the first weeks of the shop."""

from benchmarks.labels import COLUMNS, RULES, measure
from benchmarks.peers.report import table


def test_all_rules_are_judged_by_what_came_of_the_same_events():
    rows = measure(600)
    as_declared, ripe, tenth, few, fakes = rows

    assert [row["rule"] for row in rows] == [*RULES]
    assert len({row["positives"] for row in rows}) == 1
    assert few["outcomes"] < tenth["outcomes"] < as_declared["outcomes"]
    assert ripe["outcomes"] > 500
    assert as_declared["outcomes"] < fakes["outcomes"] <= 2 * 600
    # A coin's is 0.69. What few negatives teach, each weighing 50, is chance among so few events.
    assert all(row["log_loss"] < 0.6 for row in rows if row is not few)
    assert len(table(COLUMNS, rows).splitlines()) >= len(rows) + 1
