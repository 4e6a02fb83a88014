"""The page on which people judge decisions."""

import urllib.error
import urllib.parse
import urllib.request

import msgspec
import pytest
from playwright.sync_api import Page

from agents.admin import topic_reader
from agents.serving.reviews import MOST_BYTES, SHOWN, answered
from agents.serving.reviews import page as written_page
from schemas import topics
from schemas.review import ReviewItem, Verdict
from tests.agents.serving.conftest import MakeSite, Site
from tests.waiting import wait_until

USE_CASE = "purchase-intent"
EVIL = '"><script>alert(1)</script>'


def item(n: int, **fields: object) -> ReviewItem:
    known = {
        **{"prediction_id": f"p{n}", "event_id": f"e{n}", "user_id": f"u{n}"},
        **{"use_case": USE_CASE, "score": 0.5, "confidence": 0.0, "decision": True},
        **{"model": "m", "model_version": 7, "event_at": 0, "queued_at": n},
        **{"probability": 0.25, "features": {"clicks": 3.0}},
    }
    return msgspec.convert(known | fields, ReviewItem)


def test_whatever_came_from_events_is_text_on_the_page():
    evil = item(1, user_id=EVIL, prediction_id=EVIL, model=EVIL, features={EVIL: 1.0})
    written = written_page(EVIL, [evil], by=EVIL)

    assert "<script" not in written
    assert written.count("&lt;script&gt;") == 8


def test_the_page_says_how_many_wait_and_shows_some():
    written = written_page(USE_CASE, [item(n) for n in range(SHOWN + 5)])

    assert f"{SHOWN + 5} decisions wait. The newest {SHOWN}:" in written
    assert written.count("<form") == SHOWN
    assert "Stands for 4.0" in written


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "prediction_id"),
        (b"prediction_id=p&by=ada&label=maybe", "true or false"),
        (b"prediction_id=p&by=%20&label=true", "`by`"),
        (b"\xff", "not encoded"),
    ],
)
def test_a_form_that_says_nothing_is_refused(body, said):
    with pytest.raises(ValueError, match=said):
        answered(body)


def post(site: Site, fields: dict[str, str], origin: str | None) -> tuple[int, str]:
    body = urllib.parse.urlencode(fields).encode()
    headers = {} if origin is None else {"Origin": origin}
    request = urllib.request.Request(site.url + "/reviews", body, headers)
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.mark.integration
def test_a_person_answers_on_the_page_and_no_other_page_does(
    make_site: MakeSite, page: Page
) -> None:
    site = make_site(pipeline="examples.shop.rollout")
    for n in (1, 2):
        site._produce(topics.REVIEW_QUEUE, f"u{n}", msgspec.json.encode(item(n)))

    def shown() -> str:
        with urllib.request.urlopen(site.url + "/reviews") as response:
            return str(response.read().decode())

    wait_until(lambda: "2 decisions wait" in shown())
    said = {"prediction_id": "p1", "label": "true", "by": "ada", "why": "seen"}
    foreign = [post(site, said, origin)[0] for origin in (None, "http://example.org")]
    too_long, _ = post(site, {**said, "why": "x" * MOST_BYTES}, site.url)
    page.goto(site.url + "/reviews")
    form = page.locator("#p1 form")
    form.locator("[name=by]").fill("ada")
    form.locator("[name=why]").fill("seen")
    form.locator("button[value=true]").click()
    page.get_by_text("One decision waits.").wait_for()
    filled = page.locator("#p2 [name=by]").input_value()
    again, why_not = post(site, {**said, "label": "false"}, site.url)
    topic = topics.REVIEW_VERDICTS.named(site.settings.topic_prefix)
    verdicts = [
        msgspec.json.decode(record.value() or b"", type=Verdict)
        for record in topic_reader.read_to_end(site.settings, topic)
    ]

    assert (foreign, too_long) == ([403, 403], 413)
    assert filled == "ada"  # who has answered need not say so again
    assert (again, why_not) == (409, "no decision `p1` waits for a verdict: ada said true\n")
    assert [(each.prediction_id, each.label, each.by, each.why) for each in verdicts] == [
        ("p1", True, "ada", "seen")
    ]
    assert verdicts[0].user_id == "u1"


@pytest.mark.integration
def test_without_a_review_the_page_says_how_to_declare_one(make_site: MakeSite):
    site = make_site()
    with urllib.request.urlopen(site.url + "/reviews") as response:
        assert "Pipeline(review=Review(" in response.read().decode()
