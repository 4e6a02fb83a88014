"""Which outcomes a report compares; Evidently itself draws them, in an environment of its own.

`make evidently` sets it up.
"""

import os
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import msgspec
import orjson
import pytest

from agents import cli
from agents.monitoring import drift_report, spans
from agents.offline import tables
from agents.offline.file_system import FileSystem
from agents.offline.reader import EmptyTable
from agents.offline.table_writer import TableWriter
from examples.shop.pipeline import PIPELINE
from schemas.errors import ThalwegError
from tests.agents.outcome_log import FOLD, make_outcomes
from tests.environments import EVIDENTLY

ROOT = Path(__file__).resolve().parents[3]
PROGRAMS = EVIDENTLY.programs()
DAY_MS = 86_400_000
N = 160
EMPTY = FOLD.names[3]
"""A feature that nobody has a value of."""


def keep(directory: Path, *, schema: str = FOLD.schema, days: int = 4) -> FileSystem:
    """Keep some days of outcomes; on the latter half the score is another one."""
    table = tables.OUTCOMES
    files = FileSystem(str(directory))
    rows = []
    for n, outcome in enumerate(make_outcomes(N)):
        features = [*outcome.features]
        features[FOLD.names.index(EMPTY)] = float("nan")
        is_late = n >= N // 2
        kept = msgspec.structs.replace(
            outcome,
            event_at=n * days * DAY_MS // N + 1,
            score=0.1 + n % 7 / 100 + 0.5 * is_late,
            features=features,
            schema=schema,
        )
        rows.append((*table.row(msgspec.msgpack.encode(kept)), 0, n))
    writer = TableWriter(files, table.name, table.schema, event_at=table.event_at)
    writer.write("outcomes-0", 0, N, rows)
    return files


def test_as_many_days_are_compared_as_lie_before_them(tmp_path):
    found = drift_report.gather(keep(tmp_path), PIPELINE, timedelta(days=2))

    assert (found.first, found.last) == ("1970-01-02", "1970-01-04")
    assert found.recent.height == N // 2
    assert found.reference.height == N // 2
    assert min(found.recent["score"].to_list()) > 0.5 > max(found.reference["score"].to_list())
    assert found.left_out == [EMPTY]
    assert found.recent.columns == ["score", *(name for name in FOLD.names if name != EMPTY)]


def test_each_week_that_is_over_has_a_page_until_it_is_there(tmp_path):
    """The epoch began on a Thursday, so four weeks were over by day 33, the first of them short."""
    files, pages = keep(tmp_path / "offline", days=33), tmp_path / "pages"
    found = [*drift_report.missing_weeks(files, PIPELINE, pages)]
    for _, path in found[:2]:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    later = [*drift_report.missing_weeks(files, PIPELINE, pages)]

    assert [(each.first, each.last, path.name) for each, path in found] == [
        ("1970-01-12", "1970-01-18", "drift-1970-W03.html"),
        ("1970-01-19", "1970-01-25", "drift-1970-W04.html"),
        ("1970-01-26", "1970-02-01", "drift-1970-W05.html"),
    ]
    assert all(each.recent.height == 34 for each, _ in found[:2])
    assert [path for _, path in later] == [path for _, path in found[2:]]


def test_a_week_is_over_when_its_labels_are_known(tmp_path):
    """Until its horizon ends only what came true has an outcome: its page would be of buyers."""
    files = keep(tmp_path / "offline", days=33)
    slow = replace(PIPELINE, label=replace(PIPELINE.label, horizon=timedelta(days=7)))
    at_once, later = (
        [path.name for _, path in drift_report.missing_weeks(files, each, tmp_path / "pages")]
        for each in (PIPELINE, slow)
    )

    assert later == at_once[:-1]


def test_outcomes_of_other_features_are_none(tmp_path):
    with pytest.raises(EmptyTable, match="features that are declared now"):
        drift_report.gather(keep(tmp_path, schema="another"), PIPELINE, timedelta(days=2))


def test_too_few_outcomes_are_said_to_be_too_few(tmp_path):
    with pytest.raises(drift_report.NoReport, match="too few to compare: choose a longer --since"):
        drift_report.gather(keep(tmp_path), PIPELINE, timedelta(days=4))


@pytest.mark.parametrize("span", ["", "7", "0d", "-1d", "7 days", "1.5d"])
def test_what_is_no_number_of_days_is_refused(span):
    with pytest.raises(ThalwegError, match="no number of days such as 7d"):
        spans.days(span)


def test_without_the_extra_the_command_names_it(capsys, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "evidently", None)

    assert cli.main(["drift", "report", "--out", str(tmp_path / "drift.html")]) == cli.EX_ERROR
    assert "the extra `evidently`: pip install -e '.[evidently]'" in capsys.readouterr().err


@pytest.mark.integration
@pytest.mark.skipif(PROGRAMS is None, reason="Evidently is not set up: `make evidently`")
def test_evidently_draws_what_moved(tmp_path):
    keep(tmp_path / "offline")
    out = tmp_path / "drift.html"
    assert PROGRAMS is not None
    done = subprocess.run(
        [
            *(str(PROGRAMS / "python"), "-m", "agents.cli"),
            *("drift", "report", "--since", "2d", "--out", str(out), "--json"),
        ],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "HOME": str(tmp_path),
            "THALWEG_OFFLINE_STORE": str(tmp_path / "offline"),
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr

    told = orjson.loads(done.stdout)
    page = out.read_text(encoding="utf-8")
    assert (told["rows"], told["reference_rows"]) == (N // 2, N // 2)
    assert told["left_out"] == [EMPTY]
    assert all(name in page for name in ("score", FOLD.names[0]))
