"""What `thalweg drift` tells people and programs."""

import msgspec
import orjson
import pytest

from agents import cli
from agents.monitoring import references
from schemas.sketches import SketchReference
from tests.agents.monitoring.records import encoded
from tests.agents.monitoring.test_attribution import DAY, FIRST, HOUR, ONSET, alert, traffic
from tests.agents.monitoring.test_references import HISTORY
from tests.agents.record import Record

Kept = dict[bytes, SketchReference]


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Kept:
    """A system of which the topics are lists; what is chosen is kept."""
    found: Kept = {}
    alerts = [Record(value) for value in (b"{", msgspec.json.encode(alert()))]
    read = {"alerts": alerts, "sketches": [Record(encoded(each)) for each in HISTORY]}
    logged = {ONSET // DAY: traffic(FIRST, ONSET + 26 * HOUR, moved_from=ONSET - ONSET % HOUR)}

    def since(_: object, use_case: str, since_ms: int) -> object:
        records = logged[ONSET // DAY] if since_ms // DAY > 80 else HISTORY
        return (each for each in records if each.event_at >= since_ms)

    monkeypatch.setattr("agents.admin.topic_reader.read_to_end", lambda _, topic: read[topic])
    for module in ("sketch_log", "explanation"):
        monkeypatch.setattr(f"agents.monitoring.{module}.records_since", since)
    monkeypatch.setattr("agents.monitoring.sketch_log.newest_ms", lambda *_: HISTORY[-1].event_at)
    monkeypatch.setattr(references, "read", lambda _: found)
    monkeypatch.setattr(
        references, "publish", lambda _, chosen: found.update({each.key: each for each in chosen})
    )
    return found


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert cli.main(["drift", *arguments]) == 0
    return capsys.readouterr().out


def choose(capsys: pytest.CaptureFixture[str], *more: str) -> str:
    span = ("--from", "1970-01-01", "--to", "1970-01-07")
    return told(capsys, "reference", *span, "--why", "a [good] week", *more)


def test_what_is_chosen_is_told_from_then_on(capsys, kept):
    (chosen,) = orjson.loads(choose(capsys, "--json"))
    known = orjson.loads(told(capsys, "reference", "--json"))
    (line,) = told(capsys, "reference").splitlines()[1:]

    assert known == [chosen]
    assert (chosen["from"], chosen["to"], chosen["held_against_after"]) == (
        *("1970-01-01", "1970-01-07"),
        "1970-03-15",
    )
    assert (chosen["why"], chosen["users"]) == ("a [good] week", 7 * 180)
    assert "a [good] week" in line
    assert "@" in chosen["by"]
    assert len(kept) == 1


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--from", "1970-01-01"), "takes all of --from, --to and --why"),
        (("--from", "1970-01-07", "--to", "1970-01-01", "--why", "w"), "is before"),
        (("--from", "1970-03-15", "--to", "1970-03-16", "--why", "w"), "that is over"),
        (
            ("--from", "1970-01-01", "--to", "1970-01-07", "--why", "w", "--signal", "click"),
            "no sketches of `click` from 1970-01-01",
        ),
    ],
)
def test_what_cannot_be_chosen_ends_in_one_line(capsys, arguments, said):
    assert cli.main(["drift", "reference", *arguments]) == cli.EX_ERROR
    (line,) = capsys.readouterr().err.splitlines()

    assert said in line


@pytest.mark.usefixtures("kept")
def test_the_past_is_told_by_weeks_and_that_of_one_signal_by_days(capsys):
    choose(capsys)
    weeks = told(capsys, "show", "--since", "20d").splitlines()
    days = told(capsys, "show", "--since", "20d", "--signal", "clicks").splitlines()
    as_json = orjson.loads(told(capsys, "show", "--since", "20d", "--json"))

    # Days 55 to 73 are over, and day 66 is another one, a Sunday.
    assert weeks[1].split()[0] == "clicks"
    assert weeks[1].rstrip().endswith(" .CC")
    assert "Monday 1970-02-23" in weeks[-1]
    assert [line.split()[2] for line in days[1:]] == ["normal"] * 11 + ["critical"] * 8
    assert [each["level"] for each in as_json] == ["normal"] * 11 + ["critical"] * 8


def test_a_span_that_is_none_is_said_to_be_before_anything_is_asked(capsys, monkeypatch):
    def ask(*_: object) -> int:
        raise AssertionError("Kafka was asked")

    monkeypatch.setattr("agents.monitoring.sketch_log.newest_ms", ask)

    assert cli.main(["drift", "show", "--since", "a week"]) == cli.EX_ERROR
    assert "`a week` is no number of days" in capsys.readouterr().err


@pytest.mark.usefixtures("kept")
def test_the_first_day_of_a_span_is_whole_whatever_time_it_is(capsys, monkeypatch):
    """Its evening alone would be held against whole days, and look like another day."""
    newest_ms = HISTORY[-1].event_at + 6 * HOUR
    monkeypatch.setattr("agents.monitoring.sketch_log.newest_ms", lambda *_: newest_ms)
    choose(capsys)
    days = orjson.loads(told(capsys, "show", "--since", "20d", "--json"))

    assert days[0]["day"] == "1970-02-25"


@pytest.mark.usefixtures("kept")
def test_where_no_day_could_be_compared_it_says_so(capsys):
    assert "no day of the last 3d could be compared" in told(capsys, "show", "--since", "3d")


@pytest.mark.usefixtures("kept")
def test_the_newest_drift_alert_is_explained(capsys):
    found = orjson.loads(told(capsys, "explain", "--json"))
    lines = told(capsys, "explain", "a").splitlines()

    assert (found["alert_id"], found["moved"]) == ("a", "world")
    assert [each["feature"] for each in found["features"]] == ["clicked"]
    assert lines[0] == "a"
    assert lines[1].startswith("1 of 3 features moved from 1970-04-11 09:00 to 1970-04-12 09:00")
    assert lines[3].split()[0] == "clicked"


@pytest.mark.usefixtures("kept")
def test_an_alert_that_is_not_kept_is_said_not_to_be(capsys):
    assert cli.main(["drift", "explain", "another"]) == cli.EX_ERROR
    assert "no drift alert `another` is kept" in capsys.readouterr().err
