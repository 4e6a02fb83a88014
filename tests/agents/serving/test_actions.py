"""What may be done from the page, by whom, and what is shown of records before."""

import itertools
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import orjson
import pytest
from confluent_kafka import Producer
from hypothesis import given
from hypothesis import strategies as st
from playwright.sync_api import Page
from starlette.requests import Request

from agents.admin import set_aside
from agents.admin.set_aside import DeadLetter
from agents.embedded.kafka import EmbeddedKafka
from agents.serving.actions import MOST_BYTES, MOST_LETTERS, Actions
from agents.serving.letters import LONGEST, SHOWN, rows, visible
from agents.serving.permission import Permission
from agents.settings import Settings
from examples.shop.pipeline import PIPELINE
from schemas import dead_letters, topics
from schemas.errors import InvalidSetting
from schemas.reasons import Reason
from tests.agents.deployments.published import CHALLENGER, CHAMPION, Environment
from tests.agents.serving.conftest import MakeSite, run_apart
from tests.waiting import wait_until

TOKEN = "correct-horse-battery-staple"
HERE = "127.0.0.1:8600"
RIGHT = {
    "host": HERE,
    "origin": f"http://{HERE}",
    "content-type": "application/json; charset=utf-8",
    "authorization": f"Bearer {TOKEN}",
}
TIMEOUT_MS = 15_000


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("origin", None, 403),
        ("origin", "http://example.org", 403),
        ("origin", "null", 403),
        ("origin", "http://[", 403),
        ("host", "", 403),
        ("content-type", "text/plain", 415),
        ("content-type", "application/x-www-form-urlencoded", 415),
        ("authorization", None, 401),
        ("authorization", f"Bearer {TOKEN[:-1]}", 401),
        ("authorization", f"Bearer {TOKEN}x", 401),
        ("authorization", f"Basic {TOKEN}", 401),
        ("authorization", "Bearer \udcff\N{SNOWMAN}", 401),
    ],
)
def test_whoever_lacks_one_thing_is_turned_down_and_in_nobodys_way(
    header: str, value: str | None, status: int
) -> None:
    permission = Permission(TOKEN)
    said = {name: v for name, v in {**RIGHT, header: value}.items() if v is not None}
    denial = permission.denial(said, now_s=5.0)

    assert denial is not None
    assert denial.status == status
    assert TOKEN not in denial.text
    assert permission.denial(RIGHT, now_s=5.0) is None


@given(st.lists(st.floats(0, 20), min_size=1, max_size=50).map(sorted))
def test_actions_are_at_least_a_second_apart_and_the_first_never_waits(times: list[float]) -> None:
    permission = Permission(TOKEN)
    acted = [at for at in times if permission.denial(RIGHT, now_s=at) is None]

    assert acted[0] == times[0]
    assert all(later - earlier >= 1 for earlier, later in itertools.pairwise(acted))
    assert all(any(0 <= at - done < 1 for done in acted) for at in times)


def test_a_token_that_could_be_guessed_is_refused_without_being_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from agents import settings  # noqa: PLC0415

    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    monkeypatch.setenv("THALWEG_WEB_TOKEN_FILE", str(file))
    assert settings.load().web_token == TOKEN
    assert TOKEN not in repr(settings.load())

    file.write_text("hunter2")
    with pytest.raises(InvalidSetting, match="THALWEG_WEB_TOKEN") as refused:
        settings.load()
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("action", "body", "status"),
    [
        ("reboot", b"{}", 404),
        ("promote", b"{", 400),
        ("promote", b'{"model": "m", "by": "ada"}', 400),
        ("promote", b'{"model": "m", "by": " ", "why": "x"}', 400),
        ("rollback", b'{"by": "ada", "why": "x", "and": 1}', 400),
        ("retry", b'{"by": "ada", "offsets": []}', 400),
        ("drop", orjson.dumps({"by": "ada", "offsets": list(range(MOST_LETTERS + 1))}), 400),
        ("drop", b'{"by": "ada", "offsets": [-1]}', 400),
        ("retry", b" " * (MOST_BYTES + 1), 413),
    ],
)
def test_what_makes_no_sense_is_refused_before_anybody_is_asked(
    action: str, body: bytes, status: int
) -> None:
    actions = Actions(Settings(web_token=TOKEN, kafka_bootstrap="127.0.0.1:1"), PIPELINE)
    headers = [(name.encode(), value.encode()) for name, value in RIGHT.items()]
    scope = {"type": "http", "headers": headers, "path_params": {"action": action}}

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    assert run_apart(actions.answer(Request(scope, receive))).status_code == status


