"""A drift alert is explained over HTTP, wherever its sketches are."""

import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest

from agents.admin import topic_admin
from agents.monitoring.attribution import explain
from agents.monitoring.sketch_log import newest_ms, records_since
from agents.offline import tables
from agents.offline.file_system import FileSystem
from agents.offline.table_writer import TableWriter
from agents.settings import Settings
from schemas import topics
from tests.agents.monitoring.test_attribution import DAY, FIRST, HOUR, ONSET, alert, traffic
from tests.agents.serving.conftest import MakeSite, Site

RECORDS = traffic(FIRST, ONSET + 26 * HOUR, moved_from=ONSET - ONSET % HOUR)
ID = "drift-u/3-a b?-score_mean"
"""Ids end with the event's, which is whatever upstream made of it."""


def ask(site: Site, alert_id: str) -> tuple[int, dict[str, Any]]:
    try:
        with urllib.request.urlopen(
            f"{site.url}/api/drift/explain/{urllib.parse.quote(alert_id, safe='')}"
        ) as response:
            return response.status, orjson.loads(response.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, orjson.loads(error.read())


def keep(settings: Settings, n: int) -> None:
    """Archive the first so many records of the topic, two of them with others again."""
    table = tables.SKETCHES
    topic_id = topic_admin.topic_id(settings, topics.SKETCHES.named(settings.topic_prefix))
    writer = TableWriter(
        FileSystem(settings.offline_store), table.name, table.schema, event_at=table.event_at
    )
    rows = [
        (*table.row(msgspec.json.encode(record)), 0, offset)
        for offset, record in enumerate(RECORDS)
    ]
    for start, end in ((0, n - 2), (n - 4, n)):
        writer.write(f"{table.name}-0-{topic_id}", start, end, rows[start:end])


@pytest.mark.integration
def test_an_alert_is_explained_from_whatever_is_archived_and_what_is_not(
    make_site: MakeSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THALWEG_OFFLINE_STORE", str(tmp_path / "empty"))
    site = make_site()
    for record in RECORDS:
        site._produce(topics.SKETCHES, record.use_case, msgspec.json.encode(record))
    site.produce_garbage()
    told = msgspec.structs.replace(alert(), alert_id=ID)
    for each in (told, msgspec.structs.replace(told, alert_id="another", kind="shift")):
        site.raise_alert(each)
    expected = orjson.loads(orjson.dumps(explain(told, RECORDS).as_row()))
    status, found = ask(site, ID)

    assert (status, found) == (200, expected)
    assert [each["feature"] for each in found["features"]] == ["clicked"]
    assert found["is_over"]
    for missing in ("another", "nothing", ""):
        assert ask(site, missing)[0] == 404

    settings = site.settings.model_copy(update={"offline_store": str(tmp_path / "offline")})
    use_case = told.use_case
    for n in (0, 60, len(RECORDS)):
        if n:
            keep(settings, n)
        since = [*records_since(settings, use_case, FIRST + DAY)]
        assert sorted(since, key=lambda each: each.event_at) == [
            each for each in RECORDS if each.event_at >= FIRST + DAY
        ]
    assert newest_ms(settings, use_case) == RECORDS[-1].event_at
