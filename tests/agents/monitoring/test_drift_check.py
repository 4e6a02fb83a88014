"""Which scores of the past are looked at, when the promise on false alarms is checked."""

import dataclasses
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from agents import cli
from agents.monitoring.drift_check import FEWEST_DAYS, Instrument, TooLittle, past_of
from agents.offline import tables
from agents.offline.file_system import FileSystem
from agents.offline.reader import EmptyTable
from agents.offline.table_writer import TableWriter
from agents.pipeline import Incident
from examples.shop.pipeline import PIPELINE
from tests.agents.outcome_log import FOLD, make_outcomes

DAY_MS = 86_400_000
MINUTE_MS = 60_000
N_DAYS = 20
N = N_DAYS * 36
OWN = Instrument("own", None, -1)
DECLARED = dataclasses.replace(
    PIPELINE,
    incidents=(Incident(name="fire", first=date(1970, 1, 3), last=date(1970, 1, 5)),),
)


def keep(directory: Path, *, schema: str = FOLD.schema) -> tuple[FileSystem, list[Any]]:
    """Keep outcomes of three users, each of whom comes for some minutes, again and again.

    They come in the order in which they were known, which is not that of their events.
    """
    table = tables.OUTCOMES
    kept = [
        msgspec.structs.replace(
            outcome,
            user_id=f"u{n % 3}",
            event_at=n * DAY_MS * N_DAYS // N + (n % 5) * 9 * MINUTE_MS,
            schema=schema,
        )
        for n, outcome in enumerate(make_outcomes(N))
    ]
    files = FileSystem(str(directory))
    rows = [
        (*table.row(msgspec.msgpack.encode(each)), 0, n) for n, each in enumerate(reversed(kept))
    ]
    writer = TableWriter(files, table.name, table.schema, event_at=table.event_at)
    writer.write("outcomes-0", 0, N, rows)
    return files, kept


def visits(outcomes: list[Any]) -> list[Any]:
    """As `predict` finds them, one after the other."""
    last: dict[str, int] = {}
    found = []
    for each in sorted(outcomes, key=lambda each: each.event_at):
        gap = each.event_at - last.get(each.user_id, -DAY_MS)
        last[each.user_id] = each.event_at
        if gap >= PIPELINE.drift.visit_gap // timedelta(milliseconds=1):
            found.append(each)
    return found


def is_quiet(at_ms: int) -> bool:
    return at_ms // DAY_MS not in (2, 3, 4)


def test_the_first_of_each_visit_is_looked_at_on_days_without_an_incident(tmp_path):
    files, outcomes = keep(tmp_path)
    found = past_of(files, DECLARED, OWN, 4)
    scored = [each for day in found.days for each in day]
    expected = [each for each in visits(outcomes) if is_quiet(each.event_at)]

    assert 0 < len(expected) < len(outcomes)
    assert [(each.at_ms, each.score) for each in scored] == [
        (each.event_at, each.score) for each in expected
    ]
    assert (found.visits, found.incident_days, found.share) == (len(expected), 3, 1.0)
    assert len({each.partition for each in scored}) > 1


def test_what_the_twin_learned_is_left_out_and_the_rest_is_scored_by_it(tmp_path):
    class Twin:
        def score(self, features: Mapping[str, float]) -> float:
            return 1_000 + features[FOLD.names[0]]

    files, outcomes = keep(tmp_path)
    learned = N // 20
    of_twin = Instrument("m@twin", cast("Any", Twin()), learned - 1)
    scored = [each for day in past_of(files, DECLARED, of_twin, 4).days for each in day]
    rest = outcomes[: N - learned]  # they were archived the other way round

    assert [each.score for each in scored] == [
        1_000 + each.features[0] for each in visits(rest) if is_quiet(each.event_at)
    ]


def test_too_little_of_a_past_is_said_to_be_that(tmp_path):
    files, _ = keep(tmp_path)
    with pytest.raises(
        TooLittle, match=f"quiet days that own did not learn: at least {FEWEST_DAYS}"
    ):
        past_of(files, DECLARED, OWN._replace(after=N // 2), 4)
    with pytest.raises(EmptyTable, match="does `archive` run"):
        past_of(FileSystem(str(tmp_path / "nothing")), DECLARED, OWN, 4)


@pytest.mark.parametrize("as_json", [True, False])
def test_the_command_tells_what_it_found_beside_the_promise(tmp_path, monkeypatch, capsys, as_json):
    files, _ = keep(tmp_path)
    monkeypatch.setattr(
        "agents.monitoring.drift_check.past",
        lambda here, declared: past_of(files, declared, OWN, here.partitions),
    )
    given = ["--json"] if as_json else []

    assert cli.main(["drift", "check", "--scores", "2000", *given]) == 0
    told = capsys.readouterr().out
    if as_json:
        found = msgspec.json.decode(told)
        assert (found["promise"], found["unit"]) == (pytest.approx(6_700 / 0.3), "scores")
        assert [each["length"] for each in found["drawn"]] == [1, 7]
        assert {each["verdict"] for each in found["drawn"]} <= {"too little to say", "broken"}
    else:
        assert "Promised is a false alarm in 22,333 scores." in told
        assert "runs of" in told