@given(st.text(max_size=50), st.integers(1, 60))
def test_what_is_shown_of_a_record_is_visible_and_bounded(text: str, longest: int) -> None:
    shown = visible(text, longest)

    assert shown is not None
    assert all(each.isprintable() or each == "\n" for each in shown)
    assert len(shown) <= 10 * longest + 1  # `\U0001f600`


def test_the_newest_open_letters_are_shown_cut_newest_first() -> None:
    told = rows(
        DeadLetter(n, 0, "not_json", "no", "t", "0", "0", None, b"\xff" * 10_000)
        for n in range(SHOWN + 5)
    )

    assert [row["offset"] for row in told] == list(range(SHOWN + 4, 4, -1))
    assert told[0]["bytes"] == 10_000
    assert len(told[0]["value"]) == LONGEST + 1


def set_aside_one(settings: Settings, value: bytes) -> None:
    """As `predict` does."""
    topic = topics.USER_EVENTS.named(settings.topic_prefix)
    why = dead_letters.headers(
        Reason.NOT_JSON, "no", exception="KeyError", topic=topic, partition=0, offset=0
    )
    producer = Producer({"bootstrap.servers": settings.kafka_bootstrap})
    named = topics.DEAD_LETTERS.named(settings.topic_prefix)
    producer.produce(named, value, b"ada", headers=[*why])
    assert producer.flush(30) == 0


@pytest.mark.integration
def test_who_knows_the_token_promotes_and_retries_from_the_page_and_is_on_record(
    make_site: MakeSite, kafka: EmbeddedKafka, page: Page, tmp_path: Path
) -> None:
    environment = Environment(kafka.bootstrap, tmp_path)
    hostile = '<img src=x onerror="document.title=1">'
    set_aside_one(environment.settings, hostile.encode())
    site = make_site(settings=environment.settings, token=TOKEN)
    page.goto(site.url)

    def confirm(token: str) -> None:
        page.fill("#act-by", "ada")
        page.fill("#act-token", token)
        page.click("#act-go")

    def confirmed() -> bool:
        """Whether it is done; else, as another action may have been a moment ago, try again."""
        page.wait_for_function(
            """() => !document.getElementById("act").open
                || document.getElementById("act-said").textContent !== "" """
        )
        if page.is_visible("#act"):
            page.click("#act-go")
        return page.is_hidden("#act")

    page.click(f'#models [data-key="{CHALLENGER}"] .act', timeout=TIMEOUT_MS)
    page.fill("#act-why", "better")
    confirm(TOKEN[:-1])
    page.get_by_text("the token is wrong").wait_for(timeout=TIMEOUT_MS)
    assert environment.log().entries == []
    confirm(TOKEN)
    page.locator("#changed", has_text=f"ada@ops-page promoted {CHALLENGER}").wait_for(
        timeout=TIMEOUT_MS
    )
    page.locator(f'#models [data-key="{CHALLENGER}"][data-part="champion"]').wait_for()
    (entry,) = environment.log().entries
    assert (entry.event.by, entry.event.why, entry.refusal) == ("ada@ops-page", "better", None)
    assert page.locator(f'#models [data-key="{CHAMPION}"] .act').is_visible()

    page.click("#records-show")
    page.locator("#records summary").click(timeout=TIMEOUT_MS)
    assert page.inner_text("#records pre") == hostile
    assert page.locator("#records img").count() == 0
    page.locator("#records .act", has_text="Retry").click()
    confirm(TOKEN)
    wait_until(confirmed)
    assert page.locator("#records li").count() == 0

    def fates() -> list[str]:
        letters = set_aside.read(environment.settings)
        return [f"{x.fate.verdict} by {x.fate.by}" for x in letters if x.fate is not None]

    wait_until(lambda: fates() == ["retried by ada@ops-page"])
